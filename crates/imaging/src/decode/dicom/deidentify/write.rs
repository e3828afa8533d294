//! Elements as a file: Explicit VR little endian (PS3.5, A.2; PS3.10, 7.1).

use std::collections::BTreeMap;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_object::IMPLEMENTATION_CLASS_UID;

use super::super::cursor::ITEM;

/// What was done (PS3.16, CID 7050): each code with its meaning.
const CODES: [(&str, &str); 4] = [
    ("113100", "Basic Application Confidentiality Profile"),
    ("113103", "Clean Graphics Option"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
];

/// Elements in the order of their tags.
#[derive(Default)]
pub struct Elements(BTreeMap<Tag, ([u8; 2], Vec<u8>)>);

impl Elements {
    /// Puts a value, made even as its representation asks for, in the place of any other.
    pub fn put(&mut self, tag: Tag, vr: [u8; 2], mut value: Vec<u8>) {
        if value.len() % 2 == 1 {
            let binary = matches!(&vr, b"UI" | b"OB" | b"UN");
            value.push(if binary { 0 } else { b' ' });
        }
        self.0.insert(tag, (vr, value));
    }

    /// Puts a sequence.
    pub fn put_items(&mut self, tag: Tag, items: &[Elements]) {
        let mut value = Vec::new();
        for item in items {
            let body = item.bytes();
            value.extend(of_tag(ITEM));
            value.extend((body.len() as u32).to_le_bytes());
            value.extend(body);
        }
        self.0.insert(tag, (*b"SQ", value));
    }

    /// A text without its padding; None where it is not there.
    pub fn text(&self, tag: Tag) -> Option<String> {
        let (_, value) = self.0.get(&tag)?;
        let text = String::from_utf8_lossy(value);
        Some(text.trim_end_matches([' ', '\0']).to_owned())
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, (vr, value)) in &self.0 {
            let long = matches!(
                vr,
                b"OB"
                    | b"OD"
                    | b"OF"
                    | b"OL"
                    | b"OV"
                    | b"OW"
                    | b"SQ"
                    | b"UC"
                    | b"UN"
                    | b"UR"
                    | b"UT"
            );
            // Implicit encodings hold more than most representations have a length for (PS3.5, 6.2.2: UN).
            let fits = long || u16::try_from(value.len()).is_ok();
            let (vr, long) = if fits { (vr, long) } else { (b"UN", true) };
            bytes.extend(of_tag(*tag));
            bytes.extend(vr);
            if long {
                bytes.extend([0, 0]);
                bytes.extend((value.len() as u32).to_le_bytes());
            } else {
                bytes.extend((value.len() as u16).to_le_bytes());
            }
            bytes.extend(value);
        }
        bytes
    }
}

fn of_tag(tag: Tag) -> [u8; 4] {
    let ([a, b], [c, d]) = (tag.group().to_le_bytes(), tag.element().to_le_bytes());
    [a, b, c, d]
}

/// The items of (0012,0064).
pub fn codes() -> Vec<Elements> {
    let code = |(value, meaning): (&str, &str)| {
        let mut item = Elements::default();
        item.put(tags::CODE_VALUE, *b"SH", value.into());
        item.put(tags::CODING_SCHEME_DESIGNATOR, *b"SH", b"DCM".to_vec());
        item.put(tags::CODE_MEANING, *b"LO", meaning.into());
        item
    };
    CODES.into_iter().map(code).collect()
}

/// The whole file of these elements, with an empty preamble.
pub fn file(elements: &Elements, class: &str, instance: &str) -> Vec<u8> {
    let mut meta = Elements::default();
    meta.put(tags::FILE_META_INFORMATION_VERSION, *b"OB", vec![0, 1]);
    let said = [
        (tags::MEDIA_STORAGE_SOP_CLASS_UID, class),
        (tags::MEDIA_STORAGE_SOP_INSTANCE_UID, instance),
        (tags::TRANSFER_SYNTAX_UID, uids::EXPLICIT_VR_LITTLE_ENDIAN),
        (tags::IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_CLASS_UID),
    ];
    for (tag, uid) in said {
        meta.put(tag, *b"UI", uid.as_bytes().to_vec());
    }
    let meta = meta.bytes();
    let mut length = Elements::default();
    let bytes = (meta.len() as u32).to_le_bytes().to_vec();
    length.put(tags::FILE_META_INFORMATION_GROUP_LENGTH, *b"UL", bytes);
    [vec![0; 128], b"DICM".to_vec(), length.bytes(), meta, elements.bytes()].concat()
}
