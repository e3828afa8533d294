//! In which form something is wanted (PS3.18, 8.7).

use axum::http::{HeaderMap, header};

use crate::problem::{NOT_ACCEPTABLE, Problem};

/// One form of those that the header `Accept` names.
#[derive(Debug, PartialEq)]
pub struct Form {
    /// In small letters, without parameters.
    media: String,
    /// What a multipart answer consists of.
    part: Option<String>,
    /// In which transfer syntax; `*`: any.
    transfer_syntax: Option<String>,
}

/// What of several instances is answered with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Packing {
    /// One body.
    Single,
    /// A part for each.
    Multipart,
}

/// The forms that are asked for, in their order; none: any.
pub fn forms(headers: &HeaderMap) -> Vec<Form> {
    let named = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| split(value, ',')).filter_map(form).collect()
}

fn form(text: &str) -> Option<Form> {
    let mut parts = split(text, ';').into_iter().map(str::trim);
    let media = parts.next().filter(|media| !media.is_empty())?.to_ascii_lowercase();
    let mut form = Form { media, part: None, transfer_syntax: None };
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        let value = value.trim().trim_matches('"').to_owned();
        match name.trim().to_ascii_lowercase().as_str() {
            "type" => form.part = Some(value.to_ascii_lowercase()),
            "transfer-syntax" => form.transfer_syntax = Some(value),
            _ => {}
        }
    }
    Some(form)
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

impl Form {
    fn is_any(&self) -> bool {
        self.media == "*/*"
    }

    /// Whether it takes what is written in that transfer syntax. One that says nothing takes what there is.
    fn takes(&self, transfer_syntax: &str) -> bool {
        let wanted = self.transfer_syntax.as_deref().unwrap_or("*");
        wanted == "*" || wanted == transfer_syntax
    }
}

/// Refuses where no JSON is wanted.
pub fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let forms = forms(headers);
    let json = ["*/*", "application/*", "application/dicom+json", "application/json"];
    if forms.is_empty() || forms.iter().any(|form| json.contains(&form.media.as_str())) {
        return Ok(());
    }
    Err(NOT_ACCEPTABLE
        .problem("this is answered as application/dicom+json, and not as XML or anything else"))
}

/// Refuses where no PNG is wanted.
pub fn require_png(headers: &HeaderMap) -> Result<(), Problem> {
    let forms = forms(headers);
    let png = ["*/*", "image/*", "image/png"];
    if forms.is_empty() || forms.iter().any(|form| png.contains(&form.media.as_str())) {
        return Ok(());
    }
    Err(NOT_ACCEPTABLE.problem("pictures are drawn as image/png only"))
}

/// How instances are wanted that are written in these transfer syntaxes.
pub fn packing(headers: &HeaderMap, transfer_syntaxes: &[&str]) -> Result<Packing, Problem> {
    const DICOM: &str = "application/dicom";
    let forms = forms(headers);
    if forms.is_empty() {
        return Ok(Packing::Multipart);
    }
    for form in &forms {
        let packing = match form.media.as_str() {
            "multipart/related" if form.part.as_deref().is_none_or(|part| part == DICOM) => {
                Packing::Multipart
            }
            "*/*" | "multipart/*" => Packing::Multipart,
            DICOM if transfer_syntaxes.len() == 1 => Packing::Single,
            _ => continue,
        };
        if transfer_syntaxes.iter().all(|stored| form.takes(stored)) {
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
    let forms = forms(headers);
    if forms.is_empty() {
        return Ok(Packing::Multipart);
    }
    let fits = |form: &Form, wanted: Option<&str>| match wanted {
        None | Some("*/*") => form.takes(transfer_syntax),
        Some(OCTETS) if media == OCTETS => {
            form.takes(transfer_syntax) || form.transfer_syntax.as_deref() == Some(PLAIN)
        }
        // Compressed frames are octets only for who says that any will do.
        Some(OCTETS) => form.transfer_syntax.is_some() && form.takes(transfer_syntax),
        Some(wanted) => wanted == media && form.takes(transfer_syntax),
    };
    for form in &forms {
        match form.media.as_str() {
            "multipart/related" | "multipart/*" if fits(form, form.part.as_deref()) => {
                return Ok(Packing::Multipart);
            }
            _ if form.is_any() => return Ok(Packing::Multipart),
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
        for fine in ["application/dicom+json", "application/json;q=0.9", "text/html, */*"] {
            assert!(require_json(&asking(fine)).is_ok(), "{fine}");
        }
        assert!(require_json(&HeaderMap::new()).is_ok());
        let xml = "multipart/related; type=\"application/dicom+xml\"";
        assert!(require_json(&asking(xml)).unwrap_err().to_string().contains("dicom+json"));
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
