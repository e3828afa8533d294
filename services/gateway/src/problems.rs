use axum::Router;
use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use imaging::RefusalReason;
use maud::{DOCTYPE, html};
use serde::Serialize;
use strum::VariantArray;

use crate::extract::{Path, prefers_html};
use crate::problem::{KINDS, NOT_FOUND, Problem, UNPROCESSABLE};

/// The pages that the `type` of a problem leads to.
pub fn routes() -> Router {
    Router::new().route("/problems", get(list)).route("/problems/{name}", get(show))
}

/// What one kind of problem means.
#[derive(Clone, Copy, Serialize)]
pub struct Explanation {
    pub name: &'static str,
    pub title: &'static str,
    pub status: u16,
    pub advice: &'static str,
}

async fn list() -> axum::Json<Vec<Explanation>> {
    axum::Json(known().collect())
}

async fn show(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let found = known().find(|known| known.name == name);
    let found = found.ok_or_else(|| NOT_FOUND.problem("no such problem type"))?;
    if !prefers_html(&headers) {
        return Ok(axum::Json(found).into_response());
    }
    let Explanation { title, advice, .. } = found;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (title) } }
            body { h1 { (title) } p { (advice) } }
        }
    };
    Ok(Html(page.into_string()).into_response())
}

/// The gateway's own problems, then the input requirements.
pub fn known() -> impl Iterator<Item = Explanation> {
    let ours = KINDS.iter().map(|kind| Explanation {
        name: kind.name,
        title: kind.title,
        status: kind.status.as_u16(),
        advice: kind.advice,
    });
    let requirements = RefusalReason::VARIANTS.iter().map(|requirement| Explanation {
        name: requirement.name(),
        title: requirement.title(),
        status: UNPROCESSABLE.status.as_u16(),
        advice: requirement.advice(),
    });
    ours.chain(requirements)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_problems_share_a_page() {
        let names: HashSet<_> = known().map(|known| known.name).collect();
        assert_eq!(names.len(), known().count());
    }
}
