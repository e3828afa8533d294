//! Segments and fields, and what may stand in them (HL7 v2.5.1, chapter 2).

/// A segment of these fields, each with its number.
pub fn segment(name: &str, fields: &[(usize, String)]) -> String {
    let said = fields.iter().filter(|(_, value)| !value.is_empty());
    let last = said.map(|(number, _)| *number).max().unwrap_or(0);
    let mut values = vec![""; last + 1];
    values[0] = name;
    for (number, value) in fields {
        if let Some(place) = values.get_mut(*number) {
            *place = value.as_str();
        }
    }
    values.join("|")
}

/// A field of these components, without empty ones at its end.
pub fn joined(components: &[&str]) -> String {
    let components: Vec<String> = components.iter().map(|text| escaped(text)).collect();
    components.join("^").trim_end_matches('^').to_owned()
}

/// A text in which nothing is taken for a separator (2.7): also no line break for the end of a segment.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '|' => escaped.push_str("\\F\\"),
            '^' => escaped.push_str("\\S\\"),
            '&' => escaped.push_str("\\T\\"),
            '~' => escaped.push_str("\\R\\"),
            '\\' => escaped.push_str("\\E\\"),
            letter if letter.is_control() => {
                let bytes = letter.to_string().into_bytes();
                let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                escaped.push_str(&format!("\\X{digits}\\"));
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}
