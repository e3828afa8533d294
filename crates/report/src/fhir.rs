//! A result as a FHIR R4 (4.0.1) bundle: a report with its observations, the study that they are of, and the device that made them.
//!
//! A collection: whoever receives it decides what to keep. Ids are digests of scan, model and what is named, so that the same result has
//! the same ids; all references are to entries of the bundle. A patient is in it by number alone, and only where the number means one.
//!
//! Or a transaction, for a server that is to keep it: of each resource it makes what it does not have, by an identifier of ours. The
//! patient is referred to by number and not made, for without the system that a number is of nobody knows which patient it means.

mod capability;
mod codes;
mod model;
mod observations;
mod subjects;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{ErrorKind, Identity, Result, rfc3339};
use imaging::ResultDocument;

use crate::dicom::uid::{is_uid, uuid};
use crate::written::{day, iso};
use crate::{Language, MEDIA_TYPE, dicom, names, plain};
pub use capability::{Offered, capability_statement};
use codes::{coding, concept};
use model::{
    Attachment, Bundle, Coding, Concept, DiagnosticReport, Entry, Identifier, Meta, Reference,
    Request, Resource,
};

/// Names that are unique in the world (RFC 3986).
const URI: &str = "urn:ietf:rfc:3986";
/// UIDs of DICOM.
const DICOM_UID: &str = "urn:dicom:uid";
/// Of all that is said: nobody has looked at it.
const PRELIMINARY: &str = "preliminary";

/// The bundle, with the printed report if there is one, and the language that it is in.
pub fn bundle(
    identity: &Identity,
    result: &ResultDocument,
    printed: Option<(&[u8], Language)>,
) -> Result<Vec<u8>> {
    written(&Of::new(identity, result), printed)
}

/// The same, without a printed report, as a transaction that a server executes: done twice, it is done once.
pub fn transaction(identity: &Identity, result: &ResultDocument) -> Result<Vec<u8>> {
    written(&Of { executed: true, ..Of::new(identity, result) }, None)
}

fn written(of: &Of<'_>, printed: Option<(&[u8], Language)>) -> Result<Vec<u8>> {
    let (observations, members) = observations::all(of);
    let mut entry = vec![of.entry(REPORT, report(of, members, printed))];
    entry.extend(observations);
    entry.extend(subjects::study(of).map(|study| of.entry(STUDY, study)));
    entry.push(of.entry(DEVICE, subjects::device(of)));
    let patient = of.patient.as_ref().filter(|_| !of.executed);
    entry.extend(patient.map(|patient| of.entry(PATIENT, subjects::patient(of, patient))));
    let bundle = Bundle {
        resource_type: "Bundle",
        id: of.id(&["bundle"]),
        meta: meta(),
        identifier: identifier(URI, of.urn(&["bundle"])),
        kind: if of.executed { "transaction" } else { "collection" },
        timestamp: of.issued.clone(),
        entry,
    };
    serde_json::to_vec(&bundle)
        .map_err(|error| ErrorKind::Internal.error("a bundle cannot be written").because(error))
}

const REPORT: &[&str] = &["report"];
const STUDY: &[&str] = &["study"];
const DEVICE: &[&str] = &["device"];
const PATIENT: &[&str] = &["patient"];

/// What the resources are made of.
struct Of<'a> {
    identity: &'a Identity,
    result: &'a ResultDocument,
    /// Whether it is a transaction.
    executed: bool,
    /// The patient's number and who has given it; None where nobody knows whose scan it is.
    patient: Option<[String; 2]>,
    /// Study and series; None where the scan did not come with both.
    study: Option<[String; 2]>,
    accession: Option<String>,
    /// The day of the examination.
    effective: Option<String>,
    /// When the result was made.
    issued: Option<String>,
}

impl<'a> Of<'a> {
    fn new(identity: &'a Identity, result: &'a ResultDocument) -> Of<'a> {
        let trimmed = |text: &Option<String>| {
            text.as_deref().unwrap_or_default().trim_matches([' ', '\0']).to_owned()
        };
        let [number, accession, study] = identity.keys();
        let series = trimmed(&identity.series_instance_uid);
        let is_study = is_uid(&study) && is_uid(&series);
        let issuer = trimmed(&identity.issuer_of_patient_id);
        Of {
            identity,
            result,
            executed: false,
            patient: identity.patient_key().map(|_| [number, issuer]),
            study: is_study.then_some([study, series]),
            accession: Some(accession).filter(|accession| !accession.is_empty()),
            effective: identity.study_date.as_deref().and_then(day).map(iso),
            issued: rfc3339(result.timing.finished_ms),
        }
    }

    /// The id of something of this result.
    fn id(&self, words: &[&str]) -> String {
        let hex =
            format!("{:032x}", uuid(&names::of(self.result, &[&["fhir"][..], words].concat())));
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }

    fn urn(&self, words: &[&str]) -> String {
        format!("urn:uuid:{}", self.id(words))
    }

    fn entry(&self, words: &[&str], mut resource: Resource) -> Entry {
        let request = self.executed.then(|| {
            if let Resource::Observation(observation) = &mut resource {
                observation.identifier.insert(0, identifier(URI, self.urn(words)));
            }
            self.request(words, &resource)
        });
        Entry { full_url: self.urn(words), resource, request }
    }

    /// Makes the resource where the server has none of its identifier: study and device by what all their results have, anything else
    /// by what it is called here. A resource that is there stays as it is, whoever has changed it since.
    fn request(&self, words: &[&str], resource: &Resource) -> Request {
        let (url, shared) = match resource {
            Resource::DiagnosticReport(_) => ("DiagnosticReport", None),
            Resource::Observation(_) => ("Observation", None),
            Resource::ImagingStudy(study) => ("ImagingStudy", study.identifier.first()),
            Resource::Device(device) => ("Device", device.identifier.first()),
            Resource::Patient(_) => ("Patient", None),
        };
        let value = match shared {
            Some(Identifier { value, .. }) => format!("{DICOM_UID}|{value}"),
            None => format!("{URI}|{}", self.urn(words)),
        };
        Request { method: "POST", url, if_none_exist: format!("identifier={value}") }
    }

    fn reference(&self, words: &[&str]) -> Reference {
        Reference::Within(self.urn(words))
    }

    fn subject(&self) -> Option<Reference> {
        let patient = self.patient.as_ref()?;
        if !self.executed {
            return Some(self.reference(PATIENT));
        }
        Some(Reference::Identifier(Box::new(subjects::number(patient))))
    }

    fn studies(&self) -> Vec<Reference> {
        self.study.iter().map(|_| self.reference(STUDY)).collect()
    }

    /// The order's number in the hospital's information system.
    fn order(&self) -> Option<Identifier> {
        let accession = self.accession.clone()?;
        let kind = Concept { coding: vec![codes::ACCESSION], text: None };
        Some(Identifier { kind: Some(kind), system: None, value: accession, assigner: None })
    }
}

fn report(of: &Of<'_>, members: Vec<Reference>, printed: Option<(&[u8], Language)>) -> Resource {
    let [_, own] = dicom::coded(of.result.answer);
    let order = of.order().map(|number| Reference::Identifier(Box::new(number)));
    let conclusion = [vec![plain::conclusion(of.result)], plain::remarks(of.result)].concat();
    Resource::DiagnosticReport(Box::new(DiagnosticReport {
        id: of.id(REPORT),
        meta: meta(),
        identifier: vec![
            identifier(URI, format!("urn:uuid:{}", of.result.scan_id)),
            identifier(URI, of.urn(REPORT)),
        ],
        based_on: order.into_iter().collect(),
        status: PRELIMINARY,
        category: vec![Concept { coding: vec![codes::RADIOLOGY], text: None }],
        code: Concept { coding: vec![codes::IMAGING_REPORT], text: None },
        subject: of.subject(),
        effective_date_time: of.effective.clone(),
        issued: of.issued.clone(),
        result: members,
        imaging_study: of.studies(),
        conclusion: conclusion.join(" "),
        conclusion_code: vec![concept(own)],
        presented_form: printed.into_iter().map(attached).collect(),
    }))
}

fn attached((pdf, language): (&[u8], Language)) -> Attachment {
    Attachment {
        content_type: MEDIA_TYPE,
        language: match language {
            Language::English => "en",
            Language::French => "fr",
        },
        data: STANDARD.encode(pdf),
        title: language.words().title,
    }
}

/// What every resource says of itself: it is for research.
fn meta() -> Meta {
    Meta { security: vec![codes::RESEARCH], tag: vec![coding(codes::RESEARCH_ONLY)] }
}

fn identifier(system: &'static str, value: String) -> Identifier {
    Identifier { kind: None, system: Some(system), value, assigner: None }
}

/// A UID of DICOM as a name.
fn uid_identifier(uid: &str) -> Identifier {
    identifier(DICOM_UID, format!("urn:oid:{uid}"))
}

/// A class of DICOM objects.
fn class(uid: &str) -> Coding {
    Coding { system: URI, code: format!("urn:oid:{uid}").into(), display: None }
}
