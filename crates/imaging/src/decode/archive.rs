//! Zip archives. Entries are read through a counting reader into memory and never written to a path.

use std::io::{Read, Seek};

use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::{Limits, unpacking};
use crate::instance::Extent;
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

    /// Where the bytes of the entry at that place stand in the archive, and whether they are deflated; None where they are packed in
    /// another way.
    pub(super) fn stored(&mut self, place: usize) -> Result<Option<(Extent, bool)>, Refusal> {
        let entry = self.entry(place)?;
        let packed = match entry.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            _ => return Ok(None),
        };
        let bytes = entry.compressed_size();
        Ok(entry.data_start().map(|at| (Extent { at, bytes }, packed)))
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
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_systems_add_is_no_content() {
        for name in ["__MACOSX/a.png", "x/__MACOSX/._a.png", "x/.DS_Store", "IMAGES\\Thumbs.db"] {
            assert!(!is_content(name), "{name}");
        }
        assert!(is_content("IMAGES/IM0001") && is_content("MACOSX/1.png"));
    }

    fn packed(files: &[(&str, usize)]) -> Vec<u8> {
        let file = |(name, length): &(&str, usize)| ((*name).to_owned(), vec![7; *length]);
        crate::encode::zip(&files.iter().map(file).collect::<Vec<_>>()).unwrap()
    }

    fn opened(archive: &[u8], limits: Limits) -> Result<Archive<Cursor<&[u8]>>, Refusal> {
        Archive::open(Cursor::new(archive), limits)
    }

    fn problem(archive: &[u8], limits: Limits) -> RefusalReason {
        opened(archive, limits).map(|archive| archive.len()).unwrap_err().problem
    }

    #[test]
    fn entries_are_read_by_their_place_among_names_as_people_number_them() {
        let names = [("s10", 10), ("s9", 9), (".DS_Store", 1), ("s1", 1), ("__MACOSX/s2", 2)];
        let archive = packed(&names);
        let mut archive = opened(&archive, Limits::default()).unwrap();
        assert_eq!(archive.names().collect::<Vec<_>>(), ["s1", "s9", "s10"]);
        let lengths: Vec<usize> = (0..3).map(|place| archive.read(place).unwrap().len()).collect();
        assert_eq!(lengths, [1, 9, 10]);
        assert_eq!(archive.read(3).unwrap_err().problem, RefusalReason::Corrupt);
    }

    #[test]
    fn what_entries_unpack_to_is_limited_all_together() {
        let archive = packed(&[("a", 600), ("b", 400), ("c", 1)]);
        let limits = Limits { bytes: 1000, ..Limits::default() };
        let mut archive = opened(&archive, limits).unwrap();
        assert_eq!([0, 1].map(|place| archive.read(place).unwrap().len()), [600, 400]);
        assert_eq!(archive.read(2).unwrap_err().problem, RefusalReason::TooLarge);
        // One that is refused takes nothing of what is left.
        let two = packed(&[("a", 600), ("b", 401), ("c", 400)]);
        let mut archive = opened(&two, limits).unwrap();
        assert!(archive.read(0).is_ok());
        assert_eq!(archive.read(1).unwrap_err().problem, RefusalReason::TooLarge);
        assert!(archive.read(2).is_ok());
    }

    #[test]
    fn an_archive_of_too_many_entries_or_without_its_directory_is_not_opened() {
        let archive = packed(&[("a", 1), ("b", 1), ("c", 1)]);
        let limits = |slices| Limits { slices, ..Limits::default() };
        assert_eq!(problem(&archive, limits(2)), RefusalReason::TooLarge);
        assert!(opened(&archive, limits(3)).is_ok());
        for length in [archive.len() - 1, archive.len() / 2, 30] {
            assert_eq!(
                problem(&archive[..length], limits(3)),
                RefusalReason::Truncated,
                "{length}"
            );
        }
    }

    /// With each of these bytes changed that stands so far behind the begin of an entry's local or central header (APPNOTE
    /// 4.3.7 and 4.3.12).
    fn changed(archive: &[u8], places: [usize; 2], change: impl Fn(u8) -> u8) -> Vec<u8> {
        let mut changed = archive.to_vec();
        for (begin, behind) in [b"PK\x03\x04", b"PK\x01\x02"].into_iter().zip(places) {
            for at in (0..archive.len() - 4).filter(|at| archive[*at..].starts_with(begin)) {
                changed[at + behind] = change(changed[at + behind]);
            }
        }
        changed
    }

    #[test]
    fn an_archive_with_a_password_or_with_one_name_twice_is_refused_as_what_it_is() {
        let archive = packed(&[("a", 5), ("b", 5)]);
        // The first flag: encrypted.
        let locked = changed(&archive, [6, 8], |flags| flags | 1);
        let refusal = opened(&locked, Limits::default()).err().unwrap();
        assert_eq!(refusal.problem, RefusalReason::Unsupported);
        assert!(refusal.detail.contains("password"), "{refusal}");
        // The names, which are of one byte here.
        let twice = changed(&archive, [30, 46], |_| b'a');
        assert_eq!(problem(&twice, Limits::default()), RefusalReason::Corrupt);
    }
}
