mod encodings;
mod identities;
mod instances;
mod real;
mod segmentations;
mod together;
mod turned;
mod values;
pub(super) mod write;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use self::write::{BIG, DEFLATED, EXPLICIT, Element, IMPLICIT, Writer, place, slice, text};
use super::*;
use crate::{decode, encode};

const PIXELS: [i32; 8] = [0, 1, 2, 3, 100, 2000, 4000, 4095];

fn limits() -> Limits {
    Limits::default()
}

fn volume(writer: Writer, more: &[Element]) -> Volume {
    let file = writer.file(&writer.data_set(&slice(writer, &PIXELS, more)));
    decode::decode(&file, &limits()).unwrap().volume
}

fn problem(bytes: &[u8]) -> RefusalReason {
    decode::decode(bytes, &limits()).unwrap_err().problem
}

fn refused(more: &[Element]) -> RefusalReason {
    problem(&EXPLICIT.file(&EXPLICIT.data_set(&slice(EXPLICIT, &PIXELS, more))))
}

fn floats(pixels: &[i32]) -> Vec<f32> {
    pixels.iter().map(|pixel| *pixel as f32).collect()
}

#[test]
fn every_uncompressed_encoding_gives_the_same_volume() {
    let expected = volume(EXPLICIT, &[]);
    assert_eq!(expected.voxels, floats(&PIXELS));
    assert_eq!(expected.modality, Some(Modality::MagneticResonance));
    for writer in [IMPLICIT, BIG, DEFLATED] {
        assert_eq!(volume(writer, &[]), expected, "{}", writer.syntax);
    }
}

#[test]
fn a_file_that_is_written_in_another_way_than_it_says_is_read_as_it_is() {
    let expected = volume(EXPLICIT, &[]);
    for (says, is) in [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT), (EXPLICIT, BIG), (BIG, EXPLICIT)]
    {
        let file = says.file(&is.data_set(&slice(is, &PIXELS, &[])));
        let read = decode::decode(&file, &limits()).unwrap().volume;
        assert_eq!(read, expected, "{} in {}", is.syntax, says.syntax);
    }
}

#[test]
fn a_class_is_offered_where_its_files_may_be_slices() {
    // MR, enhanced MR, CT, secondary capture.
    for class in ["4", "4.1", "2", "7"] {
        assert!(may_be_image(&format!("1.2.840.10008.5.1.4.1.1.{class}")), "{class}");
    }
    // A report, a segmentation, a spectroscopy, a document; and what is found and moved, of protocols and of inventories.
    for class in ["88.33", "66.4", "4.2", "104.1", "200.4", "200.5", "201.2", "201.6"] {
        assert!(!may_be_image(&format!("1.2.840.10008.5.1.4.1.1.{class}")), "{class}");
    }
    // Verification, a worklist.
    assert!(!may_be_image("1.2.840.10008.1.1") && !may_be_image("1.2.840.10008.5.1.4.31"));
}

#[test]
fn an_instance_says_its_series_and_what_is_broken_or_no_slice_says_none() {
    let file = encode::dicom(&phantom(), &encode::Series::of_seed(3), 0).unwrap();
    let [patient, study, series] = decode::series_of(&file, &limits()).unwrap().unwrap();
    assert!(!patient.is_empty() && study.starts_with("2.25.") && series.starts_with("2.25."));
    assert_ne!(study, series);
    assert!(decode::series_of(&file[..150], &limits()).is_err());
}

#[test]
fn an_instance_says_what_it_is_and_where_its_data_set_begins() {
    let file = encode::dicom(&phantom(), &encode::Series::of_seed(3), 0).unwrap();
    let told = decode::instance_of(&file, &limits()).unwrap();
    let [_, study, series] = decode::series_of(&file, &limits()).unwrap().unwrap();
    assert_eq!((&told.study, &told.series, told.is_slice), (&study, &series, true));
    assert!(may_be_image(&told.sop_class) && told.sop_instance.starts_with("2.25."));
    assert_eq!(told.transfer_syntax, "1.2.840.10008.1.2.1");
    // The group length (PS3.10, 7.1) says how long the rest of the head is.
    let head = u32::from_le_bytes(*file[140..].first_chunk().unwrap()) as u64;
    assert_eq!(told.data_set_at, 144 + head);
    for broken in [&file[..150], &file[132..], b"%PDF-1.7".as_slice(), b""] {
        assert!(decode::instance_of(broken, &limits()).is_err());
    }
}

#[test]
fn a_head_that_names_another_instance_is_refused() {
    let file = encode::dicom(&phantom(), &encode::Series::of_seed(3), 0).unwrap();
    let told = decode::instance_of(&file, &limits()).unwrap();
    let uid = told.sop_instance.as_bytes();
    let at = file.windows(uid.len()).position(|window| window == uid).unwrap();
    assert!((at as u64) < told.data_set_at, "the head's comes first");
    let mut other = file;
    other[at + uid.len() - 1] = if other[at + uid.len() - 1] == b'1' { b'2' } else { b'1' };
    let refusal = decode::instance_of(&other, &limits()).unwrap_err();
    assert_eq!(refusal.problem, RefusalReason::Corrupt);
}

fn phantom() -> Volume {
    let settings = crate::phantom::Settings::slice(3);
    crate::phantom::Phantom::new(&settings).unwrap().volume
}

#[test]
fn what_holds_no_slice_is_told_by_what_it_is() {
    let class = |uid: &str| (tags::SOP_CLASS_UID, "UI", text(uid));
    let refusal = |more: &[Element], pixels: bool| {
        let mut elements = slice(EXPLICIT, &PIXELS, more);
        elements.retain(|(tag, ..)| pixels || *tag != tags::PIXEL_DATA);
        let file = EXPLICIT.file(&EXPLICIT.data_set(&elements));
        decode::decode(&file, &limits()).unwrap_err()
    };
    let report = refusal(&[class("1.2.840.10008.5.1.4.1.1.88.22")], false);
    assert!(
        report.problem == RefusalReason::NotAnImage && report.detail.contains("structured report")
    );
    let labels = refusal(&[class("1.2.840.10008.5.1.4.1.1.66.4")], true);
    assert!(
        labels.problem == RefusalReason::NotAHead && labels.detail.contains("label map"),
        "{labels}"
    );
    // An image whose pixels are missing was cut; to leave it out would be to lose a slice.
    let cut = refusal(&[class("1.2.840.10008.5.1.4.1.1.4")], false);
    assert_eq!(cut.problem, RefusalReason::Truncated);
}

#[test]
fn a_file_without_preamble_or_meta_group_is_read() {
    for writer in [EXPLICIT, IMPLICIT] {
        let set = writer.data_set(&slice(writer, &PIXELS, &[]));
        assert_eq!(
            decode::decode(&set, &limits()).unwrap().volume,
            volume(writer, &[]),
            "{}",
            writer.syntax
        );
        let without_preamble = writer.file(&set)[132..].to_vec();
        assert_eq!(
            decode::decode(&without_preamble, &limits()).unwrap().volume,
            volume(writer, &[])
        );
    }
}

#[test]
fn signed_pixels_and_foreign_bits_are_understood() {
    let negative = [0, -1, -2048, 2047, 5, -5, 7, 8];
    let bytes =
        negative.iter().flat_map(|pixel| EXPLICIT.u16((*pixel as u16 & 0x0fff) | 0x7000)).collect();
    let signed = [EXPLICIT.us(tags::PIXEL_REPRESENTATION, 1), (tags::PIXEL_DATA, "OW", bytes)];
    assert_eq!(volume(EXPLICIT, &signed).voxels, floats(&negative));
}

#[test]
fn values_are_what_the_header_says_they_measure() {
    let rescale = [
        (tags::RESCALE_SLOPE, "DS", text("0.5")),
        (tags::RESCALE_INTERCEPT, "DS", text("-1000")),
        (tags::WINDOW_CENTER, "DS", text("40.5\\1")),
        (tags::WINDOW_WIDTH, "DS", text("81\\2")),
    ];
    let rescaled = volume(EXPLICIT, &rescale);
    assert_eq!(rescaled.voxels, PIXELS.map(|pixel| pixel as f32 * 0.5 - 1000.0));
    assert_eq!(rescaled.window, [0.0, 80.0]);
    let inverted =
        [&rescale[..], &[(tags::PHOTOMETRIC_INTERPRETATION, "CS", text("MONOCHROME1"))]].concat();
    let turned = volume(EXPLICIT, &inverted);
    assert_eq!(turned.voxels, rescaled.voxels.iter().map(|value| 47.5 - value).collect::<Vec<_>>());
    assert_eq!(turned.window, [-32.5, 47.5]);
    assert_eq!(refused(&[(tags::RESCALE_SLOPE, "DS", text("0"))]), RefusalReason::Corrupt);
}

#[test]
fn slices_share_one_window_whichever_end_they_are_counted_from() {
    let windows = [[0.0, 80.0], [0.0, 100.0], [20.0, 120.0], [-50.0, 300.0]];
    let shared = common_window(windows.into_iter());
    assert_eq!(shared, Some([0.0, 100.0]));
    assert_eq!(common_window(windows.into_iter().rev()), shared);
    assert_eq!(common_window(std::iter::empty()), None);
}

#[test]
fn what_is_stored_as_a_negative_is_the_picture_that_it_shows() {
    let plain = volume(EXPLICIT, &[]);
    let pixels: Vec<u8> =
        PIXELS.iter().flat_map(|pixel| EXPLICIT.u16(4095 - *pixel as u16)).collect();
    let negative = (tags::PIXEL_DATA, "OW", pixels);
    let says = [
        vec![(tags::PHOTOMETRIC_INTERPRETATION, "CS", text("MONOCHROME1"))],
        vec![(tags::PRESENTATION_LUT_SHAPE, "CS", text("INVERSE"))],
        vec![
            (tags::PHOTOMETRIC_INTERPRETATION, "CS", text("MONOCHROME1")),
            (tags::PRESENTATION_LUT_SHAPE, "CS", text("INVERSE")),
        ],
    ];
    for says in says {
        let turned = volume(EXPLICIT, &[&says[..], std::slice::from_ref(&negative)].concat());
        assert_eq!((turned.voxels, turned.window), (plain.voxels.clone(), plain.window));
    }
    // Hounsfield units stay what they are.
    let ct = [
        (tags::MODALITY, "CS", text("CT")),
        (tags::PHOTOMETRIC_INTERPRETATION, "CS", text("MONOCHROME1")),
    ];
    assert_eq!(volume(EXPLICIT, &ct).voxels, plain.voxels);
}

#[test]
fn slices_of_8_and_of_16_bits_are_no_series() {
    let at = |z: f64, more: &[Element]| {
        let elements = slice(EXPLICIT, &PIXELS, &[&place(z)[..], more].concat());
        EXPLICIT.file(&EXPLICIT.data_set(&elements))
    };
    let narrow = [
        EXPLICIT.us(tags::BITS_ALLOCATED, 8),
        EXPLICIT.us(tags::BITS_STORED, 8),
        EXPLICIT.us(tags::HIGH_BIT, 7),
        (tags::PIXEL_DATA, "OB", vec![10, 200, 30, 90, 250, 60, 120, 180]),
    ];
    let files = [("a".to_owned(), at(0.0, &[])), ("b".to_owned(), at(9.0, &narrow))];
    let refusal = decode::decode(&encode::zip(&files).unwrap(), &limits()).unwrap_err();
    assert_eq!(refusal.problem, RefusalReason::MixedSeries);
    let expected = "a and b have pixels of different depth (16 and 8 bits).";
    assert!(refusal.detail.starts_with(expected), "{refusal}");
}

#[test]
fn padding_is_air() {
    let with = |padding: &[Element], pixels: [i32; 8]| {
        let data = pixels.iter().flat_map(|pixel| EXPLICIT.u16(*pixel as u16)).collect();
        let wide = [
            EXPLICIT.us(tags::BITS_STORED, 16),
            EXPLICIT.us(tags::HIGH_BIT, 15),
            EXPLICIT.us(tags::PIXEL_REPRESENTATION, 1),
            (tags::PIXEL_DATA, "OW", data),
        ];
        volume(EXPLICIT, &[&wide[..], padding].concat()).voxels
    };
    let value = |tag, value: i16| (tag, "SS", EXPLICIT.u16(value as u16));
    let one = [value(tags::PIXEL_PADDING_VALUE, -32768)];
    let range =
        [value(tags::PIXEL_PADDING_VALUE, -32768), value(tags::PIXEL_PADDING_RANGE_LIMIT, -30000)];
    let pixels = [-32768, -30500, 12, 300, 900, -32768, 4000, 5];
    assert_eq!(with(&one, [-32768, 9, 12, 300, 900, -32768, 4000, 5])[..2], [5.0, 9.0]);
    assert_eq!(with(&range, pixels), [5.0, 5.0, 12.0, 300.0, 900.0, 5.0, 4000.0, 5.0]);
    // So is what lies below all that was measured, if not far below.
    let below = [value(tags::PIXEL_PADDING_VALUE, -2000)];
    assert_eq!(with(&below, [-2000, 9, 12, 300, 900, -2000, 4000, 5])[..2], [5.0, 9.0]);
    // White padding is air too, and what is dark as it is stays so.
    let white = [value(tags::PIXEL_PADDING_VALUE, 30000)];
    assert_eq!(with(&white, [30000, 10, 10, 20, 30, 40, 50, 60])[0], 10.0);
    let black = [value(tags::PIXEL_PADDING_VALUE, 0)];
    assert_eq!(with(&black, [0, 30, 40, 50, 60, 70, 80, 90])[0], 0.0);
    // What fills the picture beside the declared value is air all the same.
    let filled = [-32768, -32768, 5, 9, 300, 900, 0, 4000];
    assert_eq!(with(&black, filled), [5.0, 5.0, 5.0, 9.0, 300.0, 900.0, 5.0, 4000.0]);
}

#[test]
fn a_size_or_a_place_that_is_no_number_is_refused_and_an_empty_one_unknown() {
    for (tag, words) in [
        (tags::PIXEL_SPACING, "0.9,0.8"),
        (tags::PIXEL_SPACING, "0.9"),
        (tags::PIXEL_SPACING, "0.9\\0\\0.8"),
        (tags::IMAGE_POSITION_PATIENT, "-110,0\\-120,0\\3"),
    ] {
        assert_eq!(refused(&[(tag, "DS", text(words))]), RefusalReason::Corrupt, "{words}");
    }
    let spacing = |more: &[Element]| volume(EXPLICIT, more).geometry.map(|geometry| geometry.known);
    assert_eq!(spacing(&[(tags::PIXEL_SPACING, "DS", text(" "))]), None);
    assert_eq!(spacing(&place(0.0)[2..]), Some(crate::Known::Distances));
    assert_eq!(spacing(&place(0.0)[1..]), Some(crate::Known::Directions));
}

#[test]
fn a_modality_table_maps_stored_values() {
    let values: Vec<u8> = (0..4096u16).flat_map(|value| (4095 - value).to_le_bytes()).collect();
    let table = vec![
        (
            tags::LUT_DESCRIPTOR,
            "US",
            [4096u16, 0, 16].iter().flat_map(|v| v.to_le_bytes()).collect(),
        ),
        (tags::LUT_DATA, "OW", values),
    ];
    let mapped = volume(EXPLICIT, &[EXPLICIT.sequence(tags::MODALITY_LUT_SEQUENCE, &[table])]);
    assert_eq!(mapped.voxels, PIXELS.map(|pixel| 4095.0 - pixel as f32));
}

#[test]
fn identity_is_split_off_and_the_volume_knows_nothing_of_it() {
    let named = [
        (tags::SPECIFIC_CHARACTER_SET, "CS", text("ISO_IR 100")),
        (tags::PATIENT_NAME, "PN", b"M\xfcller^Zo\xeb".to_vec()),
        (tags::ISSUER_OF_PATIENT_ID, "LO", text("HOSPITAL")),
        (tags::PATIENT_BIRTH_DATE, "DA", text("19700101")),
        (tags::ACCESSION_NUMBER, "SH", text("A-1")),
        (tags::SOP_INSTANCE_UID, "UI", b"1.2.3\0".to_vec()),
    ];
    let file = EXPLICIT.file(&EXPLICIT.data_set(&slice(EXPLICIT, &PIXELS, &named)));
    let decoded = decode::decode(&file, &limits()).unwrap();
    let identity = decoded.identity.unwrap();
    assert_eq!(identity.patient_name.as_deref(), Some("Müller^Zoë"));
    assert_eq!(identity.patient_key().as_deref(), Some("HOSPITAL\\4711"));
    assert_eq!(identity.sop_instance_uids, ["1.2.3"]);
    let stored = decoded.volume.to_bytes();
    for canary in [&b"4711"[..], b"ller", b"19700101", b"HOSPITAL", b"A-1"] {
        assert!(!stored.windows(canary.len()).any(|window| window == canary), "{canary:?}");
    }
}

#[test]
fn where_and_with_what_an_image_was_made_is_told_apart_from_whose_it_is() {
    let made = [
        (tags::MANUFACTURER, "LO", text("Acme")),
        (tags::INSTITUTION_NAME, "LO", text("General ")),
        (tags::STATION_NAME, "SH", text("MR1")),
        (tags::MANUFACTURER_MODEL_NAME, "LO", text("Maker")),
        (tags::MAGNETIC_FIELD_STRENGTH, "DS", text("1.494")),
    ];
    let file = EXPLICIT.file(&EXPLICIT.data_set(&slice(EXPLICIT, &PIXELS, &made)));
    let equipment = decode::decode(&file, &limits()).unwrap().equipment;
    assert_eq!(equipment.site.as_deref(), Some("General"));
    assert_eq!(equipment.scanner.as_deref(), Some("Acme Maker 1.5 T"));
}

#[test]
fn a_slice_knows_where_it_lies() {
    let placed = volume(EXPLICIT, &place(3.0));
    let geometry = placed.geometry.unwrap();
    assert_eq!(geometry.origin, [-10.0, -20.0, 3.0]);
    assert_eq!((geometry.row_step, geometry.column_step), ([0.0, 0.5, 0.0], [0.25, 0.0, 0.0]));
    assert_eq!(volume(EXPLICIT, &[]).geometry, None);
}

/// Frames in the wrong order, with a rescale of their own each.
fn enhanced(frames: &[(f64, &str)]) -> Vec<Element> {
    let shared = EXPLICIT.sequence(
        tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
        &[vec![
            EXPLICIT.sequence(tags::PIXEL_MEASURES_SEQUENCE, &[place(0.0)[2..].to_vec()]),
            EXPLICIT.sequence(tags::PLANE_ORIENTATION_SEQUENCE, &[place(0.0)[1..2].to_vec()]),
        ]],
    );
    let own: Vec<_> = frames
        .iter()
        .map(|(z, slope)| {
            let lut = vec![
                (tags::RESCALE_SLOPE, "DS", text(slope)),
                (tags::RESCALE_INTERCEPT, "DS", text("0")),
            ];
            vec![
                EXPLICIT.sequence(tags::PLANE_POSITION_SEQUENCE, &[place(*z)[..1].to_vec()]),
                EXPLICIT.sequence(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, &[lut]),
            ]
        })
        .collect();
    let pixels =
        frames.iter().flat_map(|_| PIXELS).flat_map(|pixel| EXPLICIT.u16(pixel as u16)).collect();
    vec![
        (tags::NUMBER_OF_FRAMES, "IS", text(&frames.len().to_string())),
        shared,
        EXPLICIT.sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, &own),
        (tags::PIXEL_DATA, "OW", pixels),
    ]
}

#[test]
fn an_enhanced_file_is_a_volume_of_its_frames_in_their_own_places_and_values() {
    let volume = volume(EXPLICIT, &enhanced(&[(4.0, "3"), (0.0, "1"), (2.0, "2")]));
    assert_eq!(volume.shape, Shape { slices: 3, rows: 2, columns: 4 });
    assert_eq!(volume.geometry.unwrap().slice_step, [0.0, 0.0, 2.0]);
    let ends: Vec<f32> = (0..3).map(|index| volume.slice(index)[7]).collect();
    assert_eq!(ends, [4095.0, 8190.0, 12285.0]);
}

#[test]
fn which_frame_each_slice_is_of_a_file_with_several_is_known() {
    let frames = enhanced(&[(4.0, "3"), (0.0, "1"), (2.0, "2")]);
    for (more, expected) in [(frames, &[2, 3, 1][..]), (Vec::new(), &[][..])] {
        let file = EXPLICIT.file(&EXPLICIT.data_set(&slice(EXPLICIT, &PIXELS, &more)));
        let identity = decode::decode(&file, &limits()).unwrap().identity.unwrap();
        assert_eq!(identity.frame_numbers, expected);
    }
}

#[test]
fn frames_that_are_not_described_are_refused() {
    let mut elements = enhanced(&[(0.0, "1"), (2.0, "1")]);
    elements.retain(|(tag, ..)| *tag != tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    assert_eq!(refused(&elements), RefusalReason::UnknownOrientation);
}

#[test]
fn run_lengths_and_jpeg_ls_are_unpacked() {
    let (low, high): (Vec<u8>, Vec<u8>) =
        PIXELS.iter().map(|pixel| (*pixel as u8, (pixel >> 8) as u8)).unzip();
    let literal = |bytes: &[u8]| [&[7][..], bytes, &[0]].concat();
    let header: Vec<u8> =
        [2u32, 64, 74].into_iter().chain([0; 13]).flat_map(u32::to_le_bytes).collect();
    let rle = [header, literal(&high), literal(&low)].concat();
    let plain: Vec<u8> = PIXELS.iter().flat_map(|pixel| (*pixel as u16).to_le_bytes()).collect();
    let info = charls::FrameInfo { width: 4, height: 2, bits_per_sample: 12, component_count: 1 };
    let jls = charls::CharLS::default().encode(info, 0, &plain).unwrap();
    for (syntax, frame) in [("1.2.840.10008.1.2.5", rle), ("1.2.840.10008.1.2.4.80", jls)] {
        let writer = Writer { syntax, ..EXPLICIT };
        let mut elements = slice(writer, &PIXELS, &[]);
        elements.retain(|(tag, ..)| *tag != tags::PIXEL_DATA);
        let set = [writer.data_set(&elements), writer.encapsulated(&[&frame])].concat();
        let volume = decode::decode(&writer.file(&set), &limits()).unwrap().volume;
        assert_eq!(volume.voxels, floats(&PIXELS), "{syntax}");
        // The codec's own size is compared with the header's before it is believed.
        let wider =
            [writer.data_set(&elements).replaced(4), writer.encapsulated(&[&frame])].concat();
        assert_eq!(problem(&writer.file(&wider)), RefusalReason::Corrupt, "{syntax}");
    }
}

trait Replaced {
    fn replaced(self, columns: u16) -> Self;
}

impl Replaced for Vec<u8> {
    /// With twice the columns.
    fn replaced(mut self, columns: u16) -> Vec<u8> {
        let element = EXPLICIT.element(&EXPLICIT.us(tags::COLUMNS, columns));
        let at = self.windows(element.len()).position(|window| window == element).unwrap();
        let twice = EXPLICIT.element(&EXPLICIT.us(tags::COLUMNS, 2 * columns));
        self.splice(at..at + element.len(), twice);
        self
    }
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let us = |tag, value| refused(&[EXPLICIT.us(tag, value)]);
    assert_eq!(us(tags::ROWS, 3), RefusalReason::Truncated);
    assert_eq!(us(tags::ROWS, 0), RefusalReason::Corrupt);
    assert_eq!(us(tags::ROWS, 65535), RefusalReason::TooLarge);
    assert_eq!(us(tags::BITS_ALLOCATED, 1), RefusalReason::Unsupported);
    assert_eq!(us(tags::BITS_STORED, 0), RefusalReason::Corrupt);
    assert_eq!(us(tags::BITS_STORED, 17), RefusalReason::Corrupt);
    assert_eq!(us(tags::HIGH_BIT, 16), RefusalReason::Corrupt);
    assert_eq!(us(tags::SAMPLES_PER_PIXEL, 3), RefusalReason::Unsupported);
    let text = |tag, vr, value| refused(&[(tag, vr, write::text(value))]);
    assert_eq!(text(tags::NUMBER_OF_FRAMES, "IS", "2000000000"), RefusalReason::TooLarge);
    assert_eq!(text(tags::NUMBER_OF_FRAMES, "IS", "-1"), RefusalReason::Corrupt);
    assert_eq!(
        text(tags::PHOTOMETRIC_INTERPRETATION, "CS", "PALETTE COLOR"),
        RefusalReason::Unsupported
    );
    assert_eq!(text(tags::BODY_PART_EXAMINED, "CS", "KNEE"), RefusalReason::NotAHead);
    assert_eq!(
        text(tags::IMAGE_ORIENTATION_PATIENT, "DS", "0\\0\\0\\0\\0\\0"),
        RefusalReason::UnknownOrientation
    );
    assert_eq!(text(tags::PIXEL_SPACING, "DS", "0\\0"), RefusalReason::Corrupt);
}

#[test]
fn a_declared_length_beyond_the_file_allocates_nothing_and_is_refused() {
    let lie = |vr: &str| {
        let elements = slice(EXPLICIT, &PIXELS, &[]);
        let lie = EXPLICIT.with_length(Tag(0x0009, 0x1001), vr, 0x4000_0000, b"ab");
        EXPLICIT.file(&[EXPLICIT.data_set(&elements[..1]), lie].concat())
    };
    for vr in ["OB", "OW", "UN", "UT"] {
        assert_eq!(problem(&lie(vr)), RefusalReason::Truncated, "{vr}");
    }
}

#[test]
fn nesting_without_end_and_unending_sequences_are_refused() {
    let tag = Tag(0x0009, 0x1002);
    let deep = |levels: usize| -> Vec<u8> {
        let open = [
            EXPLICIT.with_length(tag, "SQ", u32::MAX, &[]),
            EXPLICIT.with_length(Tag(0xfffe, 0xe000), "", u32::MAX, &[]),
        ]
        .concat();
        let close = [
            EXPLICIT.with_length(Tag(0xfffe, 0xe00d), "", 0, &[]),
            EXPLICIT.with_length(Tag(0xfffe, 0xe0dd), "", 0, &[]),
        ]
        .concat();
        [open.repeat(levels), close.repeat(levels)].concat()
    };
    let file = |nested: Vec<u8>| {
        let elements = slice(EXPLICIT, &PIXELS, &[]);
        EXPLICIT.file(
            &[EXPLICIT.data_set(&elements[..1]), nested, EXPLICIT.data_set(&elements[1..])]
                .concat(),
        )
    };
    assert!(decode::decode(&file(deep(20)), &limits()).is_ok());
    assert_eq!(problem(&file(deep(100_000))), RefusalReason::Corrupt);
    assert_eq!(problem(&file(deep(20)[..100].to_vec())), RefusalReason::Truncated);
}

#[test]
fn what_is_neither_mr_nor_ct_or_holds_no_image_is_refused() {
    assert_eq!(refused(&[(tags::MODALITY, "CS", text("CR"))]), RefusalReason::NotAHead);
    let mut report = slice(EXPLICIT, &PIXELS, &[]);
    report.truncate(2);
    assert_eq!(problem(&EXPLICIT.file(&EXPLICIT.data_set(&report))), RefusalReason::NotAnImage);
    let vendor = Writer { syntax: "1.2.3.4", ..EXPLICIT };
    let file = vendor.file(&vendor.data_set(&slice(vendor, &PIXELS, &[])));
    assert_eq!(problem(&file), RefusalReason::Unsupported);
}
