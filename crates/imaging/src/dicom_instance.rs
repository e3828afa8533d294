use serde::{Deserialize, Serialize};

/// What a DICOM file says it is. Texts are empty where it does not say, and nobody has looked whether they are UIDs.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DicomInstance {
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID.
    pub series: String,
    /// SOP Class UID, of the data set, else of the head.
    pub sop_class: String,
    /// SOP Instance UID, of the data set, else of the head.
    pub sop_instance: String,
    /// In which the data set is written.
    pub transfer_syntax: String,
    /// What its patient is called: number and issuer, as a scan's binding has them. Never logged.
    #[serde(default)]
    pub patient: String,
    /// Whether it may hold a slice: a report or a mask does not.
    pub is_slice: bool,
    /// The byte of the file at which the data set begins, behind preamble and head.
    pub data_set_at: u64,
}
