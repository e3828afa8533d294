//! What files say of themselves, and where in an upload they and their parts stand.

use serde_json::json;

use super::*;
use crate::{Extent, Instance, PixelExtents, attribute_named, instance, instances};

fn said(writer: Writer, more: &[Element]) -> (Vec<u8>, Instance) {
    let uid = |tag, uid: &str| (tag, "UI", text(uid));
    let named = [
        uid(tags::SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.4"),
        uid(tags::SOP_INSTANCE_UID, "1.2.3"),
    ];
    let elements = slice(writer, &PIXELS, &[&named[..], more].concat());
    let file = writer.file(&writer.data_set(&elements));
    let said = instance(&file, &limits()).unwrap();
    (file, said)
}

#[test]
fn attributes_are_told_alike_whatever_they_are_written_in() {
    let more = |writer: Writer| {
        vec![
            (tags::PATIENT_NAME, "PN", text("Yamada^Tarou=Y=T")),
            (tags::IMAGE_TYPE, "CS", text("ORIGINAL\\PRIMARY")),
            (tags::SLICE_THICKNESS, "DS", text("2.5")),
            (tags::SERIES_NUMBER, "IS", text("7")),
            (tags::ACCESSION_NUMBER, "SH", Vec::new()),
            (Tag(9, 0x10), "LO", text("somebody")),
            writer.us(tags::SMALLEST_IMAGE_PIXEL_VALUE, 3),
            (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA, "OW", writer.u16(0x0102)),
        ]
    };
    for writer in [EXPLICIT, IMPLICIT, BIG, DEFLATED] {
        let (_, said) = said(writer, &more(writer));
        let of = |tag: &str| &said.attributes[tag];
        let name = json!({ "Alphabetic": "Yamada^Tarou", "Ideographic": "Y", "Phonetic": "T" });
        assert_eq!(of("00100010"), &json!({ "vr": "PN", "Value": [name] }), "{}", writer.syntax);
        assert_eq!(of("00080008"), &json!({ "vr": "CS", "Value": ["ORIGINAL", "PRIMARY"] }));
        assert_eq!(of("00180050"), &json!({ "vr": "DS", "Value": [2.5] }));
        assert_eq!(of("00200011"), &json!({ "vr": "IS", "Value": [7] }));
        assert_eq!(of("00080050"), &json!({ "vr": "SH" }));
        assert_eq!(of("00090010"), &json!({ "vr": "LO", "Value": ["somebody"] }));
        assert_eq!(of("00280010"), &json!({ "vr": "US", "Value": [2] }));
        assert_eq!(of("00280106"), &json!({ "vr": "US", "Value": [3] }));
        assert_eq!(of("00281201"), &json!({ "vr": "OW", "InlineBinary": "AgE=" }));
        assert_eq!(of("7FE00010")["BulkDataURI"], "bulkdata/7FE00010");
        assert_eq!(
            (&*said.sop_instance, &*said.transfer_syntax, said.frames),
            ("1.2.3", writer.syntax, 1)
        );
    }
}

#[test]
fn text_is_told_in_unicode_and_sequences_by_their_items() {
    let latin = (tags::SPECIFIC_CHARACTER_SET, "CS", text("ISO_IR 100"));
    let item = vec![(tags::CODE_MEANING, "LO", b"Sch\xe4del ".to_vec())];
    let name = (tags::PATIENT_NAME, "PN", b"M\xfcller".to_vec());
    let sequence = IMPLICIT.sequence(tags::PROCEDURE_CODE_SEQUENCE, &[item]);
    let (_, said) = said(IMPLICIT, &[latin, name, sequence]);
    assert_eq!(said.attributes["00080005"]["Value"], json!(["ISO_IR 192"]));
    assert_eq!(said.attributes["00100010"]["Value"][0]["Alphabetic"], "M\u{fc}ller");
    let inner = &said.attributes["00081032"]["Value"][0]["00080104"];
    assert_eq!(inner, &json!({ "vr": "LO", "Value": ["Sch\u{e4}del"] }));
}

#[test]
fn pixels_are_where_they_are_said_to_be() {
    for writer in [EXPLICIT, IMPLICIT, BIG] {
        let (file, said) = said(writer, &[]);
        let Some(PixelExtents::Native { all, frame_bits, swapped }) = said.pixels else { panic!() };
        assert_eq!((all.bytes, frame_bits, swapped), (16, 128, writer.big_endian));
        let pixels: Vec<u8> = PIXELS.iter().flat_map(|pixel| writer.u16(*pixel as u16)).collect();
        assert_eq!(file[all.at as usize..all.end() as usize], pixels);
    }
    // Pixels of a byte are swapped with the words that they are written in, and bytes are not.
    for (writer, vr, expected) in
        [(BIG, "OW", true), (BIG, "OB", false), (EXPLICIT, "OW", false), (EXPLICIT, "OB", false)]
    {
        let bytes = [writer.us(tags::BITS_ALLOCATED, 8), (tags::PIXEL_DATA, vr, (0..8).collect())];
        let pixels = said(writer, &bytes).1.pixels;
        let Some(PixelExtents::Native { frame_bits, swapped, .. }) = pixels else { panic!() };
        assert_eq!((frame_bits, swapped), (64, expected), "{vr}, {}", writer.syntax);
    }
    // What is unpacked elsewhere stands nowhere in the file.
    assert_eq!(said(DEFLATED, &[]).1.pixels, None);
}

#[test]
fn the_instances_of_an_upload_are_found_where_they_stand() {
    let volume = phantom();
    let series = encode::Series::of_seed(3);
    let file = encode::dicom(&volume, &series, 0).unwrap();
    let uid = instance(&file, &limits()).unwrap().sop_instance;
    let wanted = [uid.clone()];
    let [alone] = <[_; 1]>::try_from(instances(&file, &wanted, &limits())).ok().unwrap();
    assert_eq!(alone.stored, Extent { at: 0, bytes: file.len() as u64 });
    assert!(!alone.packed && alone.instance.sop_instance == uid);

    let files = [
        ("IM1".to_owned(), file.clone()),
        ("copy".to_owned(), file.clone()),
        ("note.txt".to_owned(), b"hello".to_vec()),
    ];
    let archive = encode::zip(&files).unwrap();
    let [within] = <[_; 1]>::try_from(instances(&archive, &wanted, &limits())).ok().unwrap();
    let stored = &archive[within.stored.at as usize..within.stored.end() as usize];
    let unpacked = match within.packed {
        true => {
            use std::io::Read;
            let mut bytes = Vec::new();
            flate2::read::DeflateDecoder::new(stored).read_to_end(&mut bytes).unwrap();
            bytes
        }
        false => stored.to_vec(),
    };
    assert!(unpacked == file && within.bytes == file.len() as u64);
    assert_eq!(within.sha256, alone.sha256);
    assert!(instances(&archive, &["1.2.3".to_owned()], &limits()).is_empty());
    assert!(instances(b"hello", &wanted, &limits()).is_empty());
}

#[test]
fn an_attribute_goes_by_its_keyword_and_by_its_tag() {
    for name in ["PatientID", "00100020"] {
        assert_eq!(attribute_named(name).as_deref(), Some("00100020"));
    }
    assert_eq!(attribute_named("7fe00010").as_deref(), Some("7FE00010"));
    assert!(attribute_named("patientid").is_none() && attribute_named("").is_none());
}
