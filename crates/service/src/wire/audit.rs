use domain::Result;
use platform::db::Database;
use platform::trail::{self, Row, Search};
use proto::audit;

/// How many entries are handed out at once, at most.
const ENTRIES_MAX: u32 = 1000;
/// How long an id is.
const ID_CHARS: usize = 36;

/// The entry's message.
pub fn audit_entry(row: Row) -> audit::Entry {
    audit::Entry {
        position: row.position,
        at_ms: row.at_ms,
        subject: row.subject,
        action: row.action,
        object_id: row.object_id,
        name: row.name,
        roles: row.roles,
        origin: row.origin,
        reason: row.reason,
        detail: row.detail,
        sha256: row.sha256,
    }
}

/// Where each chain in that database ends, as a message.
pub async fn audit_heads(database: &Database) -> Result<audit::Heads> {
    let heads = trail::heads(database).await?.into_iter();
    let head = |head: trail::Head| audit::Head {
        tenant_id: head.tenant_id,
        position: head.position,
        sha256: head.sha256,
    };
    Ok(audit::Heads { heads: heads.map(head).collect() })
}

/// The entries in that database that the message asks for.
pub async fn audit_stretch(database: &Database, asked: &audit::Stretch) -> Result<audit::Entries> {
    let limit = asked.limit.clamp(1, ENTRIES_MAX);
    let rows = trail::stretch(database, asked.tenant_id.parse()?, asked.from, limit).await?;
    Ok(audit::Entries { entries: rows.into_iter().map(audit_entry).collect() })
}

/// What the message asks for.
pub fn audit_search(asked: audit::Search) -> Search {
    Search {
        before: asked.before,
        from_ms: asked.from_ms,
        to_ms: asked.to_ms,
        subject: asked.subject,
        action: asked.action,
        object: asked.object_id,
        limit: asked.limit.clamp(1, ENTRIES_MAX),
    }
}

/// By what it is filtered, as an entry says it: names of ours, ids and numbers. What is typed and is none of these may name a
/// patient, and an entry is never erased.
pub fn audit_filters(asked: &audit::Search) -> String {
    let times = [("from", asked.from_ms), ("to", asked.to_ms)];
    let times = times.into_iter().filter_map(|(name, ms)| Some(format!("{name}={}", ms?)));
    let texts = [
        ("subject", &asked.subject, is_id(&asked.subject)),
        ("action", &asked.action, is_action(&asked.action)),
        ("object", &asked.object_id, is_id(&asked.object_id)),
    ];
    let texts = texts.into_iter().filter(|(_, text, _)| !text.is_empty());
    let texts = texts.map(|(name, text, ours)| match ours {
        true => format!("{name}={text}"),
        false => format!("{name}=(something else)"),
    });
    times.chain(texts).collect::<Vec<_>>().join(" ")
}

/// Whether it is an id of ours, or ends with one behind a colon, as delivery names itself.
fn is_id(text: &str) -> bool {
    let id = text.rsplit(':').next().unwrap_or_default();
    id.len() == ID_CHARS && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Whether an action could be called so: in words with points between.
fn is_action(text: &str) -> bool {
    text.contains('.')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_by_what_the_trail_was_filtered() {
        let action = "audit.read".to_owned();
        let asked = audit::Search { from_ms: Some(7), action, ..Default::default() };
        assert_eq!(audit_filters(&asked), "from=7 action=audit.read");
        assert_eq!(audit_filters(&audit::Search::default()), "");
        assert_eq!(audit_search(asked).limit, 1);
    }

    #[test]
    fn an_entry_does_not_say_what_somebody_has_typed() {
        let id = "01890000-0000-7000-8000-000000000001";
        let subject = format!("delivery:{id}");
        let asked =
            audit::Search { subject, object_id: "Doe^Jane".into(), ..audit::Search::default() };
        let said = format!("subject=delivery:{id} object=(something else)");
        assert_eq!(audit_filters(&asked), said);
        let asked = audit::Search { action: "jane".into(), ..audit::Search::default() };
        assert_eq!(audit_filters(&asked), "action=(something else)");
    }
}
