//! What of the integration guide is a fact of the build: tables, which stand in its text between marks that no reader sees.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use domain::artefact::{ALL, Made};
use domain::limits::*;
use platform::queue::Topic;
use serde_json::Value;
use service::topics;

use super::tables::{object, types, words};

const BEGIN: &str = "[//]: # (made: ";
const END: &str = "[//]: # (end)";

/// The page with those tables between their marks, in place of what stood there.
pub fn filled(page: &str, parts: &[(&str, String)]) -> String {
    assert_eq!(page.matches(BEGIN).count(), parts.len(), "the guide has other marks than tables");
    let mut filled = page.to_owned();
    for (name, made) in parts {
        let begin = format!("{BEGIN}{name})\n");
        let Some((before, rest)) = filled.split_once(begin.as_str()) else {
            panic!("the guide has no mark `{name}`")
        };
        let Some((_, after)) = rest.split_once(END) else {
            panic!("`{name}` has no end in the guide")
        };
        filled = format!("{before}{begin}\n{}\n\n{END}{after}", made.trim_end());
    }
    filled
}

/// Each operation with its method, its path and its section.
fn operations(document: &Value) -> impl Iterator<Item = (String, &str, &str, &Value)> {
    object(&document["paths"]).iter().flat_map(|(path, item)| {
        object(item).iter().map(move |(method, operation)| {
            let section = words(&operation["tags"][0]);
            (method.to_uppercase(), path.as_str(), section, operation)
        })
    })
}

/// All calls, section by section.
pub fn calls(document: &Value) -> String {
    let (mut told, mut rows) = (String::new(), 0);
    for tag in document["tags"].as_array().unwrap() {
        let (name, about) = (words(&tag["name"]), words(&tag["description"]));
        writeln!(told, "**{name}** ({about})\n\n| call | does |\n|---|---|").unwrap();
        for (method, path, section, operation) in operations(document) {
            if section == name {
                let does = words(&operation["summary"]);
                writeln!(told, "| `{method} {path}` | {does} |").unwrap();
                rows += 1;
            }
        }
        told.push('\n');
    }
    assert_eq!(rows, operations(document).count(), "a call stands in no section");
    told
}

/// What can be had of one scan, and when it is there.
pub fn of_a_scan(document: &Value) -> String {
    let mut told = String::from("| of a scan | gives | as | is made |\n|---|---|---|---|\n");
    for (method, path, _, operation) in operations(document) {
        let Some(name) = path.strip_prefix("/v1/scans/{id}/").filter(|_| method == "GET") else {
            continue;
        };
        let published = |known: &&domain::Artefact| {
            known.published.is_some_and(|published| published.path == name)
        };
        let made = match ALL.iter().find(published).map(|artefact| artefact.made) {
            Some(Made::Upload) => "when it is accepted",
            Some(Made::Result) => "with the result",
            Some(Made::Request) | None => "when it is asked for",
        };
        let does = words(&operation["summary"]);
        writeln!(told, "| `/{name}` | {does} | {} | {made} |", types(operation)).unwrap();
    }
    told
}

/// What is told to those who listen, by the words of its description for them.
pub fn events() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/asyncapi.yaml");
    let described = fs::read_to_string(path).unwrap();
    let mut told = String::from("| event | tells of |\n|---|---|\n");
    for topic in topics::ALL.iter().filter(|topic| matches!(topic, Topic::Event(_))) {
        let name = topic.name();
        let address = format!("    address: {name}\n    title: ");
        let title =
            described.split_once(address.as_str()).and_then(|(_, rest)| rest.lines().next());
        let Some(title) = title else { panic!("docs/asyncapi.yaml gives {name} no title") };
        writeln!(told, "| `{name}` | {title} |").unwrap();
    }
    told
}

/// What may be pushed to which kind of destination.
pub fn destinations() -> String {
    let kinds = delivery::formats();
    let mut told = String::from("| format | is |");
    for (kind, _) in &kinds {
        write!(told, " `{kind}` |").unwrap();
    }
    writeln!(told, "\n|---|---|{}", "---|".repeat(kinds.len())).unwrap();
    let mut formats: Vec<&str> = Vec::new();
    for format in kinds.iter().flat_map(|(_, taken)| taken.iter().copied()) {
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    for format in formats {
        let known = ALL.iter().find(|artefact| artefact.name == format);
        let title = known.map_or("CloudEvent with the result", |artefact| artefact.title);
        write!(told, "| `{format}` | {title} |").unwrap();
        for (_, taken) in &kinds {
            told.push_str(if taken.contains(&format) { " yes |" } else { " |" });
        }
        told.push('\n');
    }
    told
}

/// Every kind of problem that an answer may be.
pub fn problems() -> String {
    let mut told = String::from("| `type` | status | means | do |\n|---|---|---|---|\n");
    for kind in gateway::kinds_of_problems() {
        let gateway::Explanation { name, title, status, advice } = kind;
        writeln!(told, "| `/problems/{name}` | {status} | {title} | {advice} |").unwrap();
    }
    told
}

/// How much of anything there may be.
pub fn limits() -> String {
    let rows: [(&str, String); 12] = [
        (
            "an upload, where the operator has set no other (`UPLOAD_MIB`)",
            format!("{UPLOAD_MIB_DEFAULT} MiB"),
        ),
        ("how long one may take", format!("{} h", UPLOAD_SECONDS_MAX / 3600)),
        ("files of an upload, and entries of a batch", UPLOAD_FILES_MAX.to_string()),
        ("entries of a page where `limit` is not said", PAGE_DEFAULT.to_string()),
        ("entries of a page", PAGE_MAX.to_string()),
        ("characters of an `Idempotency-Key`", IDEMPOTENCY_KEY_CHARS_MAX.to_string()),
        (
            "characters of `patient_id`, `accession_number`, `study_uid` and `reference`",
            IDENTIFIER_CHARS_MAX.to_string(),
        ),
        (
            "characters of the name of a user, an API client or a hospital",
            ACCOUNT_NAME_CHARS_MAX.to_string(),
        ),
        ("characters of a reader's note", NOTE_CHARS_MAX.to_string()),
        ("findings that one word judges", JUDGED_FINDINGS_MAX.to_string()),
        ("places that one word says something was missed at", MISSED_PLACES_MAX.to_string()),
        ("characters of a report of an incident", INCIDENT_CHARS_MAX.to_string()),
    ];
    let mut told = String::from("| of | at most |\n|---|---|\n");
    for (of, most) in rows {
        writeln!(told, "| {of} | {most} |").unwrap();
    }
    told
}
