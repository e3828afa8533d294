//! In which form something is wanted (PS3.18, 8.7).

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use url::form_urlencoded;
use utoipa::IntoParams;

use super::media_type::MediaType;
use crate::problem::{NOT_ACCEPTABLE, Problem};

/// How answers are written, as IANA and as DICOM calls it (PS3.18, 8.3.3.2).
const CHARSETS: [&str; 3] = ["utf-8", "ISO_IR 192", "*"];

/// In which form it is wanted, for who cannot set a header.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the API")]
pub struct Wanted {
    /// Media types, in place of the header `Accept`.
    accept: Option<String>,
    /// Character sets: answers are in `utf-8`, and in no other.
    charset: Option<String>,
}

/// What of several instances is answered with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Packing {
    /// One body.
    Single,
    /// A part for each.
    Multipart,
}

/// Stands in the place of what is accepted where no charset is that there is: whoever looks at it has seen before who asks.
const OTHER_CHARSET: &str = "text/other-charset";

/// The same for what is no media type.
const NOTHING: &str = "none/none";

/// Has `accept` and `charset` of the query stand in place of the header (PS3.18, 8.3.3).
pub async fn from_query(mut request: Request, next: Next) -> Response {
    if let Some(accept) = wanted(request.uri().query().unwrap_or_default()) {
        request.headers_mut().insert(header::ACCEPT, accept);
    }
    next.run(request).await
}

fn wanted(query: &str) -> Option<HeaderValue> {
    // Of a media type a plus is a plus, which few write as %2B.
    let query = query.replace('+', "%2B");
    let mut accept = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "accept" => {
                let none = HeaderValue::from_static(NOTHING);
                accept = Some(HeaderValue::from_str(&value).unwrap_or(none));
            }
            "charset" if !value.split(',').any(is_utf_8) => {
                return Some(HeaderValue::from_static(OTHER_CHARSET));
            }
            _ => {}
        }
    }
    accept
}

fn is_utf_8(charset: &str) -> bool {
    let charset = charset.split(';').next().unwrap_or_default().trim();
    CHARSETS.iter().any(|known| known.eq_ignore_ascii_case(charset))
}

/// The forms that are asked for, the best first, without those that are not wanted (`q=0`). None: nothing is said, and any will do.
fn forms(headers: &HeaderMap) -> Result<Option<Vec<MediaType>>, Problem> {
    match headers.get(header::ACCEPT) {
        None => return Ok(None),
        Some(accept) if accept == OTHER_CHARSET => {
            return Err(NOT_ACCEPTABLE
                .problem("answers are written in utf-8, and in no other character set"));
        }
        Some(_) => {}
    }
    let named = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let forms = named.flat_map(|value| split(value, ',')).filter_map(MediaType::parse);
    let mut forms: Vec<MediaType> = forms.filter(|form| weight(form) > 0.0).collect();
    forms.sort_by(|one, other| weight(other).total_cmp(&weight(one)));
    Ok(Some(forms))
}

fn weight(form: &MediaType) -> f32 {
    form.parameter("q").and_then(|weight| weight.parse().ok()).unwrap_or(1.0)
}

/// The parts of a text between separators that stand in no quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(move |letter: char| {
        quoted ^= letter == '"';
        letter == separator && !quoted
    })
    .collect()
}

/// Whether that form takes what is written in that transfer syntax. One that says nothing takes what there is.
fn takes(form: &MediaType, transfer_syntax: &str) -> bool {
    let wanted = form.parameter("transfer-syntax").unwrap_or("*");
    wanted == "*" || wanted == transfer_syntax
}

/// What a multipart answer is to consist of.
fn part(form: &MediaType) -> Option<String> {
    form.parameter("type").map(str::to_ascii_lowercase)
}

/// Refuses where none of those is wanted, in these words.
fn require(headers: &HeaderMap, there: &[&str], words: &str) -> Result<(), Problem> {
    let Some(forms) = forms(headers)? else { return Ok(()) };
    let fits = forms.iter().any(|form| there.contains(&form.essence.as_str()));
    if fits { Ok(()) } else { Err(NOT_ACCEPTABLE.problem(words)) }
}

/// Refuses where no JSON is wanted.
pub fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let json = ["*/*", "application/*", "application/dicom+json", "application/json"];
    let words = "this is answered as application/dicom+json, and not as XML or anything else";
    require(headers, &json, words)
}

/// Refuses where no PNG is wanted.
pub fn require_png(headers: &HeaderMap) -> Result<(), Problem> {
    let png = ["*/*", "image/*", "image/png"];
    require(headers, &png, "pictures are drawn as image/png only")
}

/// How instances are wanted that are written in these transfer syntaxes.
pub fn packing(headers: &HeaderMap, transfer_syntaxes: &[&str]) -> Result<Packing, Problem> {
    const DICOM: &str = "application/dicom";
    let Some(forms) = forms(headers)? else { return Ok(Packing::Multipart) };
    for form in &forms {
        let packing = match form.essence.as_str() {
            "multipart/related" if part(form).is_none_or(|part| part == DICOM) => {
                Packing::Multipart
            }
            "*/*" | "multipart/*" => Packing::Multipart,
            DICOM if transfer_syntaxes.len() == 1 => Packing::Single,
            _ => continue,
        };
        if transfer_syntaxes.iter().all(|stored| takes(form, stored)) {
            return Ok(packing);
        }
    }
    Err(NOT_ACCEPTABLE.problem(
        "instances are handed out as they came, as multipart/related; type=\"application/dicom\" with transfer-syntax=* (one \
         instance as application/dicom, too): none is written anew in another transfer syntax",
    ))
}

/// How frames, or a long value, are wanted: what is there is of `media`, in that transfer syntax.
pub fn values(
    headers: &HeaderMap,
    media: &str,
    transfer_syntax: &str,
    one: bool,
) -> Result<Packing, Problem> {
    const OCTETS: &str = "application/octet-stream";
    /// What octets are in that say nothing else.
    const PLAIN: &str = "1.2.840.10008.1.2.1";
    let Some(forms) = forms(headers)? else { return Ok(Packing::Multipart) };
    let fits = |form: &MediaType, wanted: Option<&str>| match wanted {
        None | Some("*/*") => takes(form, transfer_syntax),
        Some(OCTETS) if media == OCTETS => {
            takes(form, transfer_syntax) || form.parameter("transfer-syntax") == Some(PLAIN)
        }
        // Compressed frames are octets only for who says that any will do.
        Some(OCTETS) => form.parameter("transfer-syntax").is_some() && takes(form, transfer_syntax),
        Some(wanted) => wanted == media && takes(form, transfer_syntax),
    };
    for form in &forms {
        match form.essence.as_str() {
            "multipart/related" | "multipart/*" if fits(form, part(form).as_deref()) => {
                return Ok(Packing::Multipart);
            }
            "*/*" if fits(form, None) => return Ok(Packing::Multipart),
            single if one && single != "multipart/related" && fits(form, Some(single)) => {
                return Ok(Packing::Single);
            }
            _ => {}
        }
    }
    Err(NOT_ACCEPTABLE.problem(format!(
        "this is stored as {media} in the transfer syntax {transfer_syntax}, and is not written anew in another one: ask for \
         multipart/related; type=\"{media}\"; transfer-syntax=*"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())])
    }

    const EXPLICIT: &str = "1.2.840.10008.1.2.1";
    const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";

    #[test]
    fn xml_is_refused_and_json_is_what_there_is() {
        for fine in [
            &[][..],
            &["application/dicom+json"],
            &["application/json;q=0.9"],
            &["text/html, */*"],
            &["application/dicom+xml;q=0.9, application/dicom+json"],
            &["text/html", "application/*; q=0.1"],
        ] {
            let named = fine.iter().map(|accept| (header::ACCEPT, accept.parse().unwrap()));
            assert!(require_json(&HeaderMap::from_iter(named)).is_ok(), "{fine:?}");
        }
        let xml = "multipart/related; type=\"application/dicom+xml\"";
        for none in [xml, "text/html", "", "application/dicom+json; q=0.0, text/html"] {
            let refused = require_json(&asking(none)).unwrap_err().to_string();
            assert!(refused.contains("dicom+json"), "{none}: {refused}");
        }
    }

    #[test]
    fn who_cannot_set_a_header_says_it_in_the_query() {
        let accept = |query: &str| wanted(query).unwrap();
        for query in [
            "limit=1&accept=application/dicom+json",
            "accept=application%2Fdicom%2Bjson&charset=utf-8",
            "charset=iso-8859-1,UTF-8;q=0.5&accept=application/dicom+json",
        ] {
            assert_eq!(accept(query), "application/dicom+json", "{query}");
        }
        let parts = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
        let encoded = form_urlencoded::byte_serialize(parts.as_bytes()).collect::<String>();
        assert_eq!(accept(&format!("accept={}", encoded.replace('+', "%20"))), parts);
        let refused = |query: &str| {
            require_json(&HeaderMap::from_iter([(header::ACCEPT, accept(query))])).unwrap_err()
        };
        assert!(refused("charset=iso-8859-1").to_string().contains("utf-8"));
        assert!(refused("accept=%0A").to_string().contains("application/dicom+json"));
        assert_eq!(wanted("limit=1"), None);
    }

    #[test]
    fn instances_come_as_they_are_or_not_at_all() {
        let packed = |accept: &str, stored: &[&str]| packing(&asking(accept), stored).ok();
        let related = "multipart/related; type=\"application/dicom\"";
        assert_eq!(packed(related, &[JPEG_2000, EXPLICIT]), Some(Packing::Multipart));
        assert_eq!(
            packed(&format!("{related}; transfer-syntax=*"), &[JPEG_2000]),
            Some(Packing::Multipart)
        );
        let plain = format!("{related}; transfer-syntax={EXPLICIT}");
        assert_eq!(packed(&plain, &[EXPLICIT]), Some(Packing::Multipart));
        assert_eq!(packed(&plain, &[JPEG_2000]), None);
        assert_eq!(packed("application/dicom", &[EXPLICIT]), Some(Packing::Single));
        assert_eq!(packed("application/dicom", &[EXPLICIT, EXPLICIT]), None);
        assert_eq!(packed("image/jpeg", &[EXPLICIT]), None);
        assert_eq!(packed(&format!("*/*; transfer-syntax={EXPLICIT}"), &[JPEG_2000]), None);
        // What is wanted most comes before what is named first, and what is not wanted at all is nothing.
        let either = |weights: [&str; 2]| {
            packed(
                &format!("{related}; q={}, application/dicom; q={}", weights[0], weights[1]),
                &[EXPLICIT],
            )
        };
        assert_eq!(either(["0.5", "0.9"]), Some(Packing::Single));
        assert_eq!(either(["1", "0.9"]), Some(Packing::Multipart));
        assert_eq!((either(["0", "1"]), either(["0", "0"])), (Some(Packing::Single), None));
    }

    #[test]
    fn compressed_frames_are_for_who_can_read_them() {
        let octets = "multipart/related; type=\"application/octet-stream\"";
        let framed = |accept: &str, media: &str, stored: &str| {
            values(&asking(accept), media, stored, false).is_ok()
        };
        assert!(framed(octets, "application/octet-stream", EXPLICIT));
        assert!(!framed(octets, "image/jp2", JPEG_2000));
        assert!(framed(&format!("{octets}; transfer-syntax=*"), "image/jp2", JPEG_2000));
        assert!(framed("multipart/related; type=\"image/jp2\"", "image/jp2", JPEG_2000));
        assert!(framed("*/*", "image/jp2", JPEG_2000));
    }
}
