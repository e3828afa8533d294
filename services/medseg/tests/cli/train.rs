use std::fs;

use crate::labelled::MANIFEST;
use crate::place::{FAILED, MISUSED, Place, shipped};

/// The least that is a run: one step, without pictures of phantoms to speak of.
const ONE_STEP: &str = "--side 64 --batch 4 --views 4 --phantoms 2 --validation 0.25 --device cpu";
const FINISH: &str =
    "--validation 0.25 --straight --judged-phantoms 0 --model-version 9.9.9 --device cpu";

/// What is wrong with a manifest: its text, and what is said of it.
const MANIFESTS: [(&str, &[&str]); 9] = [
    ("", &["no column patient", "its first line names patient, slice, image, mask"]),
    ("patient,slice,image\n", &["no column mask", "patient, slice, image, mask"]),
    ("patient,slice,picture,mask\n", &["no column image", "patient, slice, image, mask"]),
    ("patient,slice,image,mask\n", &["at least two patients"]),
    (
        "patient,slice,image,mask\np,1,a.png,gone.png\n",
        &["line 2, column mask", "no file", "gone.png"],
    ),
    (
        "patient,slice,image,mask\np,1,a.png,a.png\np,one,a.png,a.png\n",
        &["line 3, column slice", "whole number"],
    ),
    ("patient,slice,image,mask\np,1,a.png\n", &["line 2", "too few columns"]),
    ("patient,slice,image,mask\np,1,a, left.png,a.png\n", &["line 2", "in quotes"]),
    (
        "patient,slice,image,mask,kind\np,1,a.png,a.png,t2\n",
        &["line 2, column kind", "flair or t1_contrast"],
    ),
];

#[test]
fn a_model_is_trained_in_one_step_finished_and_measured() {
    let place = Place::new();
    place.label(4);
    let trained = place.medseg(&format!("train --manifest {MANIFEST} {ONE_STEP} --unjudged"));
    assert_eq!(trained.good(), "model/model.json\n");
    assert_eq!(place.names("model"), ["learned.json", "model.json", "weights.safetensors"]);
    assert_eq!(place.names("run"), ["last.safetensors", "loss.csv", "tracking"]);
    let again = format!("train --manifest {MANIFEST} {ONE_STEP} --unjudged");
    let words = ["run/last.safetensors is there already", "resume, or choose another run"];
    place.medseg(&again).bad(FAILED, &words);

    let finish = format!("finish --manifest {MANIFEST} {FINISH}");
    let finished = place.medseg(&format!("{finish} --model model --out finished"));
    assert_eq!(finished.good(), "finished/card.md\n");
    let files = [
        "card.md",
        "golden.pbm",
        "model.json",
        "reference.json",
        "reliability.svg",
        "weights.safetensors",
    ];
    assert_eq!(place.names("finished"), files);
    let card = fs::read_to_string(place.at("finished/card.md")).unwrap();
    assert!(card.starts_with("# medseg-mr 9.9.9\n"), "{card}");
    // Another seed draws another split: patients that it learned from would judge it.
    let other = format!("{finish} --seed 8 --model finished --out other");
    place.medseg(&other).bad(FAILED, &["the card of finished", "another split"]);
    assert!(!place.has("other"));

    // What a reference has from the beginning, an older one is given.
    let path = place.at("finished/reference.json");
    let whole: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    place.write("finished/reference.json", r#"{"features":{}}"#);
    let fill = format!("finish --manifest {MANIFEST} --validation 0.25 --device cpu --embeddings");
    let filled = place.medseg(&format!("{fill} --model finished"));
    assert_eq!(filled.good(), "finished/reference.json\n");
    let filled: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(
        (&filled["embedding"], &filled["acquisition"]),
        (&whole["embedding"], &whole["acquisition"])
    );
    // How images look, and not what the model says of them.
    let told = filled["features"].as_object().unwrap();
    assert!(told.contains_key("noise") && !told.contains_key("confidence"), "{told:?}");
    assert!(told.iter().all(|(name, distribution)| *distribution == whole["features"][name]));
    place
        .medseg(&format!("{fill} --model-version 9"))
        .bad(MISUSED, &["--embeddings", "--model-version"]);

    // `auto` may be a GPU, which is slow to wake: the shortest way to both halves of the table.
    let weights = place.at("finished/weights.safetensors");
    let bench = format!("bench --scans 1 --clients 1 --device cpu --model {}", weights.display());
    let table = place.medseg(&bench).good();
    assert!(table.contains("| one 256 x 256 PNG, upload to result, median ms | "), "{table}");
    assert!(table.contains("| side by side, scans/s (bare: batches of "), "{table}");
    assert!(table.contains("\nmodel: medseg-mr 9.9.9, squares of "), "{table}");
}

#[test]
fn what_is_wrong_with_a_manifest_is_told_with_its_line_and_what_to_do() {
    let place = Place::new();
    place.write("data/a.png", "never opened");
    for (text, words) in MANIFESTS {
        place.write("data/wrong.csv", text);
        let words: Vec<_> = words.iter().copied().chain(["data/wrong.csv"]).collect();
        place.medseg("train --manifest data/wrong.csv").bad(FAILED, &words);
    }
    let finish = "finish --model-version 9 --model nowhere --manifest";
    for train in ["train --manifest", finish] {
        for missing in ["nowhere.csv", "nowhere"] {
            place.medseg(&format!("{train} {missing}")).bad(FAILED, &["cannot read", missing]);
        }
        // Neither a manifest nor a mask beside an image.
        place.medseg(&format!("{train} data")).bad(FAILED, &["data", "no mask beside a.png"]);
    }
    assert_eq!(place.names("."), ["data"], "something was made all the same");
}

/// What `medseg finish --embeddings` fills in, as docs/training.md says.
#[test]
fn the_shipped_reference_tells_of_each_feature_that_drift_compares() {
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(shipped(name)).unwrap()).unwrap()
    };
    let (reference, model) = (read("reference.json"), read("model.json"));
    let names: Vec<&String> = reference["features"].as_object().unwrap().keys().collect();
    let expected = [
        "background",
        "confidence",
        "mask_fraction",
        "mean",
        "noise",
        "p01",
        "p99",
        "sharpness",
        "std",
    ];
    assert_eq!(names, expected);
    // It was trained on pictures, which do not say how they were taken.
    assert_eq!(reference["acquisition"], serde_json::json!({}));
    let embedding = &reference["embedding"];
    assert_eq!(
        (&embedding["weights"], &embedding["projection"]),
        (&model["sha256"], &"signs-32".into())
    );
    for (kind, is_volume) in [("flair", true), ("flair", false), ("t1_contrast", false)] {
        let scans = embedding["scans"].as_array().unwrap().iter();
        let alike = scans.filter(|scan| {
            scan["image_kind"] == kind && (scan["slices"].as_u64() > Some(1)) == is_volume
        });
        assert!(alike.count() >= 30, "{kind}, volumes: {is_volume}");
    }
}

#[test]
fn settings_that_train_nothing_are_refused_by_name() {
    let place = Place::new();
    place.label(2);
    for (options, code, words) in [
        ("--side 33", FAILED, ["the side", "multiple of 32"]),
        ("--batch 0", FAILED, ["the batch", "multiple of the replicas"]),
        ("--batch 3 --replicas 2", FAILED, ["the batch", "multiple of the replicas"]),
        ("--views 0", FAILED, ["training takes time", "no view"]),
        ("--minutes 0", FAILED, ["training takes time", "no minute"]),
        ("--device tpu", FAILED, ["no device `tpu`", "auto, cpu, openvino or cuda:0"]),
        ("--folds 1", FAILED, ["do not make", "1 folds"]),
        ("--views 2 --minutes 1", MISUSED, ["--views", "--minutes"]),
        ("--resume --folds 2", FAILED, ["a cross-validation goes on by itself", "--fold"]),
        ("--fold 1", MISUSED, ["--folds", "required"]),
        ("--folds 2 --fold 3 --unjudged", FAILED, ["1 to 2", "3 is none"]),
        ("--views many", MISUSED, ["invalid value 'many'", "--views"]),
    ] {
        place.medseg(&format!("train --manifest {MANIFEST} {options}")).bad(code, &words);
    }
    place.medseg("train").bad(MISUSED, &["--manifest", "required"]);
    place.medseg("finish --model-version 9").bad(MISUSED, &["--manifest", "required"]);
    let versionless = format!("finish --manifest {MANIFEST}");
    place.medseg(&versionless).bad(MISUSED, &["--model-version", "required"]);
}

#[test]
fn a_half_written_checkpoint_is_not_gone_on_from() {
    let place = Place::new();
    place.label(2);
    place.write("run/last.safetensors", "half of a chec");
    let line = format!("train --manifest {MANIFEST} --resume --device cpu");
    place.medseg(&line).bad(FAILED, &["run/last.safetensors is no checkpoint"]);
    assert_eq!(fs::read(place.at("run/last.safetensors")).unwrap(), b"half of a chec");
    let line = format!("{line} --run empty");
    place.medseg(&line).bad(FAILED, &["cannot read empty/last.safetensors"]);
}

#[test]
fn a_half_written_model_is_not_finished_and_not_trained_on() {
    let place = Place::new();
    place.label(2);
    fs::create_dir(place.at("half")).unwrap();
    fs::copy(shipped("model.json"), place.at("half/model.json")).unwrap();
    place.write("half/weights.safetensors", "half of the wei");
    let words = ["half/weights.safetensors", "15 bytes in place of"];
    let finish =
        format!("finish --model half --manifest {MANIFEST} --model-version 9 --device cpu");
    place.medseg(&finish).bad(FAILED, &words);
    let train = format!("train --from half --manifest {MANIFEST} --device cpu");
    place.medseg(&train).bad(FAILED, &words);
    place.write("taken", "a file where a folder is asked for");
    let train = format!("train --out taken --manifest {MANIFEST} --device cpu");
    place.medseg(&train).bad(FAILED, &["cannot make taken"]);
}

#[test]
fn a_server_of_mlflow_that_is_away_costs_one_warning_and_what_it_lacks_is_sent_on_request() {
    let place = Place::new();
    place.label(4);
    // Nobody listens there: the port was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = format!("--mlflow http://ann:secret-word@{free}/ --mlflow-run-name first");
    let ended = place.medseg(&format!("train --manifest {MANIFEST} {ONE_STEP} --unjudged {told}"));
    let warnings = ended.stderr().lines().filter(|line| line.starts_with("warning: "));
    let [warning] = warnings.collect::<Vec<_>>()[..] else { panic!("{}", ended.stderr()) };
    for word in [free.to_string().as_str(), "does not answer", "--mlflow-resume run"] {
        assert!(warning.contains(word), "no `{word}`: {warning}");
    }
    assert!(!ended.stderr().contains("secret-word"), "{}", ended.stderr());
    assert_eq!(ended.good(), "model/model.json\n");
    let kept = fs::read_to_string(place.at("run/tracking/run.json")).unwrap();
    assert!(kept.contains("\"batch\": \"4\"") && kept.contains("\"name\": \"first\""), "{kept}");
    let later = format!("train --mlflow http://{free} --mlflow-resume run");
    place.medseg(&later).bad(FAILED, &[&free.to_string(), "does not answer"]);
}

#[test]
fn what_is_wrong_with_a_server_of_mlflow_is_told_before_anything_is_made() {
    let place = Place::new();
    place.label(2);
    for (options, code, words) in [
        ("--mlflow nonsense", FAILED, ["address of MLflow", "no URL"]),
        ("--mlflow sqlite:///mlflow.db", FAILED, ["http:// or https://", "sqlite:"]),
        (
            "--mlflow http://host --mlflow-username ann",
            FAILED,
            ["MLFLOW_TRACKING_PASSWORD", "neither"],
        ),
        ("--mlflow-resume run", MISUSED, ["--mlflow-resume", "--manifest"]),
    ] {
        place.medseg(&format!("train --manifest {MANIFEST} {options}")).bad(code, &words);
    }
    place.medseg("train --mlflow-resume run").bad(FAILED, &["no MLflow is named", "--mlflow URL"]);
    let nothing = "train --mlflow http://127.0.0.1:1 --mlflow-resume run";
    place.medseg(nothing).bad(FAILED, &["no run is kept in run", "tracking/run.json"]);
    assert_eq!(place.names("."), ["labelled"], "something was made all the same");
}
