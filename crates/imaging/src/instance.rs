//! What is known of a DICOM instance beside its pixels: enough to find it, and to hand out it and its parts.

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::StandardDataDictionary;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The tag, as eight hexadecimal digits, of the attribute that is called so: by these digits, or by DICOM's keyword for it.
pub fn attribute_named(name: &str) -> Option<String> {
    if name.len() == 8 && name.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Some(name.to_ascii_uppercase());
    }
    let Tag(group, element) = StandardDataDictionary.by_name(name)?.tag();
    Some(format!("{group:04X}{element:04X}"))
}

/// A run of a file's bytes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Extent {
    /// Where it begins, in bytes from the file's begin.
    pub at: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

impl Extent {
    /// Where it ends: the place of the first byte behind it.
    pub fn end(self) -> u64 {
        self.at.saturating_add(self.bytes)
    }
}

/// One instance. It says whose it is: told to those alone who may know that, and without a `Debug` form.
#[derive(Clone, Deserialize, Serialize)]
pub struct Instance {
    /// (0008,0016).
    pub sop_class: String,
    /// (0008,0018).
    pub sop_instance: String,
    /// How it is written (0002,0010).
    pub transfer_syntax: String,
    /// Its attributes in the DICOM JSON model (PS3.18, F). What is long has an address in place of its value, `bulkdata/` and its
    /// tag, which is to be put behind the instance's own.
    pub attributes: Map<String, Value>,
    /// (0028,0008); 1 of an image that does not say, 0 of an instance without pixels.
    pub frames: u32,
    /// Where its pixels stand; None: it has none, or they cannot be told apart without unpacking the file.
    pub pixels: Option<PixelExtents>,
    /// Where the other long values stand, by tag, as eight hexadecimal digits.
    pub bulk: Vec<(String, Extent)>,
}

/// Where the pixels of an instance stand in its file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelExtents {
    /// One value, frame after frame without a gap.
    Native {
        /// All frames.
        all: Extent,
        /// How many bits a frame has.
        frame_bits: u64,
        /// Whether these are words of two bytes, the high one first.
        swapped: bool,
    },
    /// Fragments, frame by frame.
    Encapsulated(Vec<Vec<Extent>>),
}

/// An instance, and where it stands in the upload that has brought it.
#[derive(Clone, Deserialize, Serialize)]
pub struct StoredInstance {
    /// Its bytes in the upload.
    pub stored: Extent,
    /// Whether these are deflated (RFC 1951).
    pub packed: bool,
    /// How many bytes the instance has.
    pub bytes: u64,
    /// Their SHA-256, in lower-case hex.
    pub sha256: String,
    /// What it is.
    pub instance: Instance,
}
