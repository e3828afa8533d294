//! Lists that are handed out page by page.

use axum::http::{HeaderMap, header};
use domain::limits::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use url::form_urlencoded;
use utoipa::IntoParams;

use crate::problem::{INVALID, Problem};

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedPage {
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")]
    cursor: Option<String>,
}

impl WantedPage {
    /// How many, and from where.
    pub fn checked(self) -> Result<(u32, String), Problem> {
        Ok((limit_of(self.limit)?, self.cursor.unwrap_or_default()))
    }
}

/// How many a page has, if so many may be asked for.
pub fn limit_of(asked: Option<u32>) -> Result<u32, Problem> {
    let limit = asked.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(INVALID.problem(format!("limit is a number from 1 to {PAGE_MAX}")));
    }
    Ok(limit)
}

/// What leads to the next page of what `query` asks for at `path`, and its cursor; neither on the last page.
pub fn next_page(path: &str, query: Option<String>, cursor: String) -> (HeaderMap, Option<String>) {
    let cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
    let link = cursor.as_deref().map(|next| link(path, &query.unwrap_or_default(), next));
    (link.unwrap_or_default(), cursor)
}

/// Leads to the next page of what `query` asks for at `path`.
fn link(path: &str, query: &str, cursor: &str) -> HeaderMap {
    let asked = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "cursor");
    let mut next = form_urlencoded::Serializer::new(String::new());
    let next = next.extend_pairs(asked).append_pair("cursor", cursor).finish();
    let link = format!("<{path}?{next}>; rel=\"next\"").parse();
    link.map(|link| HeaderMap::from_iter([(header::LINK, link)])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_whatever_characters_is_one_field_of_the_next_pages_address() {
        let headers = link("/v1/scans", "limit=2&cursor=old", "a+b/c=");
        let expected = r#"</v1/scans?limit=2&cursor=a%2Bb%2Fc%3D>; rel="next""#;
        assert_eq!(headers[header::LINK], expected);
    }
}
