//! What a file of PS3.10 says it is: what a door must know of an instance before it is taken.

use super::class::{self, Class};
use super::identity;
use super::reader::File;
use crate::decode::Limits;
use crate::{DicomInstance, Refusal, RefusalReason};

/// See [`instance_of`](crate::instance_of).
pub(in crate::decode) fn instance_of(
    bytes: &[u8],
    limits: &Limits,
) -> Result<DicomInstance, Refusal> {
    if bytes.get(128..132) != Some(b"DICM") {
        let what = "It is no DICOM file: those begin with a preamble and `DICM` (PS3.10).";
        return Err(RefusalReason::NotAnImage.refuse(what));
    }
    let file = File::read(bytes, limits)?;
    let set = file.data_set()?;
    let class = class::of(&file, &set)?;
    let said = identity(&set);
    let patient = said.patient_key().unwrap_or_default();
    let sop_class = said.sop_class_uid.or_else(|| file.sop_class.clone());
    let sop_instance = said.sop_instance_uids.into_iter().next();
    let classes = [file.sop_class.as_deref(), sop_class.as_deref()];
    let instances = [file.sop_instance.as_deref(), sop_instance.as_deref()];
    // What the head says is what others file it under.
    if differ(classes) || differ(instances) {
        return Err(RefusalReason::Corrupt
            .refuse("Its head names another instance than its data set (PS3.10, 7.1)."));
    }
    Ok(DicomInstance {
        study: said.study_instance_uid.unwrap_or_default(),
        series: said.series_instance_uid.unwrap_or_default(),
        sop_class: sop_class.unwrap_or_default(),
        sop_instance: sop_instance.or_else(|| file.sop_instance.clone()).unwrap_or_default(),
        patient,
        is_slice: matches!(class, Class::Image),
        data_set_at: file.data_set_at as u64,
        transfer_syntax: file.transfer_syntax.clone(),
    })
}

/// Whether both say something, and not the same.
fn differ(said: [Option<&str>; 2]) -> bool {
    matches!(said, [Some(one), Some(other)] if one != other)
}
