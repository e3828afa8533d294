//! How an MR image was acquired, in numbers and defined terms. Nothing that somebody has typed is kept.

use dicom_dictionary_std::tags;

use super::kind::Timing;
use super::reader::DataSet;
use crate::Protocol;

/// A code string (CS) has no more characters.
const TERM_CHARS_MAX: usize = 16;
/// Scanning Sequence has five terms, which go together.
const TERMS_MAX: usize = 5;

/// What the header says of it.
pub fn protocol(set: &DataSet, shared: &DataSet) -> Protocol {
    let Timing { repetition, echo, inversion, .. } = Timing::of(set, shared);
    let tesla = set.decimals(tags::MAGNETIC_FIELD_STRENGTH);
    let tesla = tesla.and_then(|values| values.first().copied());
    Protocol {
        sequence: sequence(set),
        repetition_ms: repetition.and_then(tenths),
        echo_ms: echo.and_then(tenths),
        inversion_ms: inversion.and_then(tenths),
        tesla: tesla.and_then(domain::tesla),
    }
}

/// To a tenth of a millisecond: slices of one series differ by less.
fn tenths(ms: f64) -> Option<f64> {
    let tenths = (ms * 10.0).round() / 10.0;
    (tenths > 0.0).then_some(tenths)
}

fn sequence(set: &DataSet) -> Option<String> {
    let said = |tag| set.text(tag).and_then(|text| terms(&text));
    let kind = said(tags::SCANNING_SEQUENCE).or_else(|| said(tags::ECHO_PULSE_SEQUENCE))?;
    let dimensions = said(tags::MR_ACQUISITION_TYPE);
    Some([Some(kind), dimensions].into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// The terms of a code string with a stroke between; None of what is none.
fn terms(text: &str) -> Option<String> {
    let terms: Vec<&str> = text.split('\\').map(str::trim).collect();
    let coded = |term: &&str| {
        let letters = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit();
        !term.is_empty() && term.len() <= TERM_CHARS_MAX && term.chars().all(letters)
    };
    (terms.len() <= TERMS_MAX && terms.iter().all(coded)).then(|| terms.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::write::{EXPLICIT, Element, slice, text};
    use super::*;
    use crate::Volume;
    use crate::decode::{Limits, decode};

    fn volume_of(more: &[Element]) -> Volume {
        let elements = slice(EXPLICIT, &[0, 1, 2, 3, 4, 5, 6, 7], more);
        let file = EXPLICIT.file(&EXPLICIT.data_set(&elements));
        decode(&file, &Limits::default()).unwrap().volume
    }

    #[test]
    fn a_volume_knows_how_it_was_acquired_and_keeps_no_words_of_people() {
        let more = [
            (tags::SCANNING_SEQUENCE, "CS", text("SE\\IR")),
            (tags::MR_ACQUISITION_TYPE, "CS", text("2D")),
            (tags::REPETITION_TIME, "DS", text("9000.04")),
            (tags::ECHO_TIME, "DS", text("120.0")),
            (tags::INVERSION_TIME, "DS", text("2500")),
            (tags::MAGNETIC_FIELD_STRENGTH, "DS", text("1.494")),
        ];
        let volume = volume_of(&more);
        let expected = Protocol {
            sequence: Some("SE/IR 2D".to_owned()),
            repetition_ms: Some(9000.0),
            echo_ms: Some(120.0),
            inversion_ms: Some(2500.0),
            tesla: Some(1.5),
        };
        assert_eq!(volume.protocol, expected);
        assert_eq!(Volume::from_bytes(&volume.to_bytes()).unwrap().protocol, expected);
        let typed = volume_of(&[
            (tags::SCANNING_SEQUENCE, "CS", text("Mrs Doe")),
            (tags::ECHO_TIME, "DS", text("0")),
        ]);
        assert!(typed.protocol.is_empty(), "{:?}", typed.protocol);
        assert!(!typed.to_bytes().windows(10).any(|word| word == b"\"protocol\""));
    }
}
