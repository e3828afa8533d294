use dicom_dictionary_std::tags;

use super::super::tests::write::{
    BIG, DEFLATED, EXPLICIT, Element, IMPLICIT, Writer, place, slice, text,
};
use super::*;
use crate::decode::decode;

const CANARY: &str = "CANARY";
const PIXELS: [i32; 8] = [0, 1, 2, 3, 40, 500, 600, 4095];

fn digest(what: &str, value: &str) -> [u8; 16] {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("key\0{what}\0{value}"));
    *digest.first_chunk().unwrap()
}

fn cleaned(bytes: &[u8]) -> Result<Deidentified, Refusal> {
    crate::deidentify(bytes, &Limits::default(), &Naming { digest: &digest, is_of: None })
}

#[test]
fn what_is_another_patients_than_it_was_said_to_be_stays() {
    let bytes = file(EXPLICIT, &[]);
    let asked = |whose: &'static str| {
        let is_of = move |patient: &str| patient == whose;
        let naming = Naming { digest: &digest, is_of: Some(&is_of) };
        crate::deidentify(&bytes, &Limits::default(), &naming).map_err(|refusal| refusal.problem)
    };
    assert!(asked("4711").is_ok());
    assert_eq!(asked("4712").unwrap_err(), RefusalReason::WrongIdentity);
}

fn file(writer: Writer, more: &[Element]) -> Vec<u8> {
    let said = [place(3.0), identified(), more.to_vec()].concat();
    writer.file(&writer.data_set(&slice(writer, &PIXELS, &said)))
}

/// Whose it is, and which instance of what.
fn identified() -> Vec<Element> {
    vec![
        (tags::SOP_CLASS_UID, "UI", text("1.2.840.10008.5.1.4.1.1.4")),
        (tags::SOP_INSTANCE_UID, "UI", text("1.2.3.41")),
        (tags::SERIES_INSTANCE_UID, "UI", text("1.2.3.40")),
        (tags::STUDY_INSTANCE_UID, "UI", text("1.2.3.4")),
        (tags::PATIENT_ID, "LO", text("4711")),
        (tags::STUDY_DATE, "DA", text("20260301")),
    ]
}

/// A name in a value of each representation of text, at the top and within sequences.
fn named(writer: Writer) -> Vec<Element> {
    let name = |tag: Tag, vr: &'static str| (tag, vr, text(CANARY));
    let within = vec![name(tags::PATIENT_NAME, "PN"), name(tags::CODE_MEANING, "LO")];
    let group = vec![name(tags::FRAME_COMMENTS, "LT"), name(tags::FRAME_TYPE, "CS")];
    vec![
        name(tags::PATIENT_NAME, "PN"),
        name(tags::PATIENT_ID, "LO"),
        name(tags::PATIENT_AGE, "AS"),
        name(tags::STATION_AE_TITLE, "AE"),
        name(tags::BODY_PART_EXAMINED, "CS"),
        name(tags::SERIES_DATE, "DA"),
        name(tags::REPETITION_TIME, "DS"),
        name(tags::ACQUISITION_DATE_TIME, "DT"),
        name(tags::SERIES_NUMBER, "IS"),
        name(tags::SERIES_DESCRIPTION, "LO"),
        name(tags::PATIENT_COMMENTS, "LT"),
        name(tags::SEQUENCE_NAME, "SH"),
        name(tags::INSTITUTION_ADDRESS, "ST"),
        name(tags::SERIES_TIME, "TM"),
        name(tags::FRAME_OF_REFERENCE_UID, "UI"),
        name(tags::TEXT_VALUE, "UT"),
        name(tags::MANUFACTURER, "LO"),
        name(Tag(0x0009, 0x1001), "LO"),
        name(Tag(0x0029, 0x1010), "UN"),
        name(Tag(0x6000, 0x3000), "OW"),
        name(tags::IMAGE_COMMENTS, "LT"),
        // A name that is called something else.
        name(tags::SLICE_THICKNESS, "PN"),
        writer.sequence(tags::REQUEST_ATTRIBUTES_SEQUENCE, std::slice::from_ref(&within)),
        writer.sequence(tags::MR_ECHO_SEQUENCE, &[[within, group].concat()]),
    ]
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_name_in_no_representation_and_no_encoding_leaves() {
    for writer in [EXPLICIT, IMPLICIT, BIG, DEFLATED] {
        // Of a representation that a file states, implicit ones know nothing.
        let mut more = named(writer);
        more.retain(|(tag, ..)| *tag != tags::SLICE_THICKNESS);
        let mut said = identified();
        said.retain(|(tag, ..)| *tag != tags::PATIENT_ID);
        let mut all = [place(3.0), said, more].concat();
        if writer.explicit {
            all.retain(|(tag, ..)| *tag != tags::SLICE_THICKNESS);
            all.push((tags::SLICE_THICKNESS, "PN", text(CANARY)));
        }
        let elements = slice(writer, &PIXELS, &all);
        let done = cleaned(&writer.file(&writer.data_set(&elements))).unwrap();
        assert!(!holds(&done.file, CANARY), "{}", writer.syntax);
        assert!(done.attributes["private"].removed >= 2, "{:?}", done.attributes);
        assert_eq!(done.attributes["(0008,103e)"], Treated { removed: 1, ..Treated::default() });
        // Not one of the private ones, nor the overlay, is there at all.
        assert!(!holds(&done.file, "\x09\0\x01\x10") && !holds(&done.file, "\0\x60\0\x30"));
    }
}

#[test]
fn what_leaves_is_the_same_image_in_the_same_place() {
    for writer in [EXPLICIT, IMPLICIT, BIG, DEFLATED] {
        let bytes = file(writer, &[]);
        let done = cleaned(&bytes).unwrap();
        let [before, after] =
            [&bytes, &done.file].map(|bytes| decode(bytes, &Limits::default()).unwrap());
        assert_eq!(before.volume.voxels, after.volume.voxels, "{}", writer.syntax);
        assert_eq!(before.volume.geometry, after.volume.geometry, "{}", writer.syntax);
        assert_eq!(before.volume.modality, after.volume.modality);
        let identity = after.identity.unwrap();
        assert_ne!(identity.patient_id.as_deref(), Some("4711"));
        assert_eq!(identity.patient_id, identity.patient_name);
        assert_eq!(identity.series_instance_uid.as_deref(), Some(&*done.series));
        assert_eq!(identity.sop_instance_uids, [done.instance]);
        assert_eq!(identity.sop_class_uid.as_deref(), Some("1.2.840.10008.5.1.4.1.1.4"));
    }
}

#[test]
fn what_lost_something_says_so_when_only_its_compression_told_it() {
    let plain: Vec<u8> = PIXELS.iter().flat_map(|pixel| (*pixel as u16).to_le_bytes()).collect();
    let info = charls::FrameInfo { width: 4, height: 2, bits_per_sample: 12, component_count: 1 };
    let frame = charls::CharLS::default().encode(info, 0, &plain).unwrap();
    let lossy = |syntax: &'static str| {
        let writer = Writer { syntax, ..EXPLICIT };
        let mut elements = slice(writer, &PIXELS, &[place(3.0), identified()].concat());
        elements.retain(|(tag, ..)| *tag != tags::PIXEL_DATA);
        let set = [writer.data_set(&elements), writer.encapsulated(&[&frame])].concat();
        let done = cleaned(&writer.file(&set)).unwrap();
        let identity = decode(&done.file, &Limits::default()).unwrap().identity.unwrap();
        (identity.lossy_image_compression, identity.lossy_image_compression_method)
    };
    let near = (Some("01".to_owned()), Some("ISO_14495_1".to_owned()));
    assert_eq!(lossy("1.2.840.10008.1.2.4.81"), near);
    assert_eq!(lossy("1.2.840.10008.1.2.4.80"), (None, None));
}

#[test]
fn a_value_that_is_too_long_for_its_representation_spoils_nothing_behind_it() {
    let long = (tags::ACQUISITION_MATRIX, "US", vec![1; 70_000]);
    let bytes = file(IMPLICIT, &[long]);
    let done = cleaned(&bytes).unwrap();
    let [before, after] =
        [&bytes, &done.file].map(|bytes| decode(bytes, &Limits::default()).unwrap());
    assert_eq!(before.volume.voxels, after.volume.voxels);
    assert_eq!(before.volume.geometry, after.volume.geometry);
}

#[test]
fn files_of_one_series_stay_files_of_one_and_dates_keep_their_distance() {
    let of = |instance: &str, date: &str| {
        let said = [
            (tags::SOP_INSTANCE_UID, "UI", text(instance)),
            (tags::STUDY_DATE, "DA", text(date)),
            (tags::BURNED_IN_ANNOTATION, "CS", text("NO")),
        ];
        let mut all = [place(3.0), identified()].concat();
        all.retain(|(tag, ..)| said.iter().all(|(other, ..)| other != tag));
        all.extend(said);
        let file = EXPLICIT.file(&EXPLICIT.data_set(&slice(EXPLICIT, &PIXELS, &all)));
        let done = cleaned(&file).unwrap();
        let identity = decode(&done.file, &Limits::default()).unwrap().identity.unwrap();
        (done.instance, done.series, identity.study_date.unwrap())
    };
    let [one, other] = [of("1.2.3.41", "20260301"), of("1.2.3.42", "20260308")];
    assert_ne!(one.0, other.0);
    assert_eq!(one.1, other.1);
    assert_eq!(of("1.2.3.41", "20260301"), one, "the same file is the same file again");
    let days = |date: &str| {
        let part = |range: std::ops::Range<usize>| date[range].parse::<i64>().unwrap();
        days_of(part(0..4), part(4..6), part(6..8))
    };
    assert_eq!(days(&other.2) - days(&one.2), 7);
    assert!(days(&one.2) < days("20260301"));
}

#[test]
fn dates_are_those_of_the_calendar() {
    assert_eq!((days_of(1970, 1, 1), days_of(2000, 3, 1)), (0, 11_017));
    for days in (-300_000..300_000).step_by(13) {
        let (year, month, day) = of_days(days);
        assert_eq!(days_of(year, month, day), days);
    }
    assert_eq!(shifted("20240301", 1).as_deref(), Some("20240229"));
    assert_eq!(shifted("2023.03.01", 1).as_deref(), Some("20230228"));
    for none in ["", "2024", "2024-3-1", "20241301", "Jane", "00010101"] {
        assert_eq!(shifted(none, 400), None, "{none}");
    }
}

#[test]
fn what_may_have_text_in_its_pixels_does_not_leave() {
    let burnt = |value: &str| (tags::BURNED_IN_ANNOTATION, "CS", text(value));
    assert!(cleaned(&file(EXPLICIT, &[burnt("NO")])).is_ok());
    assert!(cleaned(&file(EXPLICIT, &[])).is_ok());
    for said in ["YES", "Yes", "Y", "YES\\NO"] {
        let refused = cleaned(&file(EXPLICIT, &[burnt(said)])).unwrap_err();
        assert!(refused.detail.contains("text in its pixels"), "{said}: {refused:?}");
    }
    let capture = |more: &[Element]| {
        let mut all = [place(3.0), identified(), more.to_vec()].concat();
        all.retain(|(tag, ..)| *tag != tags::SOP_CLASS_UID);
        all.push((tags::SOP_CLASS_UID, "UI", text("1.2.840.10008.5.1.4.1.1.7")));
        cleaned(&EXPLICIT.file(&EXPLICIT.data_set(&slice(EXPLICIT, &PIXELS, &all))))
    };
    assert!(capture(&[]).unwrap_err().detail.contains("captured picture"));
    assert!(capture(&[burnt("NO")]).is_ok());
}

#[test]
fn letters_at_the_edges_are_seen_and_a_bright_head_is_not() {
    let (rows, columns) = (100_usize, 100_usize);
    let picture = |written: bool| {
        let mut pixels: Vec<u8> = Vec::new();
        for at in 0..rows * columns {
            let (row, column) = (at / columns, at % columns);
            let middle = row.abs_diff(50).max(column.abs_diff(50)) < 25;
            let letter = written && row < 10 && column < 40 && (row + column) % 4 == 0;
            let value = match (letter, middle) {
                (true, _) => 4000,
                (false, true) => 1000 + (7 * at % 2900) as u16,
                (false, false) => (at % 50) as u16,
            };
            pixels.extend(value.to_le_bytes());
        }
        let sized = [
            EXPLICIT.us(tags::ROWS, 100),
            EXPLICIT.us(tags::COLUMNS, 100),
            (tags::PIXEL_DATA, "OW", pixels),
        ];
        cleaned(&file(EXPLICIT, &sized))
    };
    assert!(picture(false).is_ok());
    assert!(picture(true).unwrap_err().detail.contains("at the edges"));
}

#[test]
fn what_was_done_is_said_in_the_file() {
    let done = cleaned(&file(EXPLICIT, &[])).unwrap();
    for said in ["113100", "113107", METHOD, "MODIFIED", "YES"] {
        assert!(holds(&done.file, said), "{said}");
    }
    assert_eq!(&done.file[128..132], b"DICM");
    assert!(done.file[..128].iter().all(|byte| *byte == 0));
}
