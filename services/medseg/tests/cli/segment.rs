use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::{Ended, FAILED, MISUSED, Place, Running};

/// No scan has a finding; at least one has; at least one was refused.
const NONE_FOUND: i32 = 0;
const FOUND: i32 = 10;
const REFUSED: i32 = 30;

const THRESHOLD: &str = "--model threshold: --research";
const PATIENCE: Duration = Duration::from_secs(60);

/// A slice of a head as PNG; every second one is healthy.
fn head(place: &Place, seed: u64, out: &str) {
    let healthy = if seed.is_multiple_of(2) { "--no-lesion" } else { "" };
    place.medseg(&format!("phantom {healthy} --seed {seed} --out {out}")).good();
}

fn segment(place: &Place, files: &str) -> Ended {
    place.medseg(&format!("segment {files} --out results {THRESHOLD}"))
}

/// The lines, each as path, answer, volume and the folder's last part.
fn lines(printed: &str) -> Vec<[&str; 4]> {
    let fields = printed.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let [path, answer, size, folder] = [0, 1, 2, 3];
    fields
        .map(|line| {
            assert_eq!(line.len(), 4, "{printed}");
            let last = line[folder].rsplit('/').next().unwrap();
            [line[path], line[answer], line[size], last]
        })
        .collect()
}

fn json_at(place: &Place, name: &str) -> Value {
    serde_json::from_slice(&fs::read(place.at(name)).unwrap()).unwrap()
}

#[test]
fn each_scan_is_a_line_and_a_folder_and_the_status_says_whether_any_has_a_finding() {
    let place = Place::new();
    head(&place, 1, "tumour.png");
    head(&place, 2, "healthy.png");
    let ended = segment(&place, "healthy.png");
    let printed = ended.printed(NONE_FOUND);
    assert_eq!(lines(printed), [["healthy.png", "none_found", "0 pixels", "healthy"]]);
    assert_eq!(ended.stderr(), "");

    let ended = segment(&place, "tumour.png healthy.png");
    let told = lines(ended.printed(FOUND));
    assert_eq!(told[0][..2], ["tumour.png", "found"]);
    assert_eq!(told[1][3], "healthy-2");
    let written = [
        "contours.geojson",
        "image.png",
        "mask.png",
        "overlay.png",
        "report.fhir.json",
        "report.hl7",
        "result.json",
    ];
    for (folder, answer) in
        [("tumour", "found"), ("healthy", "none_found"), ("healthy-2", "none_found")]
    {
        let folder = format!("results/{folder}");
        assert_eq!(place.names(&folder), written);
        assert_eq!(json_at(&place, &format!("{folder}/result.json"))["answer"], answer);
    }
    // Nothing half written is left, hidden or not.
    assert_eq!(place.names("results"), ["healthy", "healthy-2", "tumour"]);
}

#[test]
fn a_cut_file_is_refused_with_its_reason_and_the_others_are_analysed() {
    let place = Place::new();
    head(&place, 1, "whole.png");
    let bytes = fs::read(place.at("whole.png")).unwrap();
    place.write("cut.png", &bytes[..bytes.len() / 2]);
    place.write("notes.txt", "no image\n".repeat(100));
    let ended = segment(&place, "cut.png notes.txt nowhere.png whole.png");
    let told = lines(ended.printed(REFUSED));
    let answers: Vec<_> = told.iter().map(|[path, answer, ..]| (*path, *answer)).collect();
    let expected = [
        ("cut.png", "refused"),
        ("notes.txt", "refused"),
        ("nowhere.png", "unreadable"),
        ("whole.png", "found"),
    ];
    assert_eq!(answers, expected);
    for (folder, problem) in [("cut", "truncated"), ("notes.txt", "not-an-image")] {
        assert_eq!(place.names(&format!("results/{folder}")), ["problem.json"]);
        let told = json_at(&place, &format!("results/{folder}/problem.json"));
        let expected = (&json!(format!("/problems/{problem}")), &json!(422));
        assert_eq!((&told["type"], &told["status"]), expected, "{told}");
    }
    let complaints: Vec<_> = ended.stderr().lines().collect();
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    for (complaint, path) in complaints.iter().zip(["cut.png", "notes.txt", "nowhere.png"]) {
        assert!(complaint.starts_with(&format!("error: {path}: ")), "{complaint}");
    }
    assert_eq!(place.names("results"), ["cut", "notes.txt", "whole"]);
}

#[test]
fn a_folder_of_dicom_is_one_volume_and_json_says_the_same() {
    let place = Place::new();
    let series = "--format dicom --slices 12 --size 96 --spacing 6,2.5,2.5 --lesion-ml 20 --seed 5";
    place.medseg(&format!("phantom {series} --out series")).good();
    place.medseg(&format!("phantom {series} --out series.zip")).good();
    // One after the other: whichever is done first has the name.
    for (path, folder) in [("series", "series"), ("series.zip", "series-2")] {
        let ended = segment(&place, &format!("{path} --json"));
        let told: Value = serde_json::from_str(ended.printed(FOUND)).unwrap();
        assert_eq!((&told["path"], &told["answer"]), (&json!(path), &json!("found")), "{told}");
        assert!(told["volume_ml"].as_f64().is_some_and(|ml| ml > 1.0), "{told}");
        let folder = format!("results/{folder}");
        assert!(told["folder"].as_str().unwrap().ends_with(&folder), "{told}");
        assert_eq!(
            place.names(&folder),
            [
                "capture.dcm",
                "contours.geojson",
                "image.png",
                "mask.nii.gz",
                "mask.png",
                "overlay.png",
                "report.dcm",
                "report.fhir.json",
                "report.hl7",
                "result.json",
                "seg.dcm",
                "sr.dcm",
                "text.dcm"
            ]
        );
        let result = json_at(&place, &format!("{folder}/result.json"));
        assert_eq!(result["totals"]["volume_ml"], told["volume_ml"]);
    }
}

#[test]
fn files_of_one_name_have_results_of_their_own_also_in_the_next_run() {
    let place = Place::new();
    head(&place, 1, "a/scan.png");
    head(&place, 2, "b/scan.png");
    segment(&place, "a/scan.png b/scan.png").printed(FOUND);
    segment(&place, "b/scan.png").printed(NONE_FOUND);
    let answers = ["scan", "scan-2", "scan-3"]
        .map(|name| json_at(&place, &format!("results/{name}/result.json"))["answer"].clone());
    let mut first_two = [answers[0].clone(), answers[1].clone()];
    // They are in hand at the same time: whichever is done first has the name.
    first_two.sort_by_key(Value::to_string);
    assert_eq!(first_two, ["found", "none_found"]);
    assert_eq!(answers[2], "none_found");
}

#[test]
fn pictures_of_several_heads_in_a_folder_are_a_scan_each() {
    let place = Place::new();
    head(&place, 1, "both/anna.png");
    head(&place, 2, "both/berta.png");
    let ended = segment(&place, "both");
    let told = lines(ended.printed(FOUND));
    let told: Vec<_> = told.iter().map(|line| (line[0], line[1], line[3])).collect();
    let expected = [
        ("both/anna.png", "found", "0001-anna.png"),
        ("both/berta.png", "none_found", "0002-berta.png"),
    ];
    assert_eq!(told, expected);
    assert!(place.has("results/both/0001-anna.png/overlay.png"));
}

#[test]
fn what_keeps_it_from_beginning_is_told_before_anything_is_written() {
    let place = Place::new();
    head(&place, 1, "scan.png");
    place.write("taken", "a file where a folder is asked for");
    fs::create_dir(place.at("inbox")).unwrap();
    for (options, code, words) in [
        ("scan.png", MISUSED, ["--out", "required"]),
        ("--out results", MISUSED, ["FILE", "required"]),
        ("scan.png --watch inbox --out results", MISUSED, ["--watch", "cannot be used"]),
        (
            "scan.png --out results --decode-jail no",
            MISUSED,
            ["invalid value 'no'", "--decode-jail"],
        ),
        ("scan.png --out taken", FAILED, ["taken", "cannot be used"]),
        ("scan.png --out made --model nowhere", FAILED, ["cannot load the model", "nowhere"]),
        ("scan.png --out made --model threshold:", FAILED, ["no trained model", "--research"]),
        (
            "scan.png --out made --device tpu",
            FAILED,
            ["no device `tpu`", "auto, cpu, openvino or cuda:0"],
        ),
        ("--watch nowhere --out made", FAILED, ["nowhere", "cannot be watched"]),
        ("--watch inbox --out inbox", FAILED, ["results would be taken for scans", "another"]),
    ] {
        place.medseg(&format!("segment {options}")).bad(code, &words);
    }
    assert_eq!(place.names("made"), [""; 0]);
}

/// `medseg segment --watch`, until it is told to stop.
fn watching(place: &Place) -> Running {
    let line = format!("segment --watch inbox --out results {THRESHOLD}");
    place.start(&line.split(' ').collect::<Vec<_>>())
}

fn until_there(place: &Place, name: &str) {
    let begun = Instant::now();
    while !place.has(name) {
        assert!(begun.elapsed() < PATIENCE, "{name} does not come");
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_watched_folders_scans_are_taken_once_each_however_often_it_is_started() {
    let place = Place::new();
    head(&place, 1, "inbox/first.png");
    place.write("inbox/notes.txt", "no image\n".repeat(100));
    let running = watching(&place);
    until_there(&place, "results/first/result.json");
    until_there(&place, "results/notes.txt/problem.json");
    head(&place, 2, "inbox/second.png");
    until_there(&place, "results/second/result.json");
    running.terminate();
    let ended = running.ended();
    let mut told: Vec<_> = lines(ended.printed(0)).iter().map(|line| line[1].to_owned()).collect();
    told.sort();
    assert_eq!(told, ["found", "none_found", "refused"]);

    // What is there already is known; what takes its place is another scan.
    let running = watching(&place);
    head(&place, 3, "inbox/first.png");
    until_there(&place, "results/first-2/result.json");
    running.terminate();
    let ended = running.ended();
    assert_eq!(lines(ended.printed(0)).len(), 1);
    let folders = ["first", "first-2", "notes.txt", "second", "watched.jsonl"];
    assert_eq!(place.names("results"), folders);
}

#[test]
fn a_second_program_does_not_watch_for_the_same_results() {
    let place = Place::new();
    fs::create_dir(place.at("inbox")).unwrap();
    let running = watching(&place);
    until_there(&place, "results/watched.jsonl");
    // The record is there a moment before it is locked.
    sleep(Duration::from_millis(500));
    let line = format!("segment --watch inbox --out results {THRESHOLD}");
    place.medseg(&line).bad(FAILED, &["another medseg writes the record", "stop it first"]);
    running.terminate();
    assert_eq!(running.ended().printed(0), "");
}
