use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::{OpenApi as Document, PathItem, RefOr};

use crate::dicomweb::is_search;
use crate::problem::{INVALID, Problem};

/// How much of a name that nobody knows is said back.
const SHOWN_CHARS: usize = 64;

/// The query parameters that each operation is described with: there are no others.
///
/// Taken from the description itself, so that no operation can be forgotten, nor say one thing and do another.
#[derive(Clone, Default)]
pub struct Known(Arc<BTreeMap<(String, Method), BTreeSet<String>>>);

impl Known {
    pub fn of(document: &Document) -> Known {
        let mut known = BTreeMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in operations(item) {
                let parameters = operation.parameters.iter().flatten().filter_map(own);
                let queried = parameters.filter(|known| known.parameter_in == ParameterIn::Query);
                let names = queried.map(|known| known.name.clone()).collect();
                known.insert((path.clone(), method), names);
            }
        }
        Known(Arc::new(known))
    }

    /// What is wrong with the query; a parameter that is passed over would be answered as if nobody had asked for it:
    /// with every patient's scans, say, where one patient's were meant. DICOM's searches name each attribute in several ways, and refuse
    /// themselves what they do not know.
    fn check(&self, path: &str, method: &Method, query: &str) -> Result<(), Problem> {
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        if method == Method::GET && is_search(path) {
            return Ok(());
        }
        let Some(known) = self.0.get(&(path.to_owned(), method)) else { return Ok(()) };
        let mut asked = BTreeSet::new();
        for (name, _) in url::form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(name.as_ref()) {
                return Err(INVALID.problem(unknown(&name, known)));
            }
            if !asked.insert(name.clone()) {
                return Err(INVALID.problem(format!("the query parameter `{name}` is given twice")));
            }
        }
        Ok(())
    }
}

fn unknown(name: &str, known: &BTreeSet<String>) -> String {
    let name: String = name.chars().take(SHOWN_CHARS).collect();
    let known: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
    let there = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("there is no query parameter `{name}` here; there is: {there}")
}

/// The parameter that stands where it is used; nothing here refers to a common one.
fn own(parameter: &RefOr<Parameter>) -> Option<&Parameter> {
    match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    }
}

/// The operations of a path, by method.
pub fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let methods = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH];
    let all = methods.into_iter().zip([get, put, post, delete, patch]);
    all.filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// Refuses what nobody has described, by name.
pub async fn refuse_unknown(State(known): State<Known>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let query = request.uri().query().unwrap_or_default();
    match known.check(path, request.method(), query) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_described_is_refused_and_what_is_there_is_named() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let known = BTreeMap::from([
            (("/a".to_owned(), Method::GET), names(&["cursor", "limit"])),
            (("/b".to_owned(), Method::GET), names(&[])),
        ]);
        let known = Known(Arc::new(known));
        let says = |path, query| {
            known.check(path, &Method::HEAD, query).err().map(|problem| problem.to_string())
        };
        assert_eq!(says("/a", "limit=2&cursor="), None);
        assert_eq!(
            says("/a", "limit=2&p%61tient=1").unwrap(),
            "there is no query parameter `patient` here; there is: `cursor`, `limit`"
        );
        assert_eq!(
            says("/b", "slice=3").unwrap(),
            "there is no query parameter `slice` here; there is: none"
        );
        assert_eq!(
            says("/a", "limit=2&limit=3").unwrap(),
            "the query parameter `limit` is given twice"
        );
        assert_eq!(says("/the/page", "utm=1"), None);
    }
}
