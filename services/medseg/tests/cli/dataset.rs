use std::fs;

use serde_json::{Value, json};

use crate::labelled::MANIFEST;
use crate::place::{FAILED, MISUSED, Place};

/// The least that is a run: one step, without pictures of phantoms to speak of.
const ONE_STEP: &str = "--side 64 --batch 4 --views 4 --phantoms 2 --unjudged --device cpu";

impl Place {
    /// Pictures and masks of that many patients, with and without a lesion.
    fn pictures(&self, patients: u64) {
        for seed in 0..patients {
            for (number, lesion) in [(1, ""), (2, "--no-lesion")] {
                let name = format!("source/p{seed}_{number}");
                let line = format!(
                    "phantom --size 64 --seed {seed} {lesion} --out {name}.png --mask {name}_mask.png"
                );
                self.medseg(&line).good();
            }
        }
    }

    fn version(&self, manifest: &str) -> String {
        let version = self.medseg(&format!("dataset version {manifest}")).good();
        assert_eq!(version.len(), 65, "{version}");
        version
    }

    /// Writes a column `part` into the labelled slices.
    fn parted(&self, part_of: impl Fn(&str) -> &'static str) {
        let text = fs::read_to_string(self.at(MANIFEST)).unwrap();
        let lines = text.lines().map(|line| match line.split_once(',').unwrap().0 {
            "patient" => format!("{line},part\n"),
            id => format!("{line},{}\n", part_of(id)),
        });
        self.write(MANIFEST, lines.collect::<String>());
    }
}

#[test]
fn data_is_imported_split_looked_through_and_copied() {
    let place = Place::new();
    place.pictures(6);
    let imported = place.medseg("dataset import source --out set --sequence flair").good();
    assert_eq!(imported, "set/manifest.csv: patients: 6, slices: 12\n");
    let unsplit = place.version("set");
    let split = place.medseg("dataset split set --validation 0.34 --test 0.17 --seed 3").good();
    assert_eq!(split, "training   3\nvalidation 2\ntest       1\n");
    assert_ne!(place.version("set"), unsplit, "who learns from whom is a part of the data");
    let sound = place.medseg("dataset validate set").good();
    assert_eq!(sound, "set: patients: 6, without a tumour: 0, slices: 12, nothing is wrong\n");

    let copied = place.medseg("dataset export set --out copy").good();
    assert_eq!(copied, "copy/manifest.csv\n");
    assert_eq!(place.version("copy/manifest.csv"), place.version("set"));
    place.medseg("dataset export set --out test --part test").good();
    let manifest = fs::read_to_string(place.at("test/manifest.csv")).unwrap();
    assert_eq!(manifest.lines().filter(|line| line.contains(",flair,test,")).count(), 2);
    assert_eq!(manifest.lines().count(), 3, "{manifest}");
    // Nothing beside the copy is needed.
    fs::remove_dir_all(place.at("set")).unwrap();
    place.medseg("dataset validate copy").good();
}

#[test]
fn what_an_import_leaves_out_is_listed_and_the_command_fails() {
    let place = Place::new();
    place.pictures(1);
    place.medseg("phantom --size 64 --seed 9 --out source/lonely_1.png").good();
    place.write("source/notes.txt", "no image");
    let ended = place.medseg("dataset import source --out set");
    assert_eq!(ended.code(), Some(FAILED));
    let listed = [
        "passed over: notes.txt: no image",
        "left out: lonely_1.png: no mask beside it",
        "set/manifest.csv: patients: 1, slices: 2",
    ];
    assert_eq!(ended.stdout().lines().collect::<Vec<_>>(), listed);
    let words = "left out, as is listed above: 1; all else was taken";
    assert_eq!(ended.stderr(), format!("error: {words}\n"));
    place.medseg("dataset validate set").good();

    fs::remove_file(place.at("source/lonely_1.png")).unwrap();
    let into = "dataset import source --out";
    assert!(place.medseg(&format!("{into} again")).good().starts_with("passed over: notes.txt"));
    place.medseg(&format!("{into} set")).bad(FAILED, &["set is not empty"]);
    place.medseg("dataset import nowhere --out new").bad(FAILED, &["cannot read nowhere"]);
    place.write("empty/notes.txt", "no image");
    place.medseg("dataset import empty --out new").bad(FAILED, &["nothing in empty was taken"]);
}

#[test]
fn what_is_wrong_with_data_is_named_line_by_line() {
    let place = Place::new();
    place.label(2);
    fs::copy(place.at("labelled/0.png"), place.at("labelled/3.png")).unwrap();
    place.write("labelled/1_mask.png", "half of a pictu");
    let ended = place.medseg(&format!("dataset validate {MANIFEST}"));
    assert_eq!(ended.code(), Some(FAILED));
    assert_eq!(ended.stderr(), format!("error: {MANIFEST}: faults, as is listed above: 2\n"));
    let faults: Vec<&str> = ended.stdout().lines().collect();
    assert!(faults[0].starts_with(&format!("{MANIFEST} line 3: cannot decode")), "{faults:?}");
    assert!(faults[0].contains("labelled/1_mask.png"), "{faults:?}");
    assert!(
        faults[1].contains("line 5: patient p1 has the same pixels as patient p0"),
        "{faults:?}"
    );
}

#[test]
fn a_network_learns_from_its_part_and_is_measured_on_the_test_patients() {
    let place = Place::new();
    place.label(4);
    place.parted(|id| match id {
        "p0" | "p2" => "training",
        "p1" => "validation",
        _ => "test",
    });
    place.medseg(&format!("train --manifest {MANIFEST} {ONE_STEP}")).good();
    let learned = fs::read(place.at("model/learned.json")).unwrap();
    let learned: Value = serde_json::from_slice(&learned).unwrap();
    assert_eq!(learned["patients"], json!(["labelled/p0", "labelled/p2"]));

    for (split, patient) in [("test", "p3"), ("validation", "p1")] {
        let line = format!("evaluate --manifest {MANIFEST} --split {split} --json --device cpu");
        let options = "--metrics out/metrics.json --table out/dice.csv";
        let figures = place.medseg(&format!("{line} {options}")).good();
        let figures: Value = serde_json::from_str(&figures).unwrap();
        let patients = figures["patients"].as_array().unwrap();
        assert_eq!((patients.len(), &patients[0]["id"]), (1, &json!(patient)));
        let metrics = fs::read(place.at("out/metrics.json")).unwrap();
        let metrics: Value = serde_json::from_slice(&metrics).unwrap();
        assert_eq!((&metrics["dice_mean"], &metrics["slices"]), (&figures["dice_mean"], &json!(2)));
        let table = fs::read_to_string(place.at("out/dice.csv")).unwrap();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!((lines.len(), lines[0]), (2, "patient,slices,dice"));
        assert!(lines[1].starts_with(&format!("\"{patient}\",2,")), "{table}");
    }
}

#[test]
fn a_patient_on_both_sides_is_refused_by_name() {
    let place = Place::new();
    place.label(2);
    let text = fs::read_to_string(place.at(MANIFEST)).unwrap();
    let lines = text.lines().zip(["part", "training", "test", "training", "validation"]);
    place.write(MANIFEST, lines.map(|(line, part)| format!("{line},{part}\n")).collect::<String>());
    let words = [MANIFEST, "line 3: patient p0 is in two parts"];
    for line in [
        format!("train --manifest {MANIFEST}"),
        format!("evaluate --manifest {MANIFEST} --split test"),
        format!("dataset version {MANIFEST}"),
        format!("dataset export {MANIFEST} --out copy"),
    ] {
        place.medseg(&line).bad(FAILED, &words);
    }
    let ended = place.medseg(&format!("dataset validate {MANIFEST}"));
    assert_eq!(ended.code(), Some(FAILED));
    assert!(ended.stdout().contains(words[1]), "{}", ended.stdout());
    assert!(!place.has("run") && !place.has("copy"));
}

#[test]
fn a_split_is_drawn_once_unless_it_is_to_be_drawn_again() {
    let place = Place::new();
    place.label(4);
    for (options, words) in [
        ("--validation 0.9 --test 0.2", "leave nothing to learn from"),
        ("--validation 0.4 --test 0.5", "4 patients or folds are too few"),
    ] {
        place.medseg(&format!("dataset split {MANIFEST} {options}")).bad(FAILED, &[words]);
    }
    let test = format!("evaluate --manifest {MANIFEST} --split test");
    place.medseg(&test).bad(FAILED, &["no column part", "dataset split"]);
    let export = format!("dataset export {MANIFEST} --out copy --part test");
    place.medseg(&export).bad(FAILED, &["no column part"]);
    let split = format!("dataset split {MANIFEST} --validation 0.25 --test 0.25");
    place.medseg(&split).good();
    place.medseg(&split).bad(FAILED, &[MANIFEST, "says already who is in which part"]);
    place.medseg(&format!("{split} --again --seed 8")).good();
    place.medseg("dataset split").bad(MISUSED, &["<MANIFEST>"]);
    place.medseg("dataset export set").bad(MISUSED, &["--out"]);
    place.medseg("dataset export --out copy").bad(MISUSED, &["<MANIFEST>"]);
    let both = "dataset export set --from http://127.0.0.1:1 --out copy";
    place.medseg(both).bad(MISUSED, &["--from", "cannot be used with"]);
    place.medseg("dataset import set --out x --sequence t2").bad(MISUSED, &["t2", "t1_contrast"]);
}

#[test]
fn confirmed_scans_are_asked_for_by_somebody_and_put_where_nothing_else_lies() {
    let place = Place::new();
    let export = "dataset export --from http://127.0.0.1:1 --out";
    place.medseg(&format!("{export} new")).bad(FAILED, &["MEDSEG_PASSWORD"]);
    place.write("thesis/chapter.txt", "mine");
    place.medseg(&format!("{export} thesis")).bad(FAILED, &["thesis is not empty"]);
    assert!(place.has("thesis/chapter.txt") && !place.has("new"));
}
