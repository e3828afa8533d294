//! A result as FHIR resources, to a server's base, in one transaction: all of it is there or nothing.
//!
//! Each resource is made only where the server has none of its identifier: what is sent twice is there once.

use std::time::Duration;

use domain::Result;
use report::fhir;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

use crate::handed::{Handed, Of};
use crate::mllp::NOBODYS;
use crate::outcome::Outcome;
use crate::post::{Answered, Post, authorization, clipped};

const MEDIA_TYPE: &str = "application/fhir+json";

/// What a server has to take a transaction in.
const WITHIN: Duration = Duration::from_secs(60);

/// What is sent, and what no word that is kept of the answer may tell: the numbers of the patient, of the order and of the study.
pub struct Transaction {
    body: Vec<u8>,
    numbers: Vec<String>,
}

/// The transaction, or in words why there is none.
pub async fn written(handed: &Handed, of: Of) -> Result<Result<Transaction, &'static str>> {
    let document = handed.document(of).await?;
    let patient = handed.patient(of).await?;
    if patient.patient_key().is_none() {
        return Ok(Err(NOBODYS));
    }
    let numbers = patient.keys().into_iter().filter(|number| !number.is_empty()).collect();
    Ok(Ok(Transaction { body: fhir::transaction(&patient, &document.result)?, numbers }))
}

/// Sends it. `secret` is the value of `Authorization`; empty: none.
pub async fn send(
    post: &Post,
    (url, secret): (&str, &str),
    transaction: Transaction,
) -> Result<Outcome> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(ACCEPT, HeaderValue::from_static(MEDIA_TYPE));
    headers.extend(authorization(secret)?.map(|secret| (AUTHORIZATION, secret)));
    let Transaction { body, numbers } = transaction;
    Ok(match post.send(url, headers, body, WITHIN).await {
        Ok(answered) => outcome(&answered, &numbers),
        Err(words) => Outcome::Later(words),
    })
}

/// What a server's answer means (FHIR R4, 3.1.0.11.3). What is not understood says nothing: it is sent again, and is there once.
fn outcome(Answered { status, body }: &Answered, numbers: &[String]) -> Outcome {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    if status.is_success() {
        return if is_response(&answer) {
            Outcome::Delivered(String::new())
        } else {
            Outcome::Later(format!("it answered {status}, but not to a transaction"))
        };
    }
    let said = said(&answer, numbers);
    let words = if said.is_empty() {
        format!("it answered {status}")
    } else {
        format!("it answered {status}: {said}")
    };
    match status.as_u16() {
        // These very bytes will not be taken: they break a rule of the server, or it takes nothing there any more.
        400 | 410 | 422 => Outcome::Refused(clipped(&words)),
        _ => Outcome::Later(clipped(&words)),
    }
}

/// Whether it is the answer to a transaction, in which each entry has gone well.
fn is_response(answer: &Value) -> bool {
    let well = |entry: &Value| {
        entry["response"]["status"].as_str().is_some_and(|status| status.starts_with('2'))
    };
    answer["resourceType"] == "Bundle"
        && answer["type"] == "transaction-response"
        && answer["entry"]
            .as_array()
            .is_some_and(|entries| !entries.is_empty() && entries.iter().all(well))
}

/// The words of an OperationOutcome, without the numbers of whose result it is.
fn said(answer: &Value, numbers: &[String]) -> String {
    if answer["resourceType"] != "OperationOutcome" {
        return String::new();
    }
    let issues = answer["issue"].as_array().into_iter().flatten();
    let words = issues.map(|issue| {
        let parts = [&issue["code"], &issue["details"]["text"], &issue["diagnostics"]];
        let parts: Vec<&str> = parts.into_iter().filter_map(Value::as_str).collect();
        parts.join(", ")
    });
    let words = words.collect::<Vec<_>>().join("; ");
    numbers.iter().fold(words, |words, number| words.replace(number.as_str(), "…"))
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use serde_json::json;

    use super::*;

    fn of(status: u16, answer: &Value) -> Outcome {
        let status = StatusCode::from_u16(status).unwrap();
        let body = answer.to_string().into_bytes();
        outcome(&Answered { status, body }, &["4711".to_owned()])
    }

    fn response(statuses: &[&str]) -> Value {
        let entry = |status: &&str| json!({ "response": { "status": *status } });
        let entries: Vec<Value> = statuses.iter().map(entry).collect();
        json!({ "resourceType": "Bundle", "type": "transaction-response", "entry": entries })
    }

    #[test]
    fn a_transaction_is_taken_when_each_of_its_entries_is() {
        for taken in [&["201 Created", "201"][..], &["200 OK"][..]] {
            assert_eq!(of(200, &response(taken)).name(), "delivered", "{taken:?}");
        }
        for answer in [
            response(&["201", "422"]),
            response(&[]),
            json!({ "resourceType": "Bundle", "type": "searchset" }),
            json!("welcome"),
            Value::Null,
        ] {
            assert_eq!(of(200, &answer).name(), "later", "{answer}");
        }
    }

    #[test]
    fn a_refusal_is_said_in_the_servers_words_without_the_patients_number() {
        let issue = json!({ "code": "invalid", "diagnostics": "no patient 4711" });
        let refusal = json!({ "resourceType": "OperationOutcome", "issue": [issue] });
        let refused = of(422, &refusal);
        let words = "it answered 422 Unprocessable Entity: invalid, no patient …";
        assert_eq!((refused.name(), refused.words()), ("refused", words));
        for (status, expected) in [(400, "refused"), (410, "refused")] {
            assert_eq!(of(status, &Value::Null).name(), expected);
        }
        for status in [301, 401, 403, 404, 409, 412, 429, 500, 503] {
            assert_eq!(of(status, &refusal).name(), "later", "{status}");
        }
    }
}
