//! Entries as AuditEvents (FHIR R4, <https://hl7.org/fhir/R4/auditevent.html>).

use report::audit::kinds;
use serde_json::{Map, Value, json};

use super::AuditEntry;

const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const ACTION: &str = "urn:medseg:audit-action";

/// A page as a bundle.
pub fn bundle(entries: &[AuditEntry]) -> Value {
    let entries: Vec<Value> =
        entries.iter().map(|entry| json!({ "resource": event(entry) })).collect();
    let mut bundle = json!({ "resourceType": "Bundle", "type": "collection" });
    // No array of FHIR is empty.
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    bundle
}

fn event(entry: &AuditEntry) -> Value {
    let kind = kinds::of(&entry.action);
    let mut subtypes = vec![json!({ "system": ACTION, "code": entry.action })];
    if let Some((code, display)) = kind.subtype {
        subtypes.push(json!({ "system": DICOM, "code": code, "display": display }));
    }
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": entry.id(),
        "type": { "system": DICOM, "code": kind.code, "display": kind.meaning },
        "subtype": subtypes,
        "action": kind.action,
        "recorded": entry.at,
        "outcome": kind.outcome,
        "agent": [agent(entry)],
        "source": { "observer": { "display": "medseg" } },
        "entity": [entity(entry)],
    });
    if let Some(reason) = &entry.reason {
        event["purposeOfEvent"] = json!([{ "text": reason }]);
    }
    event
}

fn agent(entry: &AuditEntry) -> Value {
    let mut agent = Map::from_iter([("requestor".to_owned(), Value::Bool(true))]);
    let mut who = Map::new();
    if let Some(subject) = &entry.subject {
        who.insert("identifier".into(), json!({ "value": subject }));
    }
    if let Some(name) = &entry.name {
        who.insert("display".into(), json!(name));
    }
    if !who.is_empty() {
        agent.insert("who".into(), who.into());
    }
    if !entry.roles.is_empty() {
        let roles: Vec<Value> = entry.roles.iter().map(|role| json!({ "text": role })).collect();
        agent.insert("role".into(), roles.into());
    }
    if let Some(origin) = &entry.origin {
        // 2: an address; it may have a scanner's own name in it.
        agent.insert("network".into(), json!({ "address": origin, "type": "2" }));
    }
    agent.into()
}

/// What it was done to, and the digest by which the entry is found in its chain.
fn entity(entry: &AuditEntry) -> Value {
    let mut details = vec![json!({ "type": "sha256", "valueString": entry.sha256 })];
    if let Some(detail) = &entry.detail {
        details.push(json!({ "type": "detail", "valueString": detail }));
    }
    let mut entity = json!({ "detail": details });
    if let Some(object) = &entry.object {
        entity["what"] = json!({ "identifier": { "value": object } });
    }
    entity
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    #[test]
    fn an_event_says_who_what_from_where_and_why() {
        let event = event(&entry());
        assert_eq!(event["type"]["code"], "110110");
        assert_eq!(event["recorded"], "2023-11-14T22:13:20.000Z");
        assert_eq!(event["agent"][0]["who"]["display"], "ada & co");
        assert_eq!(event["agent"][0]["network"]["address"], "10.0.0.7");
        assert_eq!(event["purposeOfEvent"][0]["text"], "on <call>");
        assert_eq!(event["entity"][0]["what"]["identifier"]["value"], "scan-1");
        assert_eq!(bundle(&[]), json!({ "resourceType": "Bundle", "type": "collection" }));
    }
}
