//! Segmentations as 3D Slicer, OHIF and others write them.

use super::*;
use crate::SegmentationFacts;

/// Pixels of a frame: no whole number of bytes.
const FRAME: usize = 9;

type Frame = (f64, [u8; FRAME]);

const CORNER: [u8; FRAME] = [1, 0, 0, 0, 0, 0, 0, 0, 0];
const CROSS: [u8; FRAME] = [0, 1, 0, 1, 1, 1, 0, 1, 0];
const LAST: [u8; FRAME] = [0, 0, 0, 0, 0, 0, 0, 0, 1];

fn position(z: f64) -> Element {
    let position = (tags::IMAGE_POSITION_PATIENT, "DS", text(&format!("-10\\-20\\{z}")));
    EXPLICIT.sequence(tags::PLANE_POSITION_SEQUENCE, &[vec![position]])
}

fn of_image(uid: &str) -> Element {
    let instance = (tags::REFERENCED_SOP_INSTANCE_UID, "UI", text(uid));
    let source = EXPLICIT.sequence(tags::SOURCE_IMAGE_SEQUENCE, &[vec![instance]]);
    EXPLICIT.sequence(tags::DERIVATION_IMAGE_SEQUENCE, &[vec![source]])
}

fn shared() -> Element {
    let orientation = (tags::IMAGE_ORIENTATION_PATIENT, "DS", text("1\\0\\0\\0\\1\\0"));
    let spacing = (tags::PIXEL_SPACING, "DS", text("0.5\\0.25"));
    let groups = vec![
        EXPLICIT.sequence(tags::PLANE_ORIENTATION_SEQUENCE, &[vec![orientation]]),
        EXPLICIT.sequence(tags::PIXEL_MEASURES_SEQUENCE, &[vec![spacing]]),
    ];
    EXPLICIT.sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, &[groups])
}

/// One bit a pixel, without a gap between frames.
fn packed(frames: &[Frame]) -> Vec<u8> {
    let pixels = frames.iter().flat_map(|(_, pixels)| *pixels);
    let mut bytes = vec![0; (FRAME * frames.len()).div_ceil(8).next_multiple_of(2)];
    pixels.enumerate().for_each(|(at, marked)| bytes[at / 8] |= marked << (at % 8));
    bytes
}

fn segmentation(
    writer: Writer,
    kind: &str,
    bits: u16,
    frames: &[Frame],
    more: &[Element],
) -> Vec<u8> {
    let groups: Vec<Vec<Element>> =
        frames.iter().map(|(z, _)| vec![of_image(&format!("1.2.4.{z}")), position(*z)]).collect();
    let mut elements = vec![
        (tags::SOP_CLASS_UID, "UI", text("1.2.840.10008.5.1.4.1.1.66.4")),
        (tags::MODALITY, "CS", text("SEG")),
        (tags::FRAME_OF_REFERENCE_UID, "UI", text("1.2.5")),
        (tags::SEGMENTATION_TYPE, "CS", text(kind)),
        (tags::NUMBER_OF_FRAMES, "IS", text(&frames.len().to_string())),
        EXPLICIT.us(tags::SAMPLES_PER_PIXEL, 1),
        (tags::PHOTOMETRIC_INTERPRETATION, "CS", text("MONOCHROME2")),
        EXPLICIT.us(tags::ROWS, 3),
        EXPLICIT.us(tags::COLUMNS, 3),
        EXPLICIT.us(tags::BITS_ALLOCATED, bits),
        EXPLICIT.us(tags::BITS_STORED, bits),
        EXPLICIT.us(tags::HIGH_BIT, bits - 1),
        EXPLICIT.us(tags::PIXEL_REPRESENTATION, 0),
        EXPLICIT.sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, &groups),
        shared(),
        (tags::PIXEL_DATA, "OB", packed(frames)),
    ];
    elements.retain(|(tag, ..)| more.iter().all(|(other, ..)| other != tag));
    elements.extend_from_slice(more);
    writer.file(&EXPLICIT.data_set(&elements))
}

fn binary(frames: &[Frame], more: &[Element]) -> Vec<u8> {
    segmentation(EXPLICIT, "BINARY", 1, frames, more)
}

fn read(file: &[u8]) -> (SegmentationFacts, Vec<u8>) {
    decode::segmentation(file, &limits()).unwrap().unwrap()
}

fn refusal(file: &[u8]) -> RefusalReason {
    decode::segmentation(file, &limits()).unwrap_err().problem
}

#[test]
fn bits_run_on_from_frame_to_frame_and_frames_of_one_plane_are_one() {
    let frames = [(5.0, CROSS), (0.0, LAST), (5.0, CORNER)];
    let both: Vec<u8> = CROSS.iter().zip(CORNER).map(|(one, other)| one | other).collect();
    for writer in [EXPLICIT, DEFLATED] {
        let (facts, marked) = read(&segmentation(writer, "BINARY", 1, &frames, &[]));
        assert_eq!(facts.shape, Shape { slices: 2, rows: 3, columns: 3 });
        assert_eq!(marked, [&both[..], &LAST[..]].concat());
        assert_eq!(facts.planes[0].origin, [-10.0, -20.0, 5.0]);
        assert_eq!(facts.planes[1].position(0.0, 2.0, 1.0), [-9.75, -19.0, 0.0]);
        assert_eq!(facts.frame_of_reference.as_deref(), Some("1.2.5"));
        assert_eq!(facts.instances, ["1.2.4.0", "1.2.4.5"]);
    }
}

#[test]
fn the_series_is_named_at_its_own_place() {
    let instance = (tags::REFERENCED_SOP_INSTANCE_UID, "UI", text("1.2.4.9"));
    let series = vec![
        (tags::SERIES_INSTANCE_UID, "UI", text("1.2.4")),
        EXPLICIT.sequence(tags::REFERENCED_INSTANCE_SEQUENCE, &[vec![instance]]),
    ];
    let named = EXPLICIT.sequence(tags::REFERENCED_SERIES_SEQUENCE, &[series]);
    let (facts, _) = read(&binary(&[(0.0, LAST)], &[named]));
    assert_eq!(facts.series, ["1.2.4"]);
    assert_eq!(facts.instances, ["1.2.4.0", "1.2.4.9"]);
}

#[test]
fn of_fractions_what_is_above_half_of_the_most_is_marked() {
    let values = vec![0, 1, 50, 51, 99, 100, 49, 0, 100, 0];
    let more = [(tags::PIXEL_DATA, "OB", values), EXPLICIT.us(tags::MAXIMUM_FRACTIONAL_VALUE, 100)];
    let (_, marked) = read(&segmentation(EXPLICIT, "FRACTIONAL", 8, &[(0.0, LAST)], &more));
    assert_eq!(marked, [0, 0, 0, 1, 1, 1, 0, 0, 1]);
}

#[test]
fn pixels_in_another_packing_or_number_are_refused_and_not_taken_for_their_neighbours() {
    let frames = [(0.0, CROSS), (5.0, LAST), (10.0, CORNER)];
    let pixels = |bytes: usize| [(tags::PIXEL_DATA, "OB", vec![0; bytes])];
    // Each frame made whole bytes would be six.
    assert_eq!(refusal(&binary(&frames, &pixels(6))), RefusalReason::Corrupt);
    assert_eq!(refusal(&binary(&frames, &pixels(2))), RefusalReason::Truncated);
    for kind in ["FRACTIONAL", "LABELMAP"] {
        let file = segmentation(EXPLICIT, kind, 1, &frames, &[]);
        assert_eq!(refusal(&file), RefusalReason::Unsupported, "{kind}");
    }
}

#[test]
fn frames_that_do_not_say_where_they_lie_are_refused() {
    let frames = [(0.0, CROSS), (5.0, LAST)];
    let more = [(tags::NUMBER_OF_FRAMES, "IS", text("3"))];
    assert_eq!(refusal(&binary(&frames, &more)), RefusalReason::Corrupt);
    let groups = [vec![position(0.0)], vec![of_image("1.2.4.5")]];
    let groups = EXPLICIT.sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, &groups);
    let unplaced = decode::segmentation(&binary(&frames, &[groups]), &limits()).unwrap_err();
    assert_eq!(unplaced.problem, RefusalReason::UnknownOrientation);
    assert!(unplaced.detail.contains("Frame 2"), "{unplaced}");
}

#[test]
fn what_is_no_segmentation_is_none_and_a_cut_one_never_panics() {
    let image = EXPLICIT.file(&EXPLICIT.data_set(&slice(EXPLICIT, &PIXELS, &[])));
    for file in [&image[..], b"", b"\x89PNG\r\n\x1a\n"] {
        assert_eq!(decode::segmentation(file, &limits()).unwrap(), None);
    }
    let whole = binary(&[(0.0, CROSS), (5.0, LAST)], &[]);
    for length in 0..whole.len() {
        let cut = decode::segmentation(&whole[..length], &limits());
        assert!(!matches!(cut, Ok(Some(_))), "{length} of {}", whole.len());
    }
}
