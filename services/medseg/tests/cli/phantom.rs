use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::place::{FAILED, MISUSED, Place};

/// Every form that a phantom is written in: the options, and where it goes.
const FORMS: [(&str, &str); 6] = [
    ("--format png", "folder"),
    ("--format png", "slice.png"),
    ("--format dicom --slices 2", "series"),
    ("--format nifti --slices 4", "head.nii"),
    ("--format nifti --slices 4", "head.nii.gz"),
    ("--format dicom --slices 2", "all.zip"),
];

/// Makes a small phantom of that seed; answers what the program says of it.
fn made(place: &Place, options: &str, seed: u64, out: &str) -> Value {
    let line = format!("phantom --size 64 --no-lesion {options} --seed {seed} --out {out}");
    serde_json::from_str(&place.medseg(&line).good()).unwrap()
}

/// The bytes of all files that the program says it has made.
fn bytes(place: &Place, said: &Value) -> Vec<Vec<u8>> {
    let files = said["files"].as_array().unwrap();
    files.iter().map(|file| fs::read(place.at(file.as_str().unwrap())).unwrap()).collect()
}

#[test]
fn each_form_is_what_its_name_says_and_equal_seeds_give_equal_bytes() {
    for (options, out) in FORMS {
        let [first, again, other] = [(1, "a"), (1, "b"), (2, "c")].map(|(seed, folder)| {
            let place = Place::new();
            let said = made(&place, options, seed, &format!("{folder}/{out}"));
            bytes(&place, &said)
        });
        assert!(first == again && first != other, "{options} --out {out}");
        let begins = |at: usize, magic: &[u8]| first[0][at..].starts_with(magic);
        let is_true = match Path::new(out).extension().and_then(|ending| ending.to_str()) {
            Some("zip") => begins(0, b"PK"),
            Some("gz") => begins(0, &[0x1f, 0x8b]),
            Some("nii") => begins(344, b"n+1"),
            _ if options.contains("dicom") => first.len() == 2 && begins(128, b"DICM"),
            _ => begins(0, b"\x89PNG"),
        };
        assert!(is_true, "{options} --out {out}");
    }
}

#[test]
fn the_truth_about_what_was_made_is_printed_as_json() {
    let place = Place::new();
    let line = "phantom --size 64 --format nifti --lesion-ml 8 --seed 0 --out head.nii.gz";
    let said: Value = serde_json::from_str(&place.medseg(line).good()).unwrap();
    assert_eq!(said["shape"], json!({ "slices": 24, "rows": 64, "columns": 64 }));
    assert_eq!((&said["seed"], &said["files"]), (&json!(0), &json!(["head.nii.gz"])));
    assert!((said["lesion"]["volume_ml"].as_f64().unwrap() - 8.0).abs() < 1e-6, "{said}");
    assert!(made(&place, "", 3, "healthy.png")["lesion"].is_null());
}

#[test]
fn a_bad_option_is_named_with_what_would_do() {
    let place = Place::new();
    for (options, code, words) in [
        ("", MISUSED, ["--out", "required"]),
        ("--out a.png --format gif", MISUSED, ["invalid value 'gif'", "png, nifti, dicom"]),
        ("--out a.png --seed one", MISUSED, ["invalid value 'one'", "--seed"]),
        ("--out a.png --spacing 1,2", MISUSED, ["three numbers", "--spacing"]),
        ("--out a.png --lesion-ml 5 --no-lesion", MISUSED, ["--lesion-ml", "--no-lesion"]),
        ("--out a.png --slices 0", FAILED, ["between 1 and", "voxels"]),
        ("--out a.png --slices 99999999999", FAILED, ["between 1 and", "voxels"]),
        ("--out a.png --size 0", FAILED, ["at least one", "row and column"]),
        ("--out a.png --spacing 5,0,1", FAILED, ["spacing", "above 0 mm"]),
        ("--out a.png --lesion-ml 5000", FAILED, ["lesion", "does not fit"]),
        ("--out a.png --lesion-ml nan", FAILED, ["lesion's volume", "above 0 mL"]),
        ("--out two.png --slices 2 --no-lesion", FAILED, ["2 slices", "name a folder or a .zip"]),
        ("--out head.nii", FAILED, ["head.nii", "--format nifti"]),
        ("--out SCAN.DCM --format png", FAILED, ["SCAN.DCM", "--format dicom"]),
        ("--out a.png --format dicom --slices 1", FAILED, ["a.png", "--format png"]),
    ] {
        place.medseg(&format!("phantom {options}")).bad(code, &words);
    }
    assert_eq!(place.names("."), [""; 0], "something was made all the same");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let place = Place::new();
    place.write("taken", "a file where a folder is asked for");
    let line = "phantom --size 64 --no-lesion --out";
    for out in ["taken/one.png", "taken/deeper/one.png", "/proc/nowhere/one.png"] {
        let folder = Path::new(out).parent().unwrap().to_str().unwrap();
        place.medseg(&format!("{line} {out}")).bad(FAILED, &["cannot", folder]);
    }
    assert_eq!(fs::read(place.at("taken")).unwrap(), b"a file where a folder is asked for");
}
