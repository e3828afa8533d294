//! Entries of the audit trail as audit messages (DICOM PS3.15, A.5.1), as IHE's Audit Trail and Node Authentication takes them.

pub mod kinds;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a message says of an entry.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Unique in the hospital: which trail, and the position in it.
    pub id: String,
    /// Whose trail it is, by the hospital's id.
    pub site: String,
    /// When (RFC 3339, in UTC).
    pub at: Option<String>,
    /// What was done, such as `scan.identity.read`.
    pub action: String,
    /// The id of who did it; None: nobody who is known.
    pub subject: Option<String>,
    /// What people called them then.
    pub name: Option<String>,
    /// Their roles then.
    pub roles: Vec<String>,
    /// The id of what it was done to.
    pub object: Option<String>,
    /// From where.
    pub origin: Option<String>,
    /// Why, in their own words.
    pub reason: Option<String>,
    /// What else there is to say.
    pub detail: Option<String>,
    /// The digest of the entry, which has in it that of the one before.
    pub sha256: String,
}

/// Before several messages in one document: the standard has one for each.
pub const BEGIN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<AuditMessages>\n";
/// Behind them.
pub const END: &str = "</AuditMessages>\n";

/// The entry's message, in one line that ends.
pub fn message(entry: &Entry) -> String {
    let parts = [event(entry), participant(entry), source(entry), object(entry)];
    format!("<AuditMessage>{}</AuditMessage>\n", parts.concat())
}

fn event(entry: &Entry) -> String {
    let kind = kinds::of(&entry.action);
    let (at, outcome) = (said(entry.at.as_ref()), kind.outcome);
    let mut types = coded("EventTypeCode", &entry.action, "medseg", &entry.action);
    if let Some((code, meaning)) = kind.subtype {
        types.push_str(&coded("EventTypeCode", code, "DCM", meaning));
    }
    let why = entry.reason.as_deref().map(|why| coded("PurposeOfUse", "reason", "medseg", why));
    format!(
        "<EventIdentification EventActionCode=\"{}\" EventDateTime=\"{at}\" EventOutcomeIndicator=\"{outcome}\">{}{types}{}</EventIdentification>",
        kind.action,
        coded("EventID", kind.code, "DCM", kind.meaning),
        why.unwrap_or_default(),
    )
}

fn participant(entry: &Entry) -> String {
    let mut attributes = format!("UserID=\"{}\"", said(entry.subject.as_ref()));
    if let Some(name) = &entry.name {
        attributes.push_str(&format!(" UserName=\"{}\"", escaped(name)));
    }
    attributes.push_str(" UserIsRequestor=\"true\"");
    if let Some(origin) = &entry.origin {
        // 2: an address; it may have a scanner's own name in it.
        let origin = escaped(origin);
        attributes.push_str(&format!(
            " NetworkAccessPointID=\"{origin}\" NetworkAccessPointTypeCode=\"2\""
        ));
    }
    let roles: String =
        entry.roles.iter().map(|role| coded("RoleIDCode", role, "medseg", role)).collect();
    format!("<ActiveParticipant {attributes}>{roles}</ActiveParticipant>")
}

/// Several hospitals may have their entries in one repository.
fn source(entry: &Entry) -> String {
    // 4: an application server.
    let code = "<AuditSourceTypeCode csd-code=\"4\"/>";
    format!(
        "<AuditSourceIdentification AuditEnterpriseSiteID=\"{}\" AuditSourceID=\"medseg\">{code}</AuditSourceIdentification>",
        escaped(&entry.site)
    )
}

/// What it was done to: a system object (2) that is a report (3), a scan's result, or whatever has that id.
fn object(entry: &Entry) -> String {
    let id = entry.object.as_ref().unwrap_or(&entry.id);
    let of = coded("ParticipantObjectIDTypeCode", "id", "medseg", "medseg's own id");
    let mut details = detail("sha256", &entry.sha256);
    if let Some(said) = &entry.detail {
        details.push_str(&detail("detail", said));
    }
    format!(
        "<ParticipantObjectIdentification ParticipantObjectID=\"{}\" ParticipantObjectTypeCode=\"2\" ParticipantObjectTypeCodeRole=\"3\">{of}<ParticipantObjectName>{}</ParticipantObjectName>{details}</ParticipantObjectIdentification>",
        escaped(id),
        escaped(&entry.id),
    )
}

fn detail(name: &str, value: &str) -> String {
    format!("<ParticipantObjectDetail type=\"{name}\" value=\"{}\"/>", STANDARD.encode(value))
}

fn coded(element: &str, code: &str, scheme: &str, meaning: &str) -> String {
    format!(
        "<{element} csd-code=\"{}\" codeSystemName=\"{scheme}\" originalText=\"{}\"/>",
        escaped(code),
        escaped(meaning)
    )
}

fn said(text: Option<&String>) -> String {
    text.map(|text| escaped(text)).unwrap_or_default()
}

/// Text as an attribute or an element can hold it; what XML has no character for is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let some = |text: &str| Some(text.to_owned());
        Entry {
            id: "scans-7".into(),
            site: "hospital-1".into(),
            at: some("2023-11-14T22:13:20.000Z"),
            action: "scan.identity.read".into(),
            subject: some("user-1"),
            name: some("ada & co"),
            roles: vec!["clinician".into(), "admin".into()],
            object: some("scan-1"),
            origin: some("10.0.0.7"),
            reason: some("on <call>"),
            detail: None,
            sha256: "ab".into(),
        }
    }

    #[test]
    fn a_message_says_who_what_from_where_and_why() {
        let message = message(&entry());
        for part in [
            "EventActionCode=\"R\" EventDateTime=\"2023-11-14T22:13:20.000Z\" EventOutcomeIndicator=\"0\"",
            "<EventID csd-code=\"110110\" codeSystemName=\"DCM\" originalText=\"Patient Record\"/>",
            "UserName=\"ada &amp; co\" UserIsRequestor=\"true\" NetworkAccessPointID=\"10.0.0.7\"",
            "originalText=\"on &lt;call&gt;\"",
            "AuditEnterpriseSiteID=\"hospital-1\" AuditSourceID=\"medseg\"",
            "ParticipantObjectID=\"scan-1\"",
            "<ParticipantObjectName>scans-7</ParticipantObjectName>",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
