//! How an MR image was acquired, in numbers and defined terms. Nothing that somebody has typed is kept.

use dicom_dictionary_std::tags;

use super::kind::Timing;
use super::reader::DataSet;
use crate::Protocol;

/// The terms of Scanning Sequence (PS3.3, C.8.3.1), which go together.
const SEQUENCES: [&str; 5] = ["SE", "IR", "GR", "EP", "RM"];
/// The one of Echo Pulse Sequence (PS3.3, C.8.13.4).
const PULSE_SEQUENCES: [&str; 3] = ["SPIN", "GRADIENT", "BOTH"];
/// The one of MR Acquisition Type.
const DIMENSIONS: [&str; 3] = ["1D", "2D", "3D"];

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
    let said = |tag, known: &[&str]| set.text(tag).and_then(|text| terms(&text, known));
    let kind = said(tags::SCANNING_SEQUENCE, &SEQUENCES)
        .or_else(|| said(tags::ECHO_PULSE_SEQUENCE, &PULSE_SEQUENCES))?;
    let dimensions = said(tags::MR_ACQUISITION_TYPE, &DIMENSIONS);
    Some([Some(kind), dimensions].into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// Those of the `known` terms that a code string has, in their own order with a stroke between; None where it has any other, which
/// somebody may have typed.
fn terms(text: &str, known: &[&str]) -> Option<String> {
    let said: Vec<&str> = text.split('\\').map(str::trim).collect();
    let is_known = said.iter().all(|term| known.contains(term));
    let kept = known.iter().copied().filter(|term| said.contains(term));
    is_known.then(|| kept.collect::<Vec<_>>().join("/"))
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
            (tags::SCANNING_SEQUENCE, "CS", text("IR\\SE")),
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
        // A name and a number can be written as a code string.
        for words in ["Mrs Doe", "DOE", "SE\\DOE", "00471199"] {
            let typed = volume_of(&[
                (tags::SCANNING_SEQUENCE, "CS", text(words)),
                (tags::ECHO_TIME, "DS", text("0")),
            ]);
            assert!(typed.protocol.is_empty(), "{words}: {:?}", typed.protocol);
            assert!(!typed.to_bytes().windows(10).any(|word| word == b"\"protocol\""));
        }
        let typed = volume_of(&[
            (tags::MR_ACQUISITION_TYPE, "CS", text("DOE")),
            (tags::ECHO_PULSE_SEQUENCE, "CS", text("SPIN")),
        ]);
        assert_eq!(typed.protocol.sequence.as_deref(), Some("SPIN"));
    }
}
