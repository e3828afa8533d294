//! The pages of a TIFF file (TIFF 6.0, section 2): which of them are slices, and how each is read as if it stood alone.

use crate::{Problem, Refusal};

/// A file of more pages is none of ours, and a chain of them may run in a circle.
const PAGES_MAX: usize = 4096;
const NEW_SUBFILE_TYPE: usize = 254;
const SUBFILE_TYPE: usize = 255;
const HEADER_BYTES: usize = 8;

/// Where full pages begin; those that say that they are a smaller version of another (a thumbnail) are left out.
pub(super) fn full(bytes: &[u8]) -> Result<Vec<usize>, Refusal> {
    let file = File { bytes, big_endian: bytes.starts_with(b"MM") };
    let cut = || Problem::Truncated.refuse("The file ends before the image does.");
    let mut next = file.number(4, 4).ok_or_else(cut)?;
    let (mut pages, mut seen) = (Vec::new(), 0);
    while next != 0 {
        seen += 1;
        if seen > PAGES_MAX {
            let what = format!("The TIFF file has more than {PAGES_MAX} pages.");
            return Err(Problem::TooLarge.refuse(what));
        }
        let page = next;
        let entries = file.number(page, 2).ok_or_else(cut)?;
        next = file.number(page.saturating_add(2 + 12 * entries), 4).ok_or_else(cut)?;
        if !file.is_reduced(page, entries) {
            pages.push(page);
        }
        if next == page {
            return Err(Problem::Corrupt.refuse("The TIFF file's pages run in a circle."));
        }
    }
    match pages.is_empty() {
        true => Err(Problem::Corrupt.refuse("The TIFF file has no page.")),
        false => Ok(pages),
    }
}

/// Where the first page begins.
pub(super) fn first(bytes: &[u8]) -> usize {
    let file = File { bytes, big_endian: bytes.starts_with(b"MM") };
    file.number(4, 4).unwrap_or_default()
}

/// The file with that page as its first.
pub(super) fn begun_at(bytes: &mut [u8], page: usize) {
    let big_endian = bytes.starts_with(b"MM");
    let offset = page as u32;
    let offset = if big_endian { offset.to_be_bytes() } else { offset.to_le_bytes() };
    if let Some(header) = bytes.get_mut(4..HEADER_BYTES) {
        header.copy_from_slice(&offset);
    }
}

struct File<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl File<'_> {
    fn number(&self, at: usize, size: usize) -> Option<usize> {
        let field = self.bytes.get(at..at.checked_add(size)?)?;
        let step = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
        Some(match self.big_endian {
            true => field.iter().fold(0, step),
            false => field.iter().rev().fold(0, step),
        })
    }

    fn is_reduced(&self, page: usize, entries: usize) -> bool {
        const SHORT: usize = 3;
        let value = |entry: usize| match self.number(entry + 2, 2) {
            Some(SHORT) => self.number(entry + 8, 2),
            _ => self.number(entry + 8, 4),
        };
        (0..entries).map(|index| page + 2 + 12 * index).any(|entry| match self.number(entry, 2) {
            Some(NEW_SUBFILE_TYPE) => value(entry).is_some_and(|bits| bits & 1 == 1),
            Some(SUBFILE_TYPE) => value(entry) == Some(2),
            _ => false,
        })
    }
}
