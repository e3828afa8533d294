//! DICOM files made element by element, so that each encoding and each lie can be written.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

#[derive(Clone, Copy)]
pub struct Writer {
    pub syntax: &'static str,
    pub explicit: bool,
    pub big_endian: bool,
}

pub const EXPLICIT: Writer =
    Writer { syntax: "1.2.840.10008.1.2.1", explicit: true, big_endian: false };
pub const IMPLICIT: Writer =
    Writer { syntax: "1.2.840.10008.1.2", explicit: false, big_endian: false };
pub const BIG: Writer = Writer { syntax: "1.2.840.10008.1.2.2", explicit: true, big_endian: true };
pub const DEFLATED: Writer = Writer { syntax: "1.2.840.10008.1.2.1.99", ..EXPLICIT };

pub type Element = (Tag, &'static str, Vec<u8>);

impl Writer {
    pub fn u16(&self, value: u16) -> Vec<u8> {
        if self.big_endian { value.to_be_bytes().into() } else { value.to_le_bytes().into() }
    }

    pub fn u32(&self, value: u32) -> Vec<u8> {
        if self.big_endian { value.to_be_bytes().into() } else { value.to_le_bytes().into() }
    }

    pub fn element(&self, (tag, vr, value): &Element) -> Vec<u8> {
        self.with_length(*tag, vr, value.len() as u32, value)
    }

    pub fn with_length(&self, tag: Tag, vr: &str, length: u32, value: &[u8]) -> Vec<u8> {
        let mut bytes = [self.u16(tag.group()), self.u16(tag.element())].concat();
        let item = tag.group() == 0xfffe;
        match (self.explicit && !item, matches!(vr, "OB" | "OW" | "SQ" | "UN" | "UT")) {
            (false, _) => bytes.extend(self.u32(length)),
            (true, true) => bytes.extend([vr.as_bytes(), &[0, 0], &self.u32(length)].concat()),
            (true, false) => bytes.extend([vr.as_bytes(), &self.u16(length as u16)].concat()),
        }
        [bytes, value.to_vec()].concat()
    }

    pub fn us(&self, tag: Tag, value: u16) -> Element {
        (tag, "US", self.u16(value))
    }

    /// A sequence of undefined length whose items are too.
    pub fn sequence(&self, tag: Tag, items: &[Vec<Element>]) -> Element {
        let delimiter = |element| self.with_length(Tag(0xfffe, element), "", 0, &[]);
        let item = |elements: &Vec<Element>| {
            let body =
                elements.iter().flat_map(|element| self.element(element)).collect::<Vec<_>>();
            [self.with_length(Tag(0xfffe, 0xe000), "", u32::MAX, &body), delimiter(0xe00d)].concat()
        };
        let body: Vec<u8> = items.iter().flat_map(item).collect();
        // Marked: `file` writes an undefined length and the delimiter.
        (tag, "SQ", body)
    }

    /// Pixel data of encapsulated fragments, with an empty offset table.
    pub fn encapsulated(&self, fragments: &[&[u8]]) -> Vec<u8> {
        let item =
            |bytes: &[u8]| self.with_length(Tag(0xfffe, 0xe000), "", bytes.len() as u32, bytes);
        let items: Vec<u8> =
            std::iter::once(item(&[])).chain(fragments.iter().map(|f| item(f))).flatten().collect();
        let end = self.with_length(Tag(0xfffe, 0xe0dd), "", 0, &[]);
        self.with_length(tags::PIXEL_DATA, "OB", u32::MAX, &[items, end].concat())
    }

    pub fn data_set(&self, elements: &[Element]) -> Vec<u8> {
        let mut elements = elements.to_vec();
        elements.sort_by_key(|(tag, ..)| *tag);
        elements.iter().flat_map(|element| self.element(element)).collect()
    }

    /// A whole file with preamble and meta group.
    pub fn file(&self, data_set: &[u8]) -> Vec<u8> {
        let meta = EXPLICIT.element(&(tags::TRANSFER_SYNTAX_UID, "UI", text(self.syntax)));
        let length = EXPLICIT.element(&(Tag(2, 0), "UL", EXPLICIT.u32(meta.len() as u32)));
        let body =
            if self.syntax == DEFLATED.syntax { deflated(data_set) } else { data_set.to_vec() };
        [vec![0; 128], b"DICM".to_vec(), length, meta, body].concat()
    }
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut packed = Vec::new();
    flate2::read::DeflateEncoder::new(bytes, flate2::Compression::fast())
        .read_to_end(&mut packed)
        .unwrap();
    packed
}

pub fn text(value: &str) -> Vec<u8> {
    let mut bytes = value.as_bytes().to_vec();
    if bytes.len() % 2 == 1 {
        bytes.push(b' ');
    }
    bytes
}

/// An MR slice of 4 columns and 2 rows, with these pixels (16 bit, 12 stored), and what `more` says besides.
pub fn slice(writer: Writer, pixels: &[i32; 8], more: &[Element]) -> Vec<Element> {
    let mut elements = vec![
        (tags::MODALITY, "CS", text("MR")),
        (tags::PATIENT_ID, "LO", text("4711")),
        writer.us(tags::SAMPLES_PER_PIXEL, 1),
        (tags::PHOTOMETRIC_INTERPRETATION, "CS", text("MONOCHROME2")),
        writer.us(tags::ROWS, 2),
        writer.us(tags::COLUMNS, 4),
        writer.us(tags::BITS_ALLOCATED, 16),
        writer.us(tags::BITS_STORED, 12),
        writer.us(tags::HIGH_BIT, 11),
        writer.us(tags::PIXEL_REPRESENTATION, 0),
        (
            tags::PIXEL_DATA,
            "OW",
            pixels.iter().flat_map(|pixel| writer.u16(*pixel as u16)).collect(),
        ),
    ];
    elements.retain(|(tag, ..)| more.iter().all(|(other, ..)| other != tag));
    elements.extend_from_slice(more);
    elements
}

/// Where a slice of [`slice`]'s size lies.
pub fn place(z: f64) -> Vec<Element> {
    vec![
        (tags::IMAGE_POSITION_PATIENT, "DS", text(&format!("-10\\-20\\{z}"))),
        (tags::IMAGE_ORIENTATION_PATIENT, "DS", text("1\\0\\0\\0\\1\\0")),
        (tags::PIXEL_SPACING, "DS", text("0.5\\0.25")),
        (tags::SLICE_THICKNESS, "DS", text("9")),
    ]
}
