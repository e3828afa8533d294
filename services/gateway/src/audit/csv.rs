//! Entries as comma-separated values (RFC 4180).

use super::AuditEntry;

pub const HEADER: &str =
    "at,trail,position,action,subject,name,roles,object,origin,reason,detail,sha256\r\n";

/// The entry's line.
pub fn line(entry: &AuditEntry) -> String {
    let text = |said: &Option<String>| said.clone().unwrap_or_default();
    let fields = [
        text(&entry.at),
        entry.trail.name().to_owned(),
        entry.position.to_string(),
        entry.action.clone(),
        text(&entry.subject),
        text(&entry.name),
        entry.roles.join(" "),
        text(&entry.object),
        text(&entry.origin),
        text(&entry.reason),
        text(&entry.detail),
        entry.sha256.clone(),
    ];
    let fields = fields.map(|field| quoted(&field));
    format!("{}\r\n", fields.join(","))
}

/// The field in quotes where it needs them. What a spreadsheet would take for a formula gets an apostrophe: a reason is whatever
/// somebody has typed.
fn quoted(field: &str) -> String {
    let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if is_formula { format!("'{field}") } else { field.to_owned() };
    if field.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_typed_is_one_field_and_no_formula() {
        assert_eq!(quoted("on call"), "on call");
        assert_eq!(quoted("a, \"b\""), "\"a, \"\"b\"\"\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
    }
}
