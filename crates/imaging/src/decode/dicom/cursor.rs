//! Elements one after another (PS3.5, 7.1 to 7.5 and A.4): every step is checked against what is left of the file.

use std::collections::BTreeMap;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::{Refusal, RefusalReason};

/// Real files nest four or five deep.
const DEPTH_MAX: usize = 32;
/// An enhanced file of a thousand frames has some tens of thousands.
const ELEMENTS_MAX: usize = 1 << 20;
pub(super) const UNDEFINED: u32 = u32::MAX;

pub(super) const ITEM: Tag = Tag(0xfffe, 0xe000);
pub(super) const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
pub(super) const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);

/// How elements are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Encoding {
    pub big_endian: bool,
    pub explicit: bool,
}

pub(super) const EXPLICIT: Encoding = Encoding { big_endian: false, explicit: true };
pub(super) const IMPLICIT: Encoding = Encoding { big_endian: false, explicit: false };
pub(super) const EXPLICIT_BIG_ENDIAN: Encoding = Encoding { big_endian: true, explicit: true };

impl Encoding {
    /// Two bytes as a number, in the file's byte order.
    pub fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

/// The value representations (PS3.5, 6.2).
const REPRESENTATIONS: [&[u8; 2]; 34] = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"OB",
    b"OD", b"OF", b"OL", b"OV", b"OW", b"PN", b"SH", b"SL", b"SQ", b"SS", b"ST", b"SV", b"TM",
    b"UC", b"UI", b"UL", b"UN", b"UR", b"US", b"UT", b"UV",
];

impl Encoding {
    /// How the elements that begin here are written, whatever the transfer syntax says: tools change the one without the
    /// other, and write items in another way than what is around them.
    fn as_written(self, bytes: &[u8], outermost: bool) -> Encoding {
        let Some((&[a, b, _, _, high, low, ..], rest)) = bytes.split_first_chunk::<8>() else {
            return self;
        };
        let length = bytes.get(4..8).and_then(|bytes| bytes.first_chunk::<4>());
        let length = length.map_or(0, |length| u32::from_le_bytes(*length));
        let (group, swapped) = (self.u16([a, b]), self.u16([b, a]));
        if group == 0xfffe {
            return self;
        }
        // The first groups are 0008 or 0010; with their bytes swapped they would be private ones far behind.
        let big_endian = match outermost && matches!(swapped, 2 | 8 | 0x10) && group > 0xff {
            true => !self.big_endian,
            false => self.big_endian,
        };
        let said = REPRESENTATIONS.contains(&&[high, low]);
        let fits = length == UNDEFINED || length as usize <= rest.len();
        let explicit = match (self.explicit, said) {
            // As a length, two letters are 16 KiB at least: more than a first element holds.
            (false, true) => outermost || !fits,
            (true, false) => !fits || big_endian,
            (explicit, _) => explicit,
        };
        Encoding { big_endian: big_endian && explicit, explicit }
    }
}

pub(super) fn garbled() -> Refusal {
    RefusalReason::Corrupt.refuse("The DICOM file's structure is broken.")
}

fn cut_short() -> Refusal {
    RefusalReason::Truncated.refuse("The DICOM file ends before its contents do.")
}

/// One element's value, still in the file.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub vr: [u8; 2],
    /// Of a value of undefined length: the items, with their headers.
    pub bytes: &'a [u8],
    pub undefined: bool,
    pub encoding: Encoding,
}

/// The elements of a file or of an item of a sequence.
#[derive(Default)]
pub(super) struct DataSet<'a> {
    pub elements: BTreeMap<Tag, Element<'a>>,
    pub depth: usize,
}

pub(super) struct Header {
    pub tag: Tag,
    vr: [u8; 2],
    pub length: u32,
}

/// Walks over elements; every step is checked against what is left of the file.
pub(super) struct Cursor<'a> {
    pub rest: &'a [u8],
    length: usize,
    encoding: Encoding,
    depth: usize,
    elements_left: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a data set that stands in no sequence.
    pub fn new(bytes: &'a [u8], encoding: Encoding) -> Cursor<'a> {
        Cursor::within(bytes, encoding, 0)
    }

    /// At the beginning of a value that stands so deep in sequences.
    pub fn within(bytes: &'a [u8], encoding: Encoding, depth: usize) -> Cursor<'a> {
        Cursor { rest: bytes, length: bytes.len(), encoding, depth, elements_left: ELEMENTS_MAX }
    }

    /// The next `length` bytes, without a copy; a refusal where the file ends before them.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn peek(&self) -> Option<Tag> {
        let [a, b, c, d] = *self.rest.first_chunk()?;
        Some(Tag(self.encoding.u16([a, b]), self.encoding.u16([c, d])))
    }

    /// The tag, the representation and the length of the next element (PS3.5, 7.1). The value is left where it is.
    pub fn header(&mut self) -> Result<Header, Refusal> {
        self.elements_left = self.elements_left.checked_sub(1).ok_or_else(garbled)?;
        let tag = self.peek().ok_or_else(cut_short)?;
        self.take(4)?;
        // Items and delimiters have no value representation in any encoding.
        if !self.encoding.explicit || tag.group() == 0xfffe {
            return Ok(Header { tag, vr: *b"  ", length: self.encoding.u32(self.array()?) });
        }
        let vr = self.array::<2>()?;
        let length = match &vr {
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN"
            | b"UR" | b"UT" | b"UV" => {
                self.take(2)?;
                self.encoding.u32(self.array()?)
            }
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => {
                u32::from(self.encoding.u16(self.array()?))
            }
            _ => return Err(garbled()),
        };
        Ok(Header { tag, vr, length })
    }

    /// Reads elements while `wanted` says so, up to the pixel data: what follows it is padding and signatures.
    pub fn elements(&mut self, wanted: impl Fn(Tag) -> bool) -> Result<DataSet<'a>, Refusal> {
        if self.depth > DEPTH_MAX {
            return Err(garbled());
        }
        self.encoding = self.encoding.as_written(self.rest, self.depth == 0);
        let mut elements = BTreeMap::new();
        while let Some(tag) = self.peek().filter(|tag| wanted(*tag)) {
            let header = self.header()?;
            let undefined = header.length == UNDEFINED;
            let bytes = if undefined {
                self.undefined(&header, self.depth + 1)?
            } else {
                self.take(header.length as usize)?
            };
            elements
                .insert(tag, Element { vr: header.vr, bytes, undefined, encoding: self.encoding });
            if tag == tags::PIXEL_DATA {
                break;
            }
        }
        if self.peek().is_none() && !self.rest.is_empty() {
            return Err(cut_short());
        }
        Ok(DataSet { elements, depth: self.depth })
    }

    /// The items of a value of undefined length, without the delimiter behind them.
    fn undefined(&mut self, header: &Header, depth: usize) -> Result<&'a [u8], Refusal> {
        let start = self.rest;
        let end = match (&header.vr, header.tag) {
            (_, tags::PIXEL_DATA) => self.skip_fragments()?,
            (b"UN", _) => {
                let outer = std::mem::replace(&mut self.encoding, IMPLICIT);
                let end = self.skip_items(depth)?;
                self.encoding = outer;
                end
            }
            (b"SQ" | b"  ", _) => self.skip_items(depth)?,
            _ => return Err(garbled()),
        };
        Ok(&start[..start.len() - end])
    }

    /// Goes behind the sequence's delimiter; returns how much was left in front of it.
    fn skip_items(&mut self, depth: usize) -> Result<usize, Refusal> {
        if depth > DEPTH_MAX {
            return Err(garbled());
        }
        loop {
            let left = self.rest.len();
            let header = self.header()?;
            match (header.tag, header.length) {
                (SEQUENCE_END, _) => return Ok(left),
                (ITEM, UNDEFINED) => self.skip_elements(depth)?,
                (ITEM, length) => {
                    self.take(length as usize)?;
                }
                _ => return Err(garbled()),
            }
        }
    }

    fn skip_elements(&mut self, depth: usize) -> Result<(), Refusal> {
        let outer = self.encoding;
        self.encoding = outer.as_written(self.rest, false);
        loop {
            let header = self.header()?;
            match (header.tag, header.length) {
                (ITEM_END, _) => break,
                (_, UNDEFINED) => self.undefined(&header, depth + 1)?,
                (_, length) => self.take(length as usize)?,
            };
        }
        self.encoding = outer;
        Ok(())
    }

    fn skip_fragments(&mut self) -> Result<usize, Refusal> {
        loop {
            let left = self.rest.len();
            if self.fragment()?.is_none() {
                return Ok(left);
            }
        }
    }

    /// The next item of encapsulated pixel data and where it stands; None at the delimiter.
    pub fn fragment(&mut self) -> Result<Option<(usize, &'a [u8])>, Refusal> {
        let at = self.length - self.rest.len();
        let header = self.header()?;
        match header.tag {
            ITEM if header.length != UNDEFINED => {
                Ok(Some((at, self.take(header.length as usize)?)))
            }
            SEQUENCE_END => Ok(None),
            _ => Err(garbled()),
        }
    }
}
