use std::fs;

use serde_json::Value;

use crate::place::{FAILED, MISUSED, Place};

#[test]
fn what_cannot_be_timed_is_refused_by_name() {
    let place = Place::new();
    for (options, code, words) in [
        ("--scans 0", MISUSED, ["invalid value '0'", "--scans"]),
        ("--clients 0", MISUSED, ["invalid value '0'", "--clients"]),
        ("--device tpu", FAILED, ["no device `tpu`", "auto, cpu, openvino or cuda:0"]),
        ("--network-only --batch 0", MISUSED, ["invalid value '0'", "--batch"]),
        ("--network-only --clients 2", MISUSED, ["--network-only", "--clients"]),
        ("--threads 2", MISUSED, ["required", "--network-only"]),
        (
            "--network-only --tiles tiles --manifest nowhere.csv",
            FAILED,
            ["cannot read", "nowhere.csv"],
        ),
        ("--network-only --side 33 --device cpu", FAILED, ["a multiple of 32", "pixels"]),
        ("--model nowhere --device cpu", FAILED, ["cannot load the model nowhere", "model.json"]),
    ] {
        place.medseg(&format!("bench {options}")).bad(code, &words);
    }
    assert_eq!(place.names("."), [""; 0]);
}

#[test]
fn the_network_alone_is_timed_and_its_tiles_lie_ready_for_other_engines() {
    let place = Place::new();
    let line = "bench --network-only --scans 2 --side 64 --device cpu --threads 1 --exact --json";
    let printed = place.medseg(&format!("{line} --batch 2 --batch 3 --tiles tiles")).good();
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (&document["side"], &document["device"]),
        (&Value::from(64), &Value::from("cpu float32"))
    );
    for (index, batch) in [(0_usize, 2), (1, 3)] {
        let part = &document["batches"][index];
        assert_eq!(part["batch"], batch);
        let ms: Vec<f64> = serde_json::from_value(part["ms"].clone()).unwrap();
        assert!(ms.len() == 2 && ms.iter().all(|ms| *ms > 0.0), "{ms:?}");
    }
    if cfg!(target_os = "linux") {
        assert!(document["first_answer_ms"].as_f64().unwrap() > 0.0, "{printed}");
        assert!(document["peak_mib"].as_f64().unwrap() > 1.0, "{printed}");
    }

    let tiles: Value =
        serde_json::from_slice(&fs::read(place.at("tiles/tiles.json")).unwrap()).unwrap();
    let scans = tiles["scans"].as_array().unwrap();
    let cut = scans[0]["cut"].as_f64().unwrap();
    assert!(0.0 < cut && cut < 1.0, "{tiles}");
    let length = |name: &str| fs::metadata(place.at(&format!("tiles/{name}"))).unwrap().len();
    let pixels = 64 * 64 * scans.len() as u64;
    assert_eq!(
        [length("tiles.f32"), length("truth.u8"), length("probabilities.f32")],
        [3 * 4 * pixels, pixels, 4 * pixels]
    );
    assert_eq!(length("timed.f32"), 3 * 3 * 4 * 64 * 64);
    let said = fs::read(place.at("tiles/probabilities.f32")).unwrap();
    let mut said = said.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    assert!(said.all(|p| (0.0..=1.0).contains(&p)));
    let table = place.medseg("bench --network-only --scans 1 --side 64 --batch 2").good();
    assert!(table.starts_with("| images at once | median ms | least ms | images/s |\n"), "{table}");
}
