//! The pages of a TIFF file (TIFF 6.0, section 2): which of them are slices, and how each is read as if it stood alone.

use std::borrow::Cow;

use crate::{Refusal, RefusalReason};

/// A file of more pages is none of ours, and a chain of them may run in a circle.
const PAGES_MAX: usize = 4096;
const NEW_SUBFILE_TYPE: usize = 254;
const SUBFILE_TYPE: usize = 255;
const ORIENTATION: usize = 274;
const IMAGE_DESCRIPTION: usize = 270;
const IMAGE_DEPTH: usize = 32997;
const HEADER_BYTES: usize = 8;

/// Where full pages begin; those that say that they are a smaller version of another (a thumbnail) are left out.
pub(super) fn full(bytes: &[u8]) -> Result<Vec<usize>, Refusal> {
    let file = File::new(bytes);
    let cut = || RefusalReason::Truncated.refuse("The file ends before the image does.");
    let mut next = file.number(4, 4).ok_or_else(cut)?;
    let (mut pages, mut seen) = (Vec::new(), 0);
    while next != 0 {
        seen += 1;
        if seen > PAGES_MAX {
            let what = format!("The TIFF file has more than {PAGES_MAX} pages.");
            return Err(RefusalReason::TooLarge.refuse(what));
        }
        let page = next;
        let entries = file.number(page, 2).ok_or_else(cut)?;
        next = file.number(page.saturating_add(2 + 12 * entries), 4).ok_or_else(cut)?;
        if !file.is_reduced(page) {
            pages.push(page);
        }
        if next == page {
            return Err(RefusalReason::Corrupt.refuse("The TIFF file's pages run in a circle."));
        }
    }
    match pages.is_empty() {
        true => Err(RefusalReason::Corrupt.refuse("The TIFF file has no page.")),
        false => Ok(pages),
    }
}

/// Where the first page begins.
pub(super) fn first(bytes: &[u8]) -> usize {
    File::new(bytes).number(4, 4).unwrap_or_default()
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

/// What the first page of a TIFF, or of the Exif block that is one, says of the way up (tag 274), whatever type of integer it
/// is written as.
pub(super) fn way_up(bytes: &[u8]) -> Option<u8> {
    if !bytes.starts_with(b"II*\0") && !bytes.starts_with(b"MM\0*") {
        return None;
    }
    File::new(bytes).entry(first(bytes), ORIENTATION)?.try_into().ok()
}

/// Why more lies in the file than its pages show, where that is so: several pictures may stand behind one page.
pub(super) fn hidden(bytes: &[u8], pages: &[usize]) -> Option<Refusal> {
    let file = File::new(bytes);
    let is_deep = |page: &usize| file.entry(*page, IMAGE_DEPTH).is_some_and(|depth| depth > 1);
    let deep = pages.iter().any(is_deep);
    let said =
        pages.first().and_then(|page| file.text(*page, IMAGE_DESCRIPTION)).unwrap_or_default();
    let count = said.lines().find_map(|line| line.strip_prefix("images=")?.trim().parse().ok());
    let more = said.starts_with("ImageJ=") && count.is_some_and(|count: usize| count > pages.len());
    let cut = said.starts_with('{') && said.contains("\"truncated\": true");
    (deep || more || cut).then(stack)
}

fn stack() -> Refusal {
    RefusalReason::Unsupported.refuse(
        "The TIFF file is a stack of several pictures behind one page, which is not read here.",
    )
}

struct File<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> File<'a> {
    fn new(bytes: &'a [u8]) -> File<'a> {
        File { bytes, big_endian: bytes.starts_with(b"MM") }
    }

    /// Where the entry of that tag stands in the directory of a page.
    fn find(&self, page: usize, tag: usize) -> Option<usize> {
        let entries = self.number(page, 2)?;
        (0..entries)
            .map(|index| page + 2 + 12 * index)
            .find(|entry| self.number(*entry, 2) == Some(tag))
    }

    /// The single integer of that tag.
    fn entry(&self, page: usize, tag: usize) -> Option<usize> {
        let entry = self.find(page, tag)?;
        let size = match self.number(entry + 2, 2)? {
            // BYTE, SBYTE; SHORT, SSHORT; LONG, SLONG.
            1 | 6 => 1,
            3 | 8 => 2,
            4 | 9 => 4,
            _ => return None,
        };
        self.number(entry + 8, size)
    }

    fn text(&self, page: usize, tag: usize) -> Option<Cow<'a, str>> {
        let entry = self.find(page, tag)?;
        let length = self.number(entry + 4, 4)?;
        let at = if length > 4 { self.number(entry + 8, 4)? } else { entry + 8 };
        Some(String::from_utf8_lossy(self.bytes.get(at..at.checked_add(length)?)?))
    }

    fn number(&self, at: usize, size: usize) -> Option<usize> {
        let field = self.bytes.get(at..at.checked_add(size)?)?;
        let step = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
        Some(match self.big_endian {
            true => field.iter().fold(0, step),
            false => field.iter().rev().fold(0, step),
        })
    }

    fn is_reduced(&self, page: usize) -> bool {
        let is_version = self.entry(page, NEW_SUBFILE_TYPE).is_some_and(|bits| bits & 1 == 1);
        is_version || self.entry(page, SUBFILE_TYPE) == Some(2)
    }
}
