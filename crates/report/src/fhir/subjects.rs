//! Of what and of whom a result is, and what has made it.

use imaging::Modality;

use super::codes::coding;
use super::model::{
    Concept, Device, DeviceName, Identifier, ImagingStudy, Instance, Patient, Reference, Resource,
    Series, Version,
};
use super::{DEVICE, Of, PATIENT, STUDY, class, meta, uid_identifier};
use crate::dicom::uid::is_uid;
use crate::dicom::{codes, equipment};
use crate::names;

/// The study, with the one series of it that was analysed; None where the scan did not come with their UIDs.
pub fn study(of: &Of<'_>) -> Option<Resource> {
    let [study, series] = of.study.as_ref()?;
    let modality = of.result.image.as_ref().and_then(|image| image.modality);
    let modality = match modality {
        Some(Modality::MagneticResonance) => codes::MR,
        Some(Modality::ComputedTomography) => codes::CT,
        None => codes::OTHER,
    };
    let series =
        Series { uid: series.clone(), modality: coding(modality), instance: instances(of) };
    let unknown = || Reference::Display("not known".into());
    Some(Resource::ImagingStudy(Box::new(ImagingStudy {
        id: of.id(STUDY),
        meta: meta(),
        identifier: [uid_identifier(study)].into_iter().chain(of.order()).collect(),
        status: "available",
        subject: of.subject().unwrap_or_else(unknown),
        started: of.effective.clone(),
        series: vec![series],
    })))
}

/// The images, if the files say what each of them is.
fn instances(of: &Of<'_>) -> Vec<Instance> {
    let plain = |uid: &str| uid.trim_matches([' ', '\0']).to_owned();
    let kind = of.identity.sop_class_uid.as_deref().map(plain).filter(|kind| is_uid(kind));
    let Some(kind) = kind else { return Vec::new() };
    let uids = of.identity.sop_instance_uids.iter().map(|uid| plain(uid));
    uids.filter(|uid| is_uid(uid)).map(|uid| Instance { uid, sop_class: class(&kind) }).collect()
}

/// This software, with that model.
pub fn device(of: &Of<'_>) -> Resource {
    let version = |what: &str, value: String| Version {
        kind: Concept { coding: Vec::new(), text: Some(what.to_owned()) },
        value,
    };
    let digest = equipment::serial_number(of.result);
    Resource::Device(Box::new(Device {
        id: of.id(DEVICE),
        meta: meta(),
        identifier: vec![uid_identifier(&names::uid_of_model(of.result))],
        manufacturer: equipment::MANUFACTURER,
        serial_number: digest.clone(),
        device_name: vec![DeviceName {
            name: equipment::model_name(of.result),
            kind: "model-name",
        }],
        model_number: equipment::model_version(of.result),
        version: vec![
            version("model", equipment::model_version(of.result)),
            version("weights, SHA-256", digest),
            version("software", of.result.header.software.clone()),
        ],
    }))
}

/// By number alone: who may know more looks it up.
pub fn patient(of: &Of<'_>, patient: &[String; 2]) -> Resource {
    Resource::Patient(Box::new(Patient {
        id: of.id(PATIENT),
        meta: meta(),
        identifier: vec![number(patient)],
    }))
}

/// A patient's number, with who has given it.
pub fn number([number, issuer]: &[String; 2]) -> Identifier {
    let assigner = (!issuer.is_empty()).then(|| Reference::Display(issuer.clone()));
    Identifier { kind: None, system: None, value: number.clone(), assigner }
}
