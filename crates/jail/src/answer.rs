//! What the decoder's process says to the service: a length, that much JSON, then the bytes that the JSON announces.

use std::io::{Error, ErrorKind, Read, Result, Write};

use domain::Identity;
use imaging::{Refusal, RefusalReason};
use serde::{Deserialize, Serialize};

use crate::Walls;

/// JSON beyond this is none of ours: as many names as an upload may have files fit, each of
/// [`ENTRY_NAME_CHARS_MAX`](domain::limits::ENTRY_NAME_CHARS_MAX) characters.
const JSON_BYTES_MAX: usize = 16 << 20;

/// What became of one request to the decoder.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DecoderAnswer {
    /// Not analysed.
    Refused {
        /// [`imaging::RefusalReason`], by its name.
        problem: String,
        /// What is wrong with this file and what to do, in a clinician's words.
        detail: String,
    },
    /// Sound: the preview and then the volume follow.
    Image(Box<ScanFacts>),
    /// The entries of an archive, shared out.
    Groups(Vec<Group>),
    /// The bytes of one entry, or of a zip of several, follow.
    Entry {
        /// How many they are.
        bytes: u64,
    },
    /// The decoder works, within these walls.
    Ready(Walls),
}

/// Entries of an archive that are sent on together.
#[derive(Debug, Deserialize, Serialize)]
pub struct Group {
    /// What people are told that they are.
    pub name: String,
    /// Their places in the archive.
    pub places: Vec<usize>,
    /// Whether they are to be a scan: a report is not, nor is a mask beside its image.
    pub scan: bool,
}

/// What is known of a decoded scan besides its voxels.
#[derive(Debug, Deserialize, Serialize)]
pub struct ScanFacts {
    /// [`imaging::Format::name`].
    pub format: String,
    /// Empty: the file does not say.
    pub modality: String,
    /// Slices, rows, columns.
    pub shape: [u32; 3],
    /// Whose scan it is; None of a format that carries no identity.
    pub identity: Option<Identity>,
    /// The length of the preview, a PNG, which follows first.
    pub preview_bytes: u64,
    /// The length of the encoded volume, which follows the preview.
    pub volume_bytes: u64,
    /// Of the encoded volume, in lower-case hex.
    pub volume_sha256: String,
}

impl From<Refusal> for DecoderAnswer {
    fn from(refusal: Refusal) -> DecoderAnswer {
        DecoderAnswer::Refused { problem: refusal.problem.name().into(), detail: refusal.detail }
    }
}

impl DecoderAnswer {
    /// Writes the answer and the bytes that it announces.
    pub fn write(&self, payload: &[&[u8]], mut to: impl Write) -> Result<()> {
        let json = serde_json::to_vec(self)?;
        to.write_all(&(json.len() as u32).to_le_bytes())?;
        to.write_all(&json)?;
        payload.iter().try_for_each(|bytes| to.write_all(bytes))?;
        to.flush()
    }

    /// Reads an answer, and none of the bytes that it announces.
    pub fn read(mut from: impl Read) -> Result<DecoderAnswer> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut json = vec![0; length_of(u32::from_le_bytes(length))?];
        from.read_exact(&mut json)?;
        Ok(serde_json::from_slice(&json)?)
    }
}

/// The length of an answer's JSON. A decoder that was taken over may announce anything.
pub fn length_of(announced: u32) -> Result<usize> {
    match announced as usize {
        length if length <= JSON_BYTES_MAX => Ok(length),
        _ => Err(Error::from(ErrorKind::InvalidData)),
    }
}

/// The refusal of that name; None for a name that no problem has.
pub fn refusal(problem: &str, detail: String) -> Option<Refusal> {
    Some(Refusal { problem: RefusalReason::named(problem)?, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let walls = Walls { landlock: 7, seccomp: true };
        let mut bytes = Vec::new();
        DecoderAnswer::Ready(walls).write(&[b"and more"], &mut bytes).unwrap();
        let mut rest = &bytes[..];
        assert!(
            matches!(DecoderAnswer::read(&mut rest), Ok(DecoderAnswer::Ready(read)) if read == walls)
        );
        assert_eq!(rest, b"and more");
    }

    #[test]
    fn what_announces_too_much_is_not_believed() {
        let bytes = (JSON_BYTES_MAX as u32 + 1).to_le_bytes();
        assert_eq!(DecoderAnswer::read(&bytes[..]).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
