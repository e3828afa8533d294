//! Numbers, moments and names as the page writes them.

use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// Groups thousands in every language, as ISO 80000 has it: a comma is a decimal sign to one reader and groups thousands for another.
const THIN_SPACE: char = '\u{202f}';

/// With that decimal sign, and no decimals beyond three figures: more would promise what the method cannot hold.
pub fn figures(value: f64, decimal: &str) -> String {
    let digits: i32 = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    // Halves go up, as on the page: formatting alone would turn them to the even digit.
    let step = 10_f64.powi(digits);
    let digits = usize::try_from(digits).unwrap_or_default();
    grouped(&format!("{:.digits$}", (value * step).round() / step)).replace('.', decimal)
}

pub fn count(value: usize) -> String {
    grouped(&value.to_string())
}

/// With a space before each three digits, of numbers that have five or more before the point.
fn grouped(number: &str) -> String {
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    if digits.len() < 5 {
        return number.to_owned();
    }
    let mut written = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            written.push(THIN_SPACE);
        }
        written.push(digit);
    }
    written + rest
}

/// A moment, given in milliseconds since 1970, to the minute: one way for all languages, and never the time of whatever machine
/// wrote it.
pub fn moment(ms: i64) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let moment = utc(ms).and_then(|moment| moment.format(form).ok());
    moment.unwrap_or_else(|| format!("{ms} ms"))
}

/// A moment, given in milliseconds since 1970; None beyond the years that a date can have.
pub fn utc(ms: i64) -> Option<OffsetDateTime> {
    let moment = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).ok()?;
    (0..=9999).contains(&moment.year()).then_some(moment)
}

/// A date as DICOM writes it (`20260131`, or `2026.01.31` of old); anything else as it is.
pub fn date(written: &str) -> String {
    // A month 13 is shown as what it is.
    day(written).map_or_else(|| trimmed(written).to_owned(), iso)
}

/// The day that a date is, as DICOM writes it; None for anything else.
pub fn day(written: &str) -> Option<Date> {
    let written = trimmed(written);
    let digits: String = written.chars().filter(|letter| *letter != '.').collect();
    let dotted = written.len() == 10 && digits.len() == 8;
    let is_date = digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_date || !(dotted || written.len() == 8) {
        return None;
    }
    Date::parse(&digits, format_description!("[year][month][day]")).ok()
}

/// A day as ISO 8601 writes it.
pub fn iso(day: Date) -> String {
    format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day())
}

/// A name as DICOM writes it (PS3.5, 6.2.1.1), as people read it: `Doe, Jane`; and in brackets the groups in the patient's own
/// script.
pub fn name(written: &str) -> String {
    let mut groups: Vec<String> = Vec::new();
    for group in written.split('=').map(group).filter(|group| !group.is_empty()) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    match groups.split_first() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((first, others)) => format!("{first} ({})", others.join(", ")),
    }
}

fn group(components: &str) -> String {
    let parts: Vec<&str> = components.split('^').map(trimmed).collect();
    let part = |index: usize| parts.get(index).copied().unwrap_or_default();
    let given = joined(&[part(1), part(2)], " ");
    // Prefix and suffix tell two of a name apart.
    joined(&[part(0), &given, part(3), part(4)], ", ")
}

/// What is not empty, with `between` in between.
pub fn joined(parts: &[&str], between: &str) -> String {
    let said: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    said.join(between)
}

/// Without the padding that DICOM allows around values.
pub fn trimmed(value: &str) -> &str {
    value.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0')
}

/// With a large letter at the beginning and a full stop at the end.
pub fn sentence(words: &str) -> String {
    let words = words.trim();
    let mut letters = words.chars();
    let Some(first) = letters.next() else { return String::new() };
    let stop = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_three_figures_spaces_between_thousands_and_its_languages_decimal_sign() {
        for (value, written) in [
            (0.0, "0.00"),
            (3.456, "3.46"),
            (31.25, "31.3"),
            (263.7, "264"),
            (1234.4, "1234"),
            (12_345.6, "12\u{202f}346"),
            (-1_234_567.0, "-1\u{202f}234\u{202f}567"),
        ] {
            assert_eq!(figures(value, "."), written, "{value}");
            assert_eq!(figures(value, ","), written.replace('.', ","), "{value}");
        }
        assert_eq!(count(1_000_000), "1\u{202f}000\u{202f}000");
    }

    #[test]
    fn a_date_is_written_one_way_and_what_is_none_stays_as_it_is() {
        for (dicom, written) in [
            ("20260131", "2026-01-31"),
            ("2026.01.31", "2026-01-31"),
            (" 20260131\0", "2026-01-31"),
            ("20261301", "20261301"),
            ("2026", "2026"),
            ("2026.1.31", "2026.1.31"),
            ("", ""),
        ] {
            assert_eq!(date(dicom), written, "{dicom:?}");
        }
        assert_eq!(moment(1_700_000_000_007), "2023-11-14 22:13 UTC");
        assert_eq!(moment(i64::MAX), format!("{} ms", i64::MAX));
    }

    #[test]
    fn a_name_is_written_as_people_read_it_in_all_of_its_scripts() {
        for (dicom, written) in [
            ("Doe^Jane", "Doe, Jane"),
            ("Doe^Jane^Mary^^Jr", "Doe, Jane Mary, Jr"),
            ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎, やまだ, たろう)"),
            ("=山田^太郎", "山田, 太郎"),
            ("Doe=Doe", "Doe"),
            ("^^", ""),
        ] {
            assert_eq!(name(dicom), written, "{dicom}");
        }
    }

    #[test]
    fn a_sentence_begins_and_ends_as_one() {
        assert_eq!(sentence("the model is unsure"), "The model is unsure.");
        assert_eq!(sentence(" à revoir ! "), "À revoir !");
        assert_eq!(sentence(""), "");
    }
}
