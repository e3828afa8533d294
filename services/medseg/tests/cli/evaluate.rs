use std::fs;

use serde_json::{Value, json};

use crate::labelled::MANIFEST;
use crate::place::{FAILED, MISUSED, Place, shipped};

#[test]
fn the_model_that_came_with_the_program_is_measured_in_text_pictures_and_masks() {
    let place = Place::new();
    place.label(2);
    let line = format!("evaluate --manifest {MANIFEST} --masks masks --worst worst --device cpu");
    let text = place.medseg(&line).good();
    for words in ["p0 ", "p1 ", "Dice per patient    mean ", "slices missed ", "\nmodel medseg-mr "]
    {
        assert!(text.contains(words), "no `{words}`: {text}");
    }
    assert_eq!(place.names("."), ["evaluate.svg", "labelled", "masks", "worst"]);
    assert!(fs::read_to_string(place.at("evaluate.svg")).unwrap().contains("<svg"));
    for patient in ["p0", "p1"] {
        let folder = format!("masks/{patient}");
        assert_eq!(place.names(&folder), ["001.png", "002.png"]);
        let png = fs::read(place.at(&folder).join("001.png")).unwrap();
        // As large as the slice: width and height stand in the first chunk.
        let size = [16, 20].map(|at| u32::from_be_bytes(png[at..at + 4].try_into().unwrap()));
        assert_eq!((&png[..4], size), (b"\x89PNG".as_slice(), [256, 256]));
    }
    let worst = place.names("worst");
    assert!(worst.len() == 2 && worst.iter().all(|name| name.ends_with(".png")), "{worst:?}");
}

#[test]
fn one_patient_alone_is_measured_in_json() {
    let place = Place::new();
    place.label(2);
    let line = format!("evaluate --manifest {MANIFEST} --patients p1 --alone --json --device cpu");
    let figures: Value =
        serde_json::from_str(&place.medseg(&format!("{line} --plot dice.svg")).good()).unwrap();
    let patients = figures["patients"].as_array().unwrap();
    assert_eq!((patients.len(), &patients[0]["id"]), (1, &json!("p1")));
    assert_eq!((&figures["slices"], &figures["scans"]), (&json!(2), &json!(2)));
    assert_eq!(place.names("."), ["dice.svg", "labelled"]);
}

#[test]
fn what_cannot_be_judged_is_named_before_a_model_is_read() {
    let place = Place::new();
    place.label(2);
    place.write("labelled/wrong.csv", "patient,slice,image,mask\np0,one,0.png,0_mask.png\n");
    place.write("labelled/empty.csv", "patient,slice,image,mask\n");
    place.write("folder/notes.txt", "no image");
    for (options, code, words) in [
        ("", MISUSED, ["--manifest", "required"]),
        ("--manifest a --phantoms 5", MISUSED, ["--manifest", "--phantoms"]),
        ("--manifest nowhere.csv", FAILED, ["cannot read", "nowhere.csv"]),
        ("--manifest folder", FAILED, ["folder", "no images with masks"]),
        (
            "--manifest labelled/wrong.csv",
            FAILED,
            ["wrong.csv line 2, column slice", "whole number"],
        ),
        ("--manifest labelled/empty.csv", FAILED, ["no patient in", "empty.csv"]),
        ("--manifest labelled --patients p9", FAILED, ["no patient p9", "labelled"]),
        (
            "--manifest labelled --split none",
            MISUSED,
            ["invalid value 'none'", "training, validation"],
        ),
    ] {
        place.medseg(&format!("evaluate --model nowhere {options}")).bad(code, &words);
    }
}

#[test]
fn a_slice_that_is_no_image_and_a_mask_of_another_size_are_named() {
    let place = Place::new();
    place.label(1);
    place.write("labelled/0.png", "half of a pictu");
    let line = format!("evaluate --manifest {MANIFEST} --device cpu");
    place.medseg(&line).bad(FAILED, &["cannot decode", "labelled/0.png"]);
    place.medseg("phantom --size 64 --out labelled/0.png").good();
    place.medseg(&line).bad(FAILED, &["labelled/0_mask.png", "is not as large as its image"]);
    assert!(!place.has("evaluate.svg"));
}

#[test]
fn what_cannot_be_written_is_named() {
    let place = Place::new();
    place.label(1);
    place.write("taken", "a file where a folder is asked for");
    let line = format!("evaluate --manifest {MANIFEST} --alone --device cpu");
    for (options, words) in [
        ("--masks taken", ["cannot write", "taken/p0/001.png"]),
        ("--worst taken", ["cannot write", "taken"]),
        ("--plot taken/dice.svg", ["cannot write", "taken/dice.svg"]),
    ] {
        place.medseg(&format!("{line} {options}")).bad(FAILED, &words);
    }
}

#[test]
fn a_model_that_is_missing_or_half_written_is_refused_with_its_file() {
    let place = Place::new();
    place.label(1);
    let refused = |words: &[&str]| {
        let line = format!("evaluate --manifest {MANIFEST} --model copy --device cpu");
        place.medseg(&line).bad(FAILED, words);
    };
    refused(&["cannot load the model copy"]);
    let weights = fs::read(shipped("weights.safetensors")).unwrap();
    let manifest = fs::read_to_string(shipped("model.json")).unwrap();
    place.write("copy/model.json", &manifest);
    refused(&["cannot read copy/weights.safetensors"]);
    place.write("copy/weights.safetensors", &weights[..weights.len() / 2]);
    refused(&["copy/weights.safetensors", &format!("bytes in place of {}", weights.len())]);
    let mut flipped = weights.clone();
    flipped[weights.len() / 2] ^= 1;
    place.write("copy/weights.safetensors", flipped);
    refused(&["copy/weights.safetensors", "SHA-256 is not the manifest's"]);
    place.write("copy/weights.safetensors", weights);
    place.write("copy/model.json", &manifest[..manifest.len() / 2]);
    refused(&["copy/model.json is no manifest"]);
}
