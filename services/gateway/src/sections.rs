use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi as Document;

use crate::known::operations;
use crate::problem::{INVALID, Problem};

/// The sections that an API client may be confined to: those of this description with these names. Accounts are none of them:
/// whoever manages accounts could make itself another. Nor is the audit trail, nor what a hospital erases, holds and keeps: its
/// administrators decide that.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
pub enum Scope {
    Scans,
    Results,
    Feedback,
    Dataset,
    Incidents,
    Batches,
    Uploads,
    Models,
    Drift,
    Quality,
    Deliveries,
}

/// Their names.
const SCOPES: [&str; 11] = [
    "scans",
    "results",
    "feedback",
    "dataset",
    "incidents",
    "batches",
    "uploads",
    "models",
    "drift",
    "quality",
    "deliveries",
];

/// Refuses a section that a client cannot be confined to.
pub fn check(scopes: &[String]) -> Result<(), Problem> {
    match scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        None => Ok(()),
        Some(_) => Err(INVALID.problem(format!("a scope is one of {}", SCOPES.join(", ")))),
    }
}

/// In which section of the description each operation stands. Taken from the description, so that none can be forgotten.
#[derive(Clone, Default)]
pub struct Sections(Arc<BTreeMap<(String, Method), String>>);

impl Sections {
    pub fn of(document: &Document) -> Sections {
        let mut sections = BTreeMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in operations(item) {
                let section = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
                sections.insert((path.clone(), method), section);
            }
        }
        Sections(Arc::new(sections))
    }

    /// The section of what is asked; none that anybody is confined to where the description does not say.
    pub fn asked(&self, parts: &Parts) -> &str {
        let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        self.0.get(&(path.to_owned(), parts.method.clone())).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use utoipa::PartialSchema;
    use utoipa::openapi::{RefOr, Schema};

    use super::*;

    #[test]
    fn what_is_described_is_what_is_taken() {
        let RefOr::T(Schema::Object(described)) = Scope::schema() else { panic!("no object") };
        let names = described.enum_values.unwrap();
        assert_eq!(names, SCOPES.map(serde_json::Value::from));
        assert!(check(&SCOPES.map(str::to_owned)).is_ok());
        for none in ["users", "tenants", "token", "", "Scans"] {
            assert!(check(&[none.to_owned()]).is_err(), "{none}");
        }
    }
    #[test]
    fn every_section_is_a_scope_but_those_of_accounts_and_of_what_is_erased() {
        let (_, document) = crate::api().split_for_parts();
        let sections = Sections::of(&document);
        let described: BTreeSet<&str> = sections.0.values().map(String::as_str).collect();
        let others = ["account", "audit", "erasures", "tenants", "token", "users"];
        let scopes_and_others: BTreeSet<&str> = SCOPES.into_iter().chain(others).collect();
        assert_eq!(described, scopes_and_others);
    }
}
