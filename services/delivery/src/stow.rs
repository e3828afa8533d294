//! DICOM objects to an archive, by STOW-RS (DICOM PS3.18, 10.5).
//!
//! The same result is the same object: what an archive has already counts as delivered.

use std::time::Duration;

use domain::{Random, Result, hex};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

use crate::objects::Object;
use crate::outcome::Outcome;
use crate::post::{Answered, Post, authorization, value};

/// What an archive has to take the objects in.
const WITHIN: Duration = Duration::from_secs(120);

/// Failed SOP Sequence, Failure Reason.
const FAILED_SOPS: &str = "00081198";
const FAILURE_REASON: &str = "00081197";

/// What archives say of an object that they have already: Duplicate SOP Instance (PS3.7, C.5.1), and what some say instead (B00E).
const DUPLICATES: [u64; 2] = [0x0111, 0xb00e];

/// Sends the objects in one request. `secret` is the value of `Authorization`; empty: none.
pub async fn send(
    post: &Post,
    (url, secret): (&str, &str),
    random: &Random,
    objects: &[Object],
) -> Result<Outcome> {
    let boundary = format!("medseg-{}", hex(&random.bytes::<16>()));
    let media_type = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, value(&media_type)?);
    headers.insert(ACCEPT, HeaderValue::from_static("application/dicom+json"));
    headers.extend(authorization(secret)?.map(|secret| (AUTHORIZATION, secret)));
    Ok(match post.send(url, headers, multipart(&boundary, objects), WITHIN).await {
        Ok(answered) => outcome(&answered, objects.len()),
        Err(words) => Outcome::Later(words),
    })
}

/// The objects as parts of one body (RFC 2387).
fn multipart(boundary: &str, objects: &[Object]) -> Vec<u8> {
    let mut body = Vec::with_capacity(objects.iter().map(|object| object.file.len() + 128).sum());
    for object in objects {
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(&object.file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}

/// What an archive's answer means: 200 all, 202 some and 409 none of them, with a reason for each that is not stored.
fn outcome(Answered { status, body }: &Answered, objects: usize) -> Outcome {
    let failures = failures(body);
    let code = status.as_u16();
    let stored = match (code, &failures) {
        // An archive that answers 200 need not list anything.
        (200 | 204, None) => !is_page(body),
        (200 | 202 | 409, Some(reasons)) => {
            let new = reasons.iter().filter(|reason| !DUPLICATES.contains(reason)).count();
            // That none is stored is said of objects that are named; without names, nothing is known of them.
            new == 0 && (code != 409 || !reasons.is_empty())
        }
        _ => false,
    };
    if stored {
        return Outcome::Delivered(duplicates(failures.as_deref().unwrap_or_default()));
    }
    let reasons: Vec<String> =
        failures.unwrap_or_default().iter().map(|reason| format!("{reason:04X}")).collect();
    let why = if reasons.is_empty() && is_page(body) {
        " with a page for people, such as one to sign in at: something else than an archive"
            .to_owned()
    } else if reasons.is_empty() {
        String::new()
    } else {
        let (failed, reasons) = (reasons.len(), reasons.join(", "));
        format!(": {failed} of {objects} objects are not stored, for the reasons {reasons}")
    };
    Outcome::Later(format!("it answered {status}{why}"))
}

/// Whether it is a page (HTML), as what stands before an archive answers with: it says nothing of any object.
fn is_page(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    let begins =
        |page: &[u8]| body.get(..page.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(page));
    begins(b"<!doctype html") || begins(b"<html")
}

fn duplicates(reasons: &[u64]) -> String {
    match reasons.len() {
        0 => String::new(),
        count => format!("{count} of them had been stored before"),
    }
}

/// The reasons of the objects that were not stored; None where the answer is no list of ours to read.
fn failures(body: &[u8]) -> Option<Vec<u64>> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    // Some archives put the one data set into a list.
    let dataset = answer.get(0).unwrap_or(&answer).as_object()?;
    let failed = dataset.get(FAILED_SOPS).and_then(|sequence| sequence["Value"].as_array());
    let reason = |item: &Value| item[FAILURE_REASON]["Value"][0].as_u64().unwrap_or(0);
    Some(failed.into_iter().flatten().map(reason).collect())
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use serde_json::json;

    use super::*;

    fn of(status: u16, answer: &Value) -> Outcome {
        let status = StatusCode::from_u16(status).unwrap();
        outcome(&Answered { status, body: answer.to_string().into_bytes() }, 3)
    }

    fn failing(reasons: &[u64]) -> Value {
        let failed = |reason: &u64| json!({ FAILURE_REASON: { "vr": "US", "Value": [reason] } });
        let items: Vec<Value> = reasons.iter().map(failed).collect();
        json!({ FAILED_SOPS: { "vr": "SQ", "Value": items } })
    }

    #[test]
    fn what_an_archive_has_is_delivered_whether_it_had_it_before_or_not() {
        let stored = json!({ "00081199": { "vr": "SQ", "Value": [{}] } });
        for (status, answer) in [
            (200, stored.clone()),
            (200, json!("stored")),
            (202, failing(&[0x0111])),
            (409, failing(&[0x0111, 0xb00e, 0x0111])),
            (409, json!([failing(&[0x0111])])),
        ] {
            assert_eq!(of(status, &answer).name(), "delivered", "{status} {answer}");
        }
        let Outcome::Delivered(words) = of(409, &failing(&[0x0111])) else { panic!("delivered") };
        assert_eq!(words, "1 of them had been stored before");
    }

    #[test]
    fn what_an_archive_has_not_stored_is_sent_again_and_the_reasons_are_said() {
        for (status, answer) in [
            (202, json!("some")),
            (409, json!({})),
            (409, failing(&[])),
            (409, failing(&[0x0111, 0x0110])),
            (200, failing(&[0xa700])),
            (401, json!({})),
            (503, json!({})),
        ] {
            assert_eq!(of(status, &answer).name(), "later", "{status} {answer}");
        }
        let Outcome::Later(words) = of(202, &failing(&[0xa700])) else { panic!("later") };
        let said = "it answered 202 Accepted: 1 of 3 objects are not stored, for the reasons A700";
        assert_eq!(words, said);
    }

    #[test]
    fn a_page_for_people_says_nothing_of_objects_and_xml_does() {
        let of = |body: &str| {
            let body = body.as_bytes().to_vec();
            outcome(&Answered { status: StatusCode::OK, body }, 3)
        };
        for page in ["\n<!DOCTYPE html><title>Sign in</title>", "<HTML lang=\"en\">"] {
            let later = of(page);
            assert_eq!(later.name(), "later", "{page}");
            assert!(later.words().starts_with("it answered 200 OK with a page"), "{page}");
        }
        for stored in ["", "<?xml version=\"1.0\"?><NativeDicomModel/>"] {
            assert_eq!(of(stored).name(), "delivered", "{stored}");
        }
    }

    #[test]
    fn each_object_is_a_part_byte_for_byte() {
        let object = |file: &[u8]| Object { name: "sr.dcm".into(), file: file.to_vec() };
        let body = multipart("b", &[object(b"one"), object(b"\r\n--two")]);
        let expected = "--b\r\nContent-Type: application/dicom\r\n\r\none\r\n\
                        --b\r\nContent-Type: application/dicom\r\n\r\n\r\n--two\r\n--b--\r\n";
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}
