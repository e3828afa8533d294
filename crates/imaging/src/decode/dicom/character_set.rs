//! Text in the character sets that a file names, and in those that it switches to with escape sequences (PS3.5, 6.1.2;
//! the sets' names and sequences: PS3.3, C.12.1.1.2).

use dicom_encoding::text::{SpecificCharacterSet, TextCodec};

const ESCAPE: u8 = 0x1b;

/// What an escape sequence switches to.
#[derive(Clone, Copy)]
enum Switch {
    /// One byte a character again: what is no ASCII is in the set that was last designated for it.
    Single,
    /// Two bytes a character, none of them beyond ASCII's: Japanese, as its codec needs this sequence again.
    Double(&'static [u8]),
    /// The set of the bytes beyond ASCII.
    High(&'static str),
}

/// Escape sequences without their first byte.
const SWITCHES: [(&[u8], Switch); 19] = [
    (b"(B", Switch::Single),
    (b"(J", Switch::Single),
    (b"$(D", Switch::Double(b"\x1b$(D")),
    (b"$)A", Switch::High("GBK")),
    (b"$)C", Switch::High("ISO_IR 149")),
    (b"$B", Switch::Double(b"\x1b$B")),
    (b"$@", Switch::Double(b"\x1b$B")),
    (b")I", Switch::High("ISO_IR 13")),
    (b"-A", Switch::High("ISO_IR 100")),
    (b"-B", Switch::High("ISO_IR 101")),
    (b"-C", Switch::High("ISO_IR 109")),
    (b"-D", Switch::High("ISO_IR 110")),
    (b"-F", Switch::High("ISO_IR 126")),
    (b"-G", Switch::High("ISO_IR 127")),
    (b"-H", Switch::High("ISO_IR 138")),
    (b"-L", Switch::High("ISO_IR 144")),
    (b"-M", Switch::High("ISO_IR 148")),
    (b"-T", Switch::High("ISO_IR 166")),
    (b"-b", Switch::High("ISO_IR 203")),
];

/// Sets in which a backslash may be the second half of a character.
const WITH_BACKSLASH: [&str; 5] = ["GB18030", "GBK", "GB2312", "ISO_IR 13", "ISO 2022 IR 13"];

/// Latin sets that are the first one (ISO_IR 100) but for some characters.
const LATIN_5: [(char, char); 6] =
    [('Ð', 'Ğ'), ('Ý', 'İ'), ('Þ', 'Ş'), ('ð', 'ğ'), ('ý', 'ı'), ('þ', 'ş')];
const LATIN_9: [(char, char); 8] = [
    ('¤', '€'),
    ('¦', 'Š'),
    ('¨', 'š'),
    ('´', 'Ž'),
    ('¸', 'ž'),
    ('¼', 'Œ'),
    ('½', 'œ'),
    ('¾', 'Ÿ'),
];

/// The text of `bytes` in these character sets (values of SpecificCharacterSet). `name`: whether it is a person's, whose
/// parts each begin anew. What stands in no set that is known is U+FFFD.
pub(super) fn decoded(bytes: &[u8], sets: &str, name: bool) -> String {
    let own = own_set(sets);
    match bytes.contains(&ESCAPE) {
        true => with_escapes(bytes, own, name),
        false if WITH_BACKSLASH.contains(&own) => in_set(bytes, own),
        false => values(bytes, own),
    }
}

/// The set that is active where no escape sequence stands: the first one that says what the bytes beyond ASCII are.
fn own_set(sets: &str) -> &str {
    let named = sets.split('\\').map(|set| set.trim_matches([' ', '\0']));
    let named: Vec<&str> = named.filter(|set| !set.is_empty()).collect();
    let more = named.iter().find(|set| !matches!(**set, "ISO_IR 6" | "ISO 2022 IR 6"));
    more.or(named.first()).copied().unwrap_or_default()
}

fn with_escapes(bytes: &[u8], own: &str, name: bool) -> String {
    let delimits = |byte: &u8| match byte {
        b'\\' | b'\t' | b'\n' | 0x0c | b'\r' => true,
        b'^' | b'=' => name,
        _ => false,
    };
    let mut parts = bytes.split(|byte| *byte == ESCAPE);
    let (mut high, mut double) = (own, None);
    let mut text = values(parts.next().unwrap_or_default(), own);
    for part in parts {
        let (switch, part) = switched(part);
        match switch {
            Some(Switch::Single) => double = None,
            Some(Switch::Double(sequence)) => double = Some(sequence),
            Some(Switch::High(set)) => high = set,
            None => text.push(char::REPLACEMENT_CHARACTER),
        }
        if let Some(sequence) = double {
            text.push_str(&without_octals(&in_set(&[sequence, part].concat(), "ISO_IR 87")));
            continue;
        }
        // At a delimiter, the file's own set becomes active again (PS3.5, 6.1.2.5.3).
        let end = part.iter().position(delimits).unwrap_or(part.len());
        let (before, behind) = part.split_at(end);
        text.push_str(&values(before, high));
        text.push_str(&values(behind, own));
        if !behind.is_empty() {
            high = own;
        }
    }
    text
}

/// What the escape sequence at the beginning switches to, if it is known, and what follows it.
fn switched(part: &[u8]) -> (Option<Switch>, &[u8]) {
    for (sequence, switch) in SWITCHES {
        if let Some(rest) = part.strip_prefix(sequence) {
            return (Some(switch), rest);
        }
    }
    // Intermediate bytes, and a final one (ISO 2022).
    let last = part.iter().position(|byte| !(0x20..0x30).contains(byte));
    (None, last.and_then(|last| part.get(last + 1..)).unwrap_or_default())
}

/// The text of values in one set, with the backslashes between them.
fn values(bytes: &[u8], set: &str) -> String {
    let values = bytes.split(|byte| *byte == b'\\');
    let texts: Vec<String> = values.map(|value| without_octals(&in_set(value, set))).collect();
    texts.join("\\")
}

/// Text in which no backslash was, with U+FFFD for the bytes that have no place in their set: codecs write those as a
/// backslash and three octal digits.
fn without_octals(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push(char::REPLACEMENT_CHARACTER);
        clean.push_str(part.get(3..).unwrap_or_default());
    }
    clean
}

/// Text without escape sequences other than the codec's own.
fn in_set(bytes: &[u8], set: &str) -> String {
    let exchanged = |others: &[(char, char)]| -> String {
        let other = |c: char| others.iter().find(|(of, _)| *of == c).map_or(c, |(_, other)| *other);
        bytes.iter().map(|byte| other(char::from(*byte))).collect()
    };
    match set {
        "ISO_IR 148" | "ISO 2022 IR 148" => return exchanged(&LATIN_5),
        "ISO_IR 203" | "ISO 2022 IR 203" => return exchanged(&LATIN_9),
        _ => {}
    }
    let codec = SpecificCharacterSet::from_code(set).filter(|_| set != "ISO_IR 192");
    let text = codec.and_then(|codec| codec.decode(bytes).ok());
    text.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_that_a_file_switches_to_is_read() {
        let cases: [(&str, &[u8], &str); 15] = [
            // PS3.5, H.3.1 and H.3.2.
            (
                "ISO 2022 IR 6\\ISO 2022 IR 87",
                b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
                "Yamada^Tarou=山田^太郎=やまだ^たろう",
            ),
            (
                "ISO 2022 IR 13\\ISO 2022 IR 87",
                b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
                "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
            ),
            // I.2.
            (
                "\\ISO 2022 IR 149",
                b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
                "Hong^Gildong=洪^吉洞",
            ),
            (
                "ISO 2022 IR 6\\ISO 2022 IR 149",
                b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
                "Hong^Gildong=洪^吉洞",
            ),
            // K.2.
            (
                "\\ISO 2022 IR 58",
                b"Zhang^X=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1",
                "Zhang^X=张^小",
            ),
            ("ISO 2022 IR 100\\ISO 2022 IR 144", b"\xc4^\x1b-L\xb8\xd2\xd0\xdd", "Ä^Иван"),
            // The first set again behind a delimiter.
            ("ISO 2022 IR 100\\ISO 2022 IR 144", b"\x1b-L\xb8^\xc4\\\xd6", "И^Ä\\Ö"),
            ("ISO_IR 203", b"\xa4 Ch\xbd", "€ Chœ"),
            ("ISO_IR 148", b"Do\xf0an", "Doğan"),
            ("ISO_IR 192", "Müller^山".as_bytes(), "Müller^山"),
            ("GB18030", b"\xd5\xc5", "张"),
            // What nobody knows is not made up.
            ("ISO 2022 IR 6\\ISO 2022 IR 87", b"A\x1b$-XB", "A\u{fffd}B"),
            ("ISO 2022 IR 6\\ISO 2022 IR 999", b"M\xfcller", "M\u{fffd}ller"),
            ("ISO_IR 127", b"A\xffB", "A\u{fffd}B"),
            ("", b"M\xfcller", "M\u{fffd}ller"),
        ];
        for (sets, bytes, text) in cases {
            assert_eq!(decoded(bytes, sets, true), text, "{sets}");
        }
    }
}
