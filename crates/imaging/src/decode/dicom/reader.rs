//! DICOM's encoding (PS3.5, chapter 7), read in place: values are slices of the file, so nothing is allocated for
//! what a file merely declares.

use std::borrow::Cow;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use flate2::read::DeflateDecoder;

use super::character_set;
use super::cursor::{
    Cursor, EXPLICIT, EXPLICIT_BIG_ENDIAN, Encoding, IMPLICIT, ITEM, ITEM_END, SEQUENCE_END,
    UNDEFINED, garbled,
};
pub(super) use super::cursor::{DataSet, Element};
use crate::decode::Limits;
use crate::{Refusal, RefusalReason};

/// A file, unpacked if it was deflated; its elements are read by [`data_set`](File::data_set).
pub(super) struct File<'a> {
    pub transfer_syntax: String,
    /// As the meta group says it, for files whose data set does not.
    pub sop_class: Option<String>,
    /// The same.
    pub sop_instance: Option<String>,
    /// Where the data set begins in the file, deflated or not.
    pub data_set_at: usize,
    encoding: Encoding,
    body: Cow<'a, [u8]>,
}

impl<'a> File<'a> {
    /// Reads the meta group and finds the data set, unpacking it where it is deflated. A file without preamble is read, too.
    pub fn read(bytes: &'a [u8], limits: &Limits) -> Result<File<'a>, Refusal> {
        let start = if bytes.get(128..132) == Some(b"DICM") { 132 } else { 0 };
        let mut cursor = Cursor::new(&bytes[start..], EXPLICIT);
        let meta = cursor.elements(|tag| tag.group() == 2)?;
        let body = cursor.rest;
        let data_set_at = bytes.len() - body.len();
        let sop_class = meta.text(tags::MEDIA_STORAGE_SOP_CLASS_UID);
        let sop_instance = meta.text(tags::MEDIA_STORAGE_SOP_INSTANCE_UID);
        let transfer_syntax = match meta.text(tags::TRANSFER_SYNTAX_UID) {
            Some(uid) => uid,
            None => guessed(body).to_string(),
        };
        let (encoding, body) = match transfer_syntax.as_str() {
            "1.2.840.10008.1.2" => (IMPLICIT, Cow::Borrowed(body)),
            "1.2.840.10008.1.2.2" => (EXPLICIT_BIG_ENDIAN, Cow::Borrowed(body)),
            "1.2.840.10008.1.2.1.99" => {
                (EXPLICIT, Cow::Owned(limits.unpack(DeflateDecoder::new(body))?))
            }
            _ => (EXPLICIT, Cow::Borrowed(body)),
        };
        Ok(File { transfer_syntax, sop_class, sop_instance, data_set_at, encoding, body })
    }

    /// The elements up to the pixel data and that.
    pub fn data_set(&self) -> Result<DataSet<'_>, Refusal> {
        Cursor::new(&self.body, self.encoding).elements(|_| true)
    }
}

/// Whether this can be the data set of a file without preamble and meta group.
pub(in crate::decode) fn is_headless(bytes: &[u8]) -> bool {
    let Some([group_low, group_high, element_low, element_high, a, b, c, d]) =
        bytes.first_chunk::<8>()
    else {
        return false;
    };
    let group = u16::from_le_bytes([*group_low, *group_high]);
    let element = u16::from_le_bytes([*element_low, *element_high]);
    let explicit = a.is_ascii_uppercase() && b.is_ascii_uppercase();
    let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    matches!(group, 2 | 8)
        && element <= 0x0070
        && (explicit || (length > 0 && length <= 64.min(bytes.len() - 8)))
}

/// The transfer syntax of a data set that does not say: explicit if a value representation stands where one would.
fn guessed(body: &[u8]) -> &'static str {
    match body.get(4..6) {
        Some([a, b]) if a.is_ascii_uppercase() && b.is_ascii_uppercase() => "1.2.840.10008.1.2.1",
        _ => "1.2.840.10008.1.2",
    }
}

/// The names of persons that are read here.
const NAMES: [Tag; 2] = [tags::PATIENT_NAME, tags::REFERRING_PHYSICIAN_NAME];

/// Pixel data as it stands in the file.
pub(super) enum PixelData<'a> {
    Native {
        bytes: &'a [u8],
        words: bool,
        big_endian: bool,
    },
    /// The offset table's entries, and the fragments with their offsets as the table counts them.
    Encapsulated {
        offsets: Vec<u32>,
        fragments: Vec<(usize, &'a [u8])>,
    },
}

impl<'a> DataSet<'a> {
    /// All values of an attribute, trimmed; None when it is absent or empty.
    pub fn text(&self, tag: Tag) -> Option<String> {
        let element = self.elements.get(&tag)?;
        let sets = self.elements.get(&tags::SPECIFIC_CHARACTER_SET).map(|sets| sets.bytes);
        let sets = String::from_utf8_lossy(sets.unwrap_or_default());
        // Implicit encoding does not say what is a name.
        let name = element.vr == *b"PN" || NAMES.contains(&tag);
        let text = character_set::decoded(element.bytes, &sets, name);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!text.is_empty()).then(|| text.to_string())
    }

    /// The values of a decimal or integer string (DS, IS); None unless all of them are finite numbers.
    pub fn decimals(&self, tag: Tag) -> Option<Vec<f64>> {
        let number =
            |text: &str| text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        self.text(tag)?.split('\\').map(number).collect()
    }

    /// Exactly `N` decimals.
    pub fn decimal<const N: usize>(&self, tag: Tag) -> Option<[f64; N]> {
        self.decimals(tag)?.try_into().ok()
    }

    /// Exactly `N` decimals; None when the attribute is absent or empty. One that is there and says something else is
    /// refused: to go on without it would be to say that the file does not tell.
    pub fn stated<const N: usize>(&self, tag: Tag) -> Result<Option<[f64; N]>, Refusal> {
        match self.decimal(tag) {
            None if self.text(tag).is_some() => Err(RefusalReason::Corrupt.refuse(format!(
                "The DICOM file's {} is not {}.",
                match tag {
                    tags::PIXEL_SPACING => "PixelSpacing",
                    tags::IMAGE_POSITION_PATIENT => "ImagePositionPatient",
                    tags::IMAGE_ORIENTATION_PATIENT => "ImageOrientationPatient",
                    tags::RESCALE_SLOPE => "RescaleSlope",
                    tags::RESCALE_INTERCEPT => "RescaleIntercept",
                    _ => "attribute",
                },
                if N == 1 { "a number".to_owned() } else { format!("{N} numbers") }
            ))),
            numbers => Ok(numbers),
        }
    }

    /// The values of an attribute of unsigned shorts (US).
    pub fn shorts(&self, tag: Tag) -> Option<Vec<u16>> {
        let element = self.elements.get(&tag)?;
        let (values, _) = element.bytes.as_chunks::<2>();
        (!values.is_empty())
            .then(|| values.iter().map(|value| element.encoding.u16(*value)).collect())
    }

    /// The first of [`shorts`](DataSet::shorts).
    pub fn short(&self, tag: Tag) -> Option<u16> {
        self.shorts(tag)?.first().copied()
    }

    /// The first value of an attribute of doubles (FD), if it is a finite number.
    pub fn double(&self, tag: Tag) -> Option<f64> {
        let element = self.elements.get(&tag)?;
        let bytes = *element.bytes.first_chunk::<8>()?;
        let value = match element.encoding.big_endian {
            true => f64::from_be_bytes(bytes),
            false => f64::from_le_bytes(bytes),
        };
        value.is_finite().then_some(value)
    }

    /// The items of a sequence; none when it is absent.
    pub fn items(&self, tag: Tag) -> Result<Vec<DataSet<'a>>, Refusal> {
        let Some(element) = self.elements.get(&tag) else { return Ok(Vec::new()) };
        // PS3.5, 6.2.2 note 2: what stands inside a value of unknown representation is implicit little endian.
        let encoding = if element.vr == *b"UN" { IMPLICIT } else { element.encoding };
        let mut cursor = Cursor::within(element.bytes, encoding, self.depth + 1);
        let mut items = Vec::new();
        while !cursor.rest.is_empty() {
            let header = cursor.header()?;
            match (header.tag, header.length) {
                (ITEM, UNDEFINED) => items.push(cursor.elements(|tag| tag != ITEM_END)?),
                (ITEM, length) => {
                    let bytes = cursor.take(length as usize)?;
                    let mut item = Cursor::within(bytes, encoding, self.depth + 1);
                    items.push(item.elements(|_| true)?);
                    continue;
                }
                (SEQUENCE_END, _) => break,
                _ => return Err(garbled()),
            }
            cursor.header()?;
        }
        Ok(items)
    }

    /// The pixel data, if there is any.
    pub fn pixel_data(&self) -> Result<Option<PixelData<'a>>, Refusal> {
        let Some(element) = self.elements.get(&tags::PIXEL_DATA) else { return Ok(None) };
        let Element { vr, bytes, undefined, encoding } = *element;
        if !undefined {
            let native =
                PixelData::Native { bytes, words: vr != *b"OB", big_endian: encoding.big_endian };
            return Ok(Some(native));
        }
        let mut cursor = Cursor::new(bytes, encoding);
        let mut items = Vec::new();
        while !cursor.rest.is_empty() {
            items.extend(cursor.fragment()?);
        }
        let Some(((_, table), fragments)) = items.split_first() else { return Err(garbled()) };
        let first = fragments.first().map_or(0, |(at, _)| *at);
        let (offsets, _) = table.as_chunks::<4>();
        Ok(Some(PixelData::Encapsulated {
            offsets: offsets.iter().map(|offset| u32::from_le_bytes(*offset)).collect(),
            fragments: fragments.iter().map(|(at, bytes)| (at - first, *bytes)).collect(),
        }))
    }
}
