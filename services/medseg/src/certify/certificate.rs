//! The signed document.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use domain::hex;
use imaging::{DocumentHeader, StatementSignature};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::claims::{PublicKeys, SigningKey};

use super::checks::Checked;
use super::page;
use crate::signed::is_signed;

/// The form of the document; a change that could break a reader changes the number.
const SCHEMA: &str = "medseg.certificate/1";
/// What it is signed for: a signature of something else of ours is none of a certificate.
const PURPOSE: &str = "medseg-certificate-1";

/// What was measured. Nothing in it is of the moment, so that the same software on the same phantoms has the same.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub schema: String,
    pub software: String,
    /// What marked the voxels.
    pub engine: String,
    /// Whether all cases were measured that there are.
    pub complete: bool,
    /// Whether each case that was measured is within its limits.
    pub passed: bool,
    pub cases: Vec<Checked>,
}

/// A certificate, and the deployment's signature of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    pub certificate: Certificate,
    pub signature: StatementSignature,
}

impl Certificate {
    pub fn new(engine: String, complete: bool, cases: Vec<Checked>) -> Certificate {
        let passed = !cases.is_empty() && cases.iter().all(|case| case.passed);
        let software = DocumentHeader::default().software;
        Certificate { schema: SCHEMA.to_owned(), software, engine, complete, passed, cases }
    }

    pub fn sign(self, key: &SigningKey) -> anyhow::Result<Signed> {
        let value = hex(&key.sign_statement(PURPOSE, self.canonical()?.as_bytes()));
        let signature = StatementSignature { key_id: key.id().to_owned(), value };
        Ok(Signed { certificate: self, signature })
    }

    /// JSON without white space, with fields in the order of their names.
    fn canonical(&self) -> anyhow::Result<String> {
        Ok(canonical(&serde_json::to_value(self).context("a certificate cannot be written")?))
    }
}

impl Signed {
    /// Reads a certificate from its JSON or from its page, and verifies it: an error where its signature does not fit, or a page
    /// shows anything else than what is signed.
    pub fn verified(text: &str, keys: &PublicKeys) -> anyhow::Result<Signed> {
        let embedded = page::embedded(text);
        let signed: Signed = serde_json::from_str(embedded.as_deref().unwrap_or(text))
            .context("it is no certificate of medseg")?;
        ensure!(
            signed.certificate.schema == SCHEMA,
            "it is a certificate of the form `{}`: this software knows `{SCHEMA}`",
            signed.certificate.schema
        );
        let canonical = signed.certificate.canonical()?;
        ensure!(
            is_signed(keys, PURPOSE, canonical.as_bytes(), &signed.signature),
            "its signature does not fit: it was changed, or another deployment has signed it (it names the key {})",
            signed.signature.key_id
        );
        if embedded.is_some() {
            ensure!(
                page::written(&signed)? == text,
                "the page shows something else than what is signed in it"
            );
        }
        Ok(signed)
    }

    /// As a file.
    pub fn to_json(&self) -> anyhow::Result<String> {
        let json = serde_json::to_string_pretty(self).context("a certificate cannot be written")?;
        Ok(json + "\n")
    }
}

fn canonical(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(",");
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, &Value> = fields.iter().collect();
            let field = |(name, value): (&String, &Value)| {
                format!("{}:{}", Value::String(name.clone()), canonical(value))
            };
            format!("{{{}}}", joined(fields.into_iter().map(field).collect()))
        }
        Value::Array(values) => format!("[{}]", joined(values.iter().map(canonical).collect())),
        plain => plain.to_string(),
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::super::checks::Measure;
    use super::*;
    use crate::signed::public_half;

    pub fn certificate() -> Certificate {
        let measure = Measure {
            name: "volume, mL".into(),
            expected: 113.097_336,
            measured: 114.48,
            error: 1.222_579,
            limit: 2.0,
            unit: "%".into(),
        };
        let case = Checked {
            name: "sphere".into(),
            door: "NIfTI, LPS".into(),
            measures: vec![measure],
            problems: Vec::new(),
            passed: true,
        };
        Certificate::new("threshold 1".into(), true, vec![case])
    }

    #[test]
    fn a_certificate_is_verified_as_json_and_as_a_page() {
        let random = service::system_random();
        let [key, other] = [(); 2].map(|()| SigningKey::generate(&random));
        let keys = public_half(&key).unwrap();
        let signed = certificate().sign(&key).unwrap();
        let (json, page) = (signed.to_json().unwrap(), page::written(&signed).unwrap());
        for text in [&json, &page] {
            assert_eq!(Signed::verified(text, &keys).unwrap(), signed);
            let refused = Signed::verified(text, &public_half(&other).unwrap()).unwrap_err();
            assert!(refused.to_string().contains("does not fit"), "{refused}");
            let forged = text.replace("1.222579", "0.222579");
            assert!(Signed::verified(&forged, &keys).is_err());
        }
        let added = json.replacen("\"engine\"", "\"date\": \"2020-01-01\", \"engine\"", 1);
        assert!(Signed::verified(&added, &keys).is_err(), "a field that nobody has signed");
        let shown = page.replacen("1.22", "0.22", 1);
        assert!(Signed::verified(&shown, &keys).is_err(), "a page that shows another number");
        assert!(Signed::verified("{}", &keys).is_err() && Signed::verified("", &keys).is_err());
    }

    #[test]
    fn a_certificate_of_nothing_or_with_one_failure_has_not_passed() {
        assert!(!Certificate::new("threshold 1".into(), true, Vec::new()).passed);
        let mut cases = certificate().cases;
        cases.push(Checked { passed: false, ..cases[0].clone() });
        assert!(!Certificate::new("threshold 1".into(), true, cases).passed);
    }

    #[test]
    fn fields_are_signed_in_the_order_of_their_names() {
        let value = json!({ "b": [1, 2.5, "\"é"], "a": { "d": null, "c": true } });
        assert_eq!(canonical(&value), "{\"a\":{\"c\":true,\"d\":null},\"b\":[1,2.5,\"\\\"é\"]}");
    }
}
