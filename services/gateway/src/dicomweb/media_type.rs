//! Media types with parameters (RFC 9110, 8.3.1), in which DICOMweb says more than others do.

/// A media type, such as `multipart/related; type="application/dicom"; boundary=b`.
#[derive(Debug, Eq, PartialEq)]
pub struct MediaType {
    /// Type and subtype, in lower case.
    pub essence: String,
    /// Names in lower case, and values without their quotes.
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// None: it is none.
    pub fn parse(text: &str) -> Option<MediaType> {
        let (essence, mut rest) = text.split_once(';').unwrap_or((text, ""));
        let essence = essence.trim().to_ascii_lowercase();
        let (of, kind) = essence.split_once('/')?;
        if of.is_empty() || kind.is_empty() {
            return None;
        }
        let mut parameters = Vec::new();
        loop {
            rest = rest.trim_start_matches([';', ' ', '\t']);
            if rest.is_empty() {
                return Some(MediaType { essence, parameters });
            }
            let (name, behind) = rest.split_once('=')?;
            let (value, behind) = value(behind)?;
            parameters.push((name.trim().to_ascii_lowercase(), value));
            rest = behind;
        }
    }

    /// What that parameter says.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(own, _)| own == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// A value, quoted or not, and what is behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return Some((text[..end].trim().to_owned(), &text[end..]));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, letter) in quoted.char_indices() {
        match letter {
            _ if escaped => {
                value.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => {
                let behind = quoted[at + 1..].trim_start();
                return (behind.is_empty() || behind.starts_with(';')).then_some((value, behind));
            }
            letter => value.push(letter),
        }
    }
    // It never ends.
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_the_same_quoted_or_not() {
        for text in [
            r#"multipart/related; type="application/dicom"; boundary=a-b"#,
            r#"Multipart/Related;Type=application/dicom;boundary="a-b""#,
            r#"multipart/related ; boundary="a\-b" ; type=application/dicom ;"#,
        ] {
            let media = MediaType::parse(text).unwrap();
            assert_eq!(media.essence, "multipart/related", "{text}");
            assert_eq!(media.parameter("type"), Some("application/dicom"), "{text}");
            assert_eq!(media.parameter("boundary"), Some("a-b"), "{text}");
            assert_eq!(media.parameter("start"), None);
        }
        let quoted = MediaType::parse(r#"a/b; boundary="x;y=\"z\"""#).unwrap();
        assert_eq!(quoted.parameter("boundary"), Some(r#"x;y="z""#));
    }

    #[test]
    fn what_is_no_media_type_is_none() {
        for none in ["", "text", "/", "a/", "a/b; c", r#"a/b; c="d"#, r#"a/b; c="d" e"#] {
            assert_eq!(MediaType::parse(none), None, "{none}");
        }
    }
}
