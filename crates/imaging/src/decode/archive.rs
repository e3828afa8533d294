//! Zip archives. Entries are read through a counting reader into memory and never written to a path.

use std::io::{Read, Seek};

use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::{Limits, unpacking};
use crate::names::natural;
use crate::{Refusal, RefusalReason};

/// A NIfTI-2 header has 540 bytes; a few more let a compressed one be recognised.
const HEAD_BYTES: u64 = 4096;

/// A zip archive whose structure has been checked: a bounded number of entries that neither overlap nor share a
/// name. What they unpack to is counted over all calls.
pub struct Archive<R> {
    zip: ZipArchive<R>,
    limits: Limits,
    /// The images among the entries, in the natural order of their names.
    entries: Vec<(usize, String)>,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory. Folders and what operating systems add of their own are left out.
    pub fn open(reader: R, limits: Limits) -> Result<Archive<R>, Refusal> {
        let mut zip = ZipArchive::new(reader).map_err(archive_refusal)?;
        if zip.len() > limits.slices {
            return Err(RefusalReason::TooLarge.refuse(format!(
                "The archive has {} entries; at most {} are read.",
                zip.len(),
                limits.slices
            )));
        }
        if zip.has_duplicate_names() || zip.has_overlapping_entries().map_err(archive_refusal)? {
            return Err(RefusalReason::Corrupt.refuse("The archive's entries overlap."));
        }
        let mut entries = Vec::new();
        for index in 0..zip.len() {
            let entry = zip.by_index_raw(index).map_err(archive_refusal)?;
            if entry.encrypted() {
                return Err(
                    RefusalReason::Unsupported.refuse("The archive is protected with a password.")
                );
            }
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            if entry.is_file() && is_content(&name) {
                entries.push((index, name));
            }
        }
        entries.sort_by(|(_, a), (_, b)| natural(a, b));
        Ok(Archive { zip, limits, entries })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries' names, as the archive spells them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(_, name)| name.as_str())
    }

    /// What is left of the limits.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// The bytes of the entry at that place of [`names`](Archive::names).
    pub fn read(&mut self, place: usize) -> Result<Vec<u8>, Refusal> {
        let (limits, entry) = (self.limits, self.entry(place)?);
        let bytes = limits.unpack(entry)?;
        self.limits.bytes -= bytes.len();
        Ok(bytes)
    }

    /// The first bytes of the entry at that place, as far as they can be unpacked: enough to tell what it is.
    pub(super) fn head(&mut self, place: usize) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        match self.entry(place)?.take(HEAD_BYTES).read_to_end(&mut bytes) {
            // What is broken behind the head is found out where the whole is read.
            Err(error) if bytes.is_empty() => Err(unpacking(error)),
            _ => Ok(bytes),
        }
    }

    fn entry(&mut self, place: usize) -> Result<ZipFile<'_, R>, Refusal> {
        let Some((index, _)) = self.entries.get(place) else {
            return Err(RefusalReason::Corrupt.refuse("The archive has no such entry."));
        };
        self.zip.by_index(*index).map_err(archive_refusal)
    }
}

fn archive_refusal(error: ZipError) -> Refusal {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
            RefusalReason::Unsupported.refuse("The archive is protected with a password.")
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            RefusalReason::Unsupported
                .refuse("The archive is packed in a way that is not read here.")
        }
        ZipError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => truncated(),
        // The directory stands at a zip's end: without it the end is missing.
        ZipError::InvalidArchive(_) => truncated(),
        _ => RefusalReason::Corrupt.refuse("The archive cannot be unpacked."),
    }
}

fn truncated() -> Refusal {
    RefusalReason::Truncated.refuse("The archive's directory is missing or incomplete.")
}

fn is_content(name: &str) -> bool {
    let mut parts = name.rsplit(['/', '\\']);
    let file = parts.next().unwrap_or_default();
    let of_a_system = ["Thumbs.db", "desktop.ini"].iter().any(|own| file.eq_ignore_ascii_case(own));
    !file.starts_with('.') && !of_a_system && parts.all(|folder| folder != "__MACOSX")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systems_add_is_no_content() {
        for name in ["__MACOSX/a.png", "x/__MACOSX/._a.png", "x/.DS_Store", "IMAGES\\Thumbs.db"] {
            assert!(!is_content(name), "{name}");
        }
        assert!(is_content("IMAGES/IM0001") && is_content("MACOSX/1.png"));
    }
}
