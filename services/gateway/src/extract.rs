use std::fmt;
use std::marker::PhantomData;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, header};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::problem::{INVALID, Problem};

/// A JSON body; what is wrong with it is told as a [`Problem`].
///
/// Its types deny fields that they do not know: what is passed over would be answered as if it had not been asked for.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<JsonBody<T>, Problem> {
        let body = axum::Json::from_request(request, state).await;
        body.map(|axum::Json(Object(body))| JsonBody(body)).map_err(json_problem)
    }
}

/// What a JSON object says. A list of its values, without their names, would be taken for one by serde.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

/// An unknown field is a request that is not valid; a missing one, or one of another type, a request that cannot be followed.
fn json_problem(rejection: JsonRejection) -> Problem {
    let words = rejection.body_text();
    match rejection {
        JsonRejection::JsonDataError(_) if words.contains(UNKNOWN) => INVALID.problem(words),
        rejection => rejection.into(),
    }
}

/// How serde begins to say that a field is unknown.
const UNKNOWN: &str = "unknown field `";

/// Parts of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub struct Path<T>(pub T);

/// Parts of the query.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub struct Query<T>(pub T);

/// Whether the caller is rather somebody who reads pages: it names HTML before JSON.
pub fn prefers_html(headers: &HeaderMap) -> bool {
    let accept =
        headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let place = |media: &str| accept.find(media).unwrap_or(usize::MAX);
    place("text/html") < place("application/json")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named {
        name: String,
    }

    #[tokio::test]
    async fn an_unknown_field_is_named_and_a_missing_one_is_another_problem() {
        for (json, problem) in [
            (r#"{"name":"a"}"#, None),
            (r#"{"name":"a","nick":"b"}"#, Some((400, "unknown field `nick`"))),
            (r#"{"nick":"b"}"#, Some((400, "unknown field `nick`"))),
            ("{}", Some((422, "missing field `name`"))),
            (r#"["a"]"#, Some((422, "expected an object"))),
            ("{", Some((400, "EOF"))),
        ] {
            let request = Request::builder().header("content-type", "application/json");
            let request = request.body(Body::from(json)).unwrap();
            let said = JsonBody::<Named>::from_request(request, &()).await;
            match (said, problem) {
                (Ok(JsonBody(named)), None) => assert_eq!(named.name, "a"),
                (Err(said), Some((status, words))) => {
                    assert_eq!(said.status(), status, "{json}: {said}");
                    assert!(said.to_string().contains(words), "{json}: {said}");
                }
                (said, _) => panic!("{json}: {:?}", said.err()),
            }
        }
    }

    #[test]
    fn html_is_for_those_who_ask_for_it_first() {
        for (accept, html) in [
            ("", false),
            ("*/*", false),
            ("application/json", false),
            ("application/json, text/html", false),
            ("text/html,application/xhtml+xml,*/*;q=0.8", true),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            assert_eq!(prefers_html(&headers), html, "{accept}");
        }
    }
}
