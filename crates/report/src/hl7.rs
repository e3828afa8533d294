//! A result as an HL7 v2.5.1 message (ORU^R01), for the hospital's information system.
//!
//! All text is UTF-8, as MSH-18 says. The same result of the same patient is the same message, under the same control id.

mod observation;
mod segment;

use domain::identity::person;
use domain::{Identity, hex};
use imaging::ResultDocument;
use sha2::{Digest, Sha256};

use crate::dicom::{file, uid};
use crate::written::day;
use segment::{escaped, joined, segment};

/// Characters of a message control id (MSH-10).
const CONTROL_ID: usize = 20;

/// The message: each segment ends with a carriage return. Without a patient where nobody knows whose scan it is.
pub fn message(identity: &Identity, result: &ResultDocument) -> Vec<u8> {
    let segments = patient(identity).into_iter().chain([request(identity, result)]);
    let segments = segments.chain(observation::all(identity, result));
    let body: String = segments.map(|segment| segment + "\r").collect();
    let header = header(&body, &at(result));
    (header + "\r" + &body).into_bytes()
}

/// When the result was made (UTC).
fn at(result: &ResultDocument) -> String {
    let (date, time) = file::moment(result.timing.finished_ms);
    format!("{date}{time}+0000")
}

/// What sends which message. It is named by all that follows: other words are another message.
fn header(body: &str, at: &str) -> String {
    let digest = hex(&Sha256::digest(body));
    let id = &digest[..CONTROL_ID];
    format!("MSH|^~\\&|medseg||||{at}||ORU^R01^ORU_R01|{id}|P|2.5.1||||||UNICODE UTF-8")
}

/// Whose scan it is; None where the file does not say.
fn patient(identity: &Identity) -> Option<String> {
    identity.patient_key()?;
    let [id, ..] = identity.keys();
    let issuer = identity.issuer_of_patient_id.as_deref().unwrap_or_default().trim();
    let sex = identity.patient_sex.as_deref().unwrap_or_default().trim();
    let sex = if ["M", "F", "O"].contains(&sex) { sex } else { "U" };
    let born = identity.patient_birth_date.as_deref().and_then(day);
    Some(segment(
        "PID",
        &[
            (1, "1".into()),
            (3, joined(&[id.as_str(), "", "", issuer])),
            (5, name(identity)),
            (7, born.map_or_else(String::new, digits)),
            (8, sex.into()),
        ],
    ))
}

/// A person's name: a repetition for each way in which it is written.
fn name(identity: &Identity) -> String {
    /// Alphabetic, ideographic, phonetic: as DICOM orders them.
    const WRITTEN: [&str; 3] = ["A", "I", "P"];
    /// A name of which nothing is known.
    const UNSPECIFIED: &str = "^^^^^^U";
    let name = person(identity.patient_name.as_deref());
    if name.is_empty() {
        return UNSPECIFIED.into();
    }
    let groups: Vec<&str> = name.split('=').collect();
    let several = groups.len() > 1;
    let groups = groups.into_iter().zip(WRITTEN).filter(|(group, _)| !group.is_empty());
    let groups = groups.map(|(group, written)| {
        // DICOM has the prefix before the suffix, HL7 after it.
        let mut parts = group.split('^');
        let [family, given, middle, prefix, suffix] =
            std::array::from_fn(|_| parts.next().unwrap_or_default());
        let written = if several { written } else { "" };
        joined(&[family, given, middle, suffix, prefix, "", "", written])
    });
    groups.collect::<Vec<_>>().join("~")
}

/// Which examination it is of. Preliminary: nobody has looked at it.
fn request(identity: &Identity, result: &ResultDocument) -> String {
    let [_, accession, _] = identity.keys();
    segment(
        "OBR",
        &[
            (1, "1".into()),
            (3, joined(&[result.scan_id.as_str(), "medseg"])),
            (4, joined(&["18748-4", "Diagnostic imaging study", "LN"])),
            (7, examined(identity)),
            // Where radiology departments look for it.
            (18, escaped(if is_long(&accession) { "" } else { accession.as_str() })),
            (22, at(result)),
            (24, "RAD".into()),
            (25, "P".into()),
        ],
    )
}

/// Whether a number of an order is longer than its field (OBR-18). Cut, it would be another order's.
fn is_long(accession: &str) -> bool {
    const CHARS_MAX: usize = 60;
    accession.chars().count() > CHARS_MAX
}

/// When the scan was made, in the scanner's local time, as far as its file says.
fn examined(identity: &Identity) -> String {
    let Some(date) = identity.study_date.as_deref().and_then(day) else {
        return String::new();
    };
    let time = identity.study_time.as_deref().unwrap_or_default().trim();
    let time = time.get(..6).filter(|time| time.bytes().all(|byte| byte.is_ascii_digit()));
    digits(date) + time.unwrap_or_default()
}

fn digits(date: time::Date) -> String {
    format!("{:04}{:02}{:02}", date.year(), u8::from(date.month()), date.day())
}

/// The UID of the study; None where the file has none.
fn study(identity: &Identity) -> Option<String> {
    let [_, _, study] = identity.keys();
    uid::is_uid(&study).then_some(study)
}

#[cfg(test)]
mod tests;
