//! What the decoder's process says to the service: a length, that much JSON, then the bytes that the JSON announces.

use std::io::{Error, ErrorKind, Read, Result, Write};

use domain::{Equipment, Identity, hex};
use imaging::{
    DicomInstance, Geometry, KnownOfRefused, Orientation, Refusal, RefusalReason,
    SegmentationFacts, SeriesFacts, Shape,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
        /// What was known of it by then.
        #[serde(default)]
        known: KnownOfRefused,
    },
    /// Sound: the preview and then the volume follow, and behind them, with its length before it (eight bytes, little endian), the index
    /// of the upload's DICOM instances ([`imaging::StoredInstance`], as a list in JSON; empty: there is none). That is made when all
    /// else was said, and may be cut where time or memory ran out: the scan is whole without it.
    Image(Box<ScanFacts>),
    /// A mask: its voxels follow, one byte each, 1 in what it marks and 0 elsewhere.
    Outline(Box<OutlineFacts>),
    /// A mask that is a DICOM segmentation: the pixels of its planes follow, one byte each, 1 in what it marks and 0 elsewhere.
    Segmentation(Box<SegmentationFacts>),
    /// The entries of an archive, shared out.
    Groups(Vec<Group>),
    /// Which series of which study a file is an instance of, as its [`series_digest`]; None: it is no slice.
    Series(Option<String>),
    /// What a DICOM file says it is.
    Instance(Box<DicomInstance>),
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
    /// What the headers of a DICOM series say of it; None of anything else.
    pub series: Option<SeriesFacts>,
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
    /// Where and with what it was made.
    pub equipment: Equipment,
    /// The length of the preview, a PNG, which follows first.
    pub preview_bytes: u64,
    /// The length of the encoded volume, which follows the preview.
    pub volume_bytes: u64,
    /// Of the encoded volume, in lower-case hex.
    pub volume_sha256: String,
}

/// Where the voxels of a mask lie.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct OutlineFacts {
    /// [`imaging::Format::name`].
    pub format: String,
    /// Of the voxels that follow, which are turned the one radiological way.
    pub shape: Shape,
    /// None where the file does not say.
    pub geometry: Option<Geometry>,
    /// How they run through the grid that the file stores.
    pub stored: Orientation,
}

impl From<Refusal> for DecoderAnswer {
    fn from(refusal: Refusal) -> DecoderAnswer {
        let Refusal { problem, detail, known } = refusal;
        DecoderAnswer::Refused { problem: problem.name().into(), detail, known }
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

/// What stands for a series of a study, by their UIDs: in lower-case hex.
pub fn series_digest(study: &str, series: &str) -> String {
    // No UID has a line break in it that counts.
    hex(&Sha256::digest(format!("{study}\n{series}")))
}

/// The refusal of that name; None for a name that no problem has.
pub fn refusal(problem: &str, detail: String, known: KnownOfRefused) -> Option<Refusal> {
    Some(Refusal { problem: RefusalReason::named(problem)?, detail, known })
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
    fn written(answer: &DecoderAnswer) -> Vec<u8> {
        let mut bytes = Vec::new();
        answer.write(&[], &mut bytes).unwrap();
        bytes
    }

    /// One answer of each kind, with what JSON must escape or could round.
    fn answers() -> Vec<DecoderAnswer> {
        let identity = Identity {
            patient_name: Some("M\u{fc}ller^Zo\u{eb}=\u{5c71}\u{7530}".into()),
            patient_id: Some("47\\11 \"A\"\u{1}".into()),
            sop_instance_uids: vec!["1.2.3".into(), "1.2.4".into()],
            ..Identity::default()
        };
        let facts = |identity| ScanFacts {
            format: "dicom".into(),
            modality: "MR".into(),
            shape: [1, u32::MAX, 3],
            identity,
            equipment: Equipment { site: Some("General".into()), scanner: None },
            preview_bytes: 7,
            volume_bytes: u64::MAX,
            volume_sha256: "ab".repeat(32),
        };
        vec![
            DecoderAnswer::Ready(Walls::default()),
            DecoderAnswer::Entry { bytes: u64::MAX - 1 },
            DecoderAnswer::Series(None),
            DecoderAnswer::Series(Some("cd".repeat(32))),
            DecoderAnswer::Groups(vec![
                Group {
                    name: "IM0 \u{2026} IM7 (8 files)".into(),
                    places: vec![7, 0],
                    scan: true,
                    series: Some(SeriesFacts {
                        modality: "MR".into(),
                        marks: [imaging::picker::Mark::MotionCorrected].into(),
                        description: "m\u{e9}ninge \"A\"".into(),
                        ..SeriesFacts::default()
                    }),
                },
                Group { name: String::new(), places: Vec::new(), scan: false, series: None },
            ]),
            DecoderAnswer::Image(Box::new(facts(Some(identity)))),
            DecoderAnswer::Image(Box::new(facts(None))),
            DecoderAnswer::Outline(Box::new(OutlineFacts {
                format: "nifti".into(),
                shape: Shape { slices: 1, rows: 2, columns: 3 },
                geometry: Some(Geometry::of_distances([0.25, 0.5, 3.0])),
                stored: Orientation { axes: [2, 0, 1], flipped: [false, true, false] },
            })),
            DecoderAnswer::Segmentation(Box::new(SegmentationFacts {
                frame_of_reference: Some("1.2.3".into()),
                series: vec!["1.2.4".into()],
                instances: Vec::new(),
                shape: Shape { slices: 1, rows: 2, columns: 3 },
                planes: vec![Geometry::of_distances([0.0, 0.1, 0.3])],
            })),
            DecoderAnswer::Instance(Box::new(DicomInstance {
                study: "1.2".into(),
                sop_instance: "1.2.3".into(),
                is_slice: true,
                data_set_at: u64::MAX,
                ..DicomInstance::default()
            })),
            RefusalReason::Corrupt.refuse("It says \u{201c}no\u{201d}.").into(),
        ]
    }

    #[test]
    fn every_answer_loses_nothing_on_its_way() {
        for answer in answers() {
            let read = DecoderAnswer::read(&written(&answer)[..]).unwrap();
            // Neither has another form: an identity shows itself to nobody by accident.
            let [before, after] = [&answer, &read].map(|one| serde_json::to_value(one).unwrap());
            assert_eq!(before, after);
        }
        let Some(DecoderAnswer::Image(facts)) = answers().into_iter().nth(5) else { panic!() };
        let sent = DecoderAnswer::Image(facts);
        let Ok(DecoderAnswer::Image(read)) = DecoderAnswer::read(&written(&sent)[..]) else {
            panic!()
        };
        let identity = read.identity.unwrap();
        assert_eq!(identity.patient_id.as_deref(), Some("47\\11 \"A\"\u{1}"));
        assert_eq!((read.volume_bytes, identity.sop_instance_uids.len()), (u64::MAX, 2));
    }

    #[test]
    fn every_refusal_comes_over_as_the_problem_that_it_is() {
        for problem in ["not-an-image", "truncated", "too-large", "mixed-series", "wrong-identity"]
        {
            let scanner = Some("Acme Maker 3".to_owned());
            let equipment = Equipment { scanner, ..Equipment::default() };
            let known = KnownOfRefused { equipment, kind: None };
            let refused = RefusalReason::named(problem).unwrap().refuse("It is what it is.");
            let sent = refused.of_known(known);
            let read = DecoderAnswer::read(&written(&sent.clone().into())[..]).unwrap();
            let DecoderAnswer::Refused { problem, detail, known } = read else {
                panic!("{read:?}")
            };
            assert_eq!(refusal(&problem, detail, known), Some(sent));
        }
        let known = KnownOfRefused::default();
        assert_eq!(refusal("no-such-problem", "words".into(), known), None);
    }

    #[test]
    fn an_answer_that_is_cut_or_is_none_is_an_error() {
        for answer in answers() {
            let bytes = written(&answer);
            for length in 0..bytes.len() {
                assert!(DecoderAnswer::read(&bytes[..length]).is_err(), "{length} of {answer:?}");
            }
        }
        for json in
            ["", "null", "{}", r#"{"ready":{"landlock":-1,"seccomp":true}}"#, r#"{"image":{}}"#]
        {
            let bytes = [&(json.len() as u32).to_le_bytes()[..], json.as_bytes()].concat();
            assert!(DecoderAnswer::read(&bytes[..]).is_err(), "{json}");
        }
    }
}
