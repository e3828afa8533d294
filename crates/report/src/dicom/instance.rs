//! An object as it goes over DICOM's network: its data set, without what only a file has around it (PS3.10, 7.1).

use std::io::Cursor;

use dicom_dictionary_std::uids;
use dicom_object::{FileMetaTableBuilder, from_reader};
use domain::{Error, ErrorKind, Result};

/// Preamble, `DICM`, and the element that says how long the meta information behind it is.
const HEAD: usize = 128 + 4 + 12;

/// The transfer syntaxes that an instance can be sent in, the one first that it is written in.
pub const TRANSFER_SYNTAXES: [&str; 2] =
    [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];

/// An object that was written here.
pub struct Instance {
    /// Its SOP class UID.
    pub class: String,
    /// Its SOP instance UID.
    pub uid: String,
    file: Vec<u8>,
}

impl Instance {
    /// The object in that file. `Internal` for one that was not written here.
    pub fn of(file: Vec<u8>) -> Result<Instance> {
        let object = from_reader(Cursor::new(&file)).map_err(unsound)?;
        let meta = object.meta();
        let class = meta.media_storage_sop_class_uid().to_owned();
        let uid = meta.media_storage_sop_instance_uid().to_owned();
        Ok(Instance { class, uid, file })
    }

    /// Its data set in one of [`TRANSFER_SYNTAXES`]. `Internal` for another.
    pub fn data_set(&self, transfer_syntax: &str) -> Result<Vec<u8>> {
        match transfer_syntax {
            uids::EXPLICIT_VR_LITTLE_ENDIAN => data_set(&self.file).map(<[u8]>::to_vec),
            uids::IMPLICIT_VR_LITTLE_ENDIAN => self.implicit(),
            _ => Err(ErrorKind::Internal.error("an object is sent in no such transfer syntax")),
        }
    }

    /// For those who take nothing but the default transfer syntax (PS3.5, 10.1).
    fn implicit(&self) -> Result<Vec<u8>> {
        let object = from_reader(Cursor::new(&self.file)).map_err(unsound)?.into_inner();
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(uids::IMPLICIT_VR_LITTLE_ENDIAN)
            .media_storage_sop_class_uid(self.class.as_str())
            .media_storage_sop_instance_uid(self.uid.as_str());
        let mut file = Vec::new();
        let object = object.with_meta(meta).map_err(unsound)?;
        object.write_all(&mut file).map_err(unsound)?;
        data_set(&file).map(<[u8]>::to_vec)
    }
}

/// What is behind the meta information.
fn data_set(file: &[u8]) -> Result<&[u8]> {
    let cut = || ErrorKind::Internal.error("a DICOM object ends in its head");
    let length = file.get(HEAD - 4..HEAD).and_then(|value| value.first_chunk::<4>());
    let length = u32::from_le_bytes(*length.ok_or_else(cut)?) as usize;
    file.get(HEAD + length..).ok_or_else(cut)
}

fn unsound<E: std::error::Error + Send + Sync + 'static>(error: E) -> Error {
    ErrorKind::Internal.error("a DICOM object cannot be read back").because(error)
}

#[cfg(test)]
mod tests {
    use dicom_core::VR;
    use dicom_dictionary_std::tags;
    use dicom_object::InMemDicomObject;

    use super::*;
    use crate::dicom::element::{code, item, sequence, text};

    fn file() -> Vec<u8> {
        let object = InMemDicomObject::from_element_iter([
            text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
            text(tags::SOP_CLASS_UID, VR::UI, uids::BASIC_TEXT_SR_STORAGE),
            text(tags::SOP_INSTANCE_UID, VR::UI, "2.25.1"),
            text(tags::PATIENT_NAME, VR::PN, "Dupré^Zoé"),
            sequence(
                tags::CONTENT_SEQUENCE,
                vec![item(vec![code(
                    tags::CONCEPT_NAME_CODE_SEQUENCE,
                    crate::dicom::codes::NEOPLASM,
                )])],
            ),
        ]);
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
            .media_storage_sop_class_uid(uids::BASIC_TEXT_SR_STORAGE)
            .media_storage_sop_instance_uid("2.25.1");
        let mut file = Vec::new();
        object.with_meta(meta).unwrap().write_all(&mut file).unwrap();
        file
    }

    #[test]
    fn an_instance_is_the_data_set_of_its_file_in_either_transfer_syntax() {
        let file = file();
        let instance = Instance::of(file.clone()).unwrap();
        assert_eq!(
            (instance.class.as_str(), instance.uid.as_str()),
            (uids::BASIC_TEXT_SR_STORAGE, "2.25.1")
        );
        let explicit = instance.data_set(uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        assert!(file.ends_with(&explicit));
        // (0008,0005) CS of ten bytes: with its VR, and without.
        assert!(explicit.starts_with(b"\x08\0\x05\0CS\x0a\0ISO_IR 192"));
        let implicit = instance.data_set(uids::IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
        assert!(implicit.starts_with(b"\x08\0\x05\0\x0a\0\0\0ISO_IR 192"));
        for data_set in [&explicit, &implicit] {
            let name = "Dupré^Zoé".as_bytes();
            assert!(data_set.windows(name.len()).any(|part| part == name), "in UTF-8");
        }
        assert!(instance.data_set("1.2.840.10008.1.2.2").is_err());
        assert!(Instance::of(b"none".to_vec()).is_err());
    }
}
