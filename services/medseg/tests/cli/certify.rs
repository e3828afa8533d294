use std::fs;

use serde_json::Value;

use crate::place::{FAILED, MISUSED, Place};

const PASSWORD: &str = "the password that this test has chosen";
const ONLY: &str = "--only sphere-nifti --only ellipsoid-reversed-dicom";

/// A server of the exact engine, which has made its key, and where it answers.
fn serving(place: &Place) -> (crate::place::Running, String) {
    let line =
        "serve --data data --listen 127.0.0.1:0 --log=error --model-url threshold: --research";
    let words: Vec<_> = line.split(' ').collect();
    let mut running = place.start_with(&words, &[("FIRST_PASSWORD", PASSWORD)]);
    let lines = running.said_until("medseg answers on ");
    let url = lines.last().unwrap().rsplit(' ').next().unwrap().to_owned();
    (running, url)
}

#[test]
fn phantoms_are_measured_within_and_by_a_server_and_the_certificate_is_the_deployments() {
    let place = Place::new();
    let (running, url) = serving(&place);
    let key = "--key data/model-key.pem";
    let within = place.medseg(&format!("certify --out one {key} {ONLY}")).good();
    assert!(
        within.contains("passed sphere-nifti") && within.contains("of some of the"),
        "{within}"
    );
    assert_eq!(place.names("one"), ["certificate.html", "certificate.json"]);

    let live = format!("certify --live --url {url} --out two {key} {ONLY}");
    let words: Vec<_> = live.split(' ').collect();
    place.start_with(&words, &[("MEDSEG_PASSWORD", PASSWORD)]).ended().good();
    for name in place.names("one") {
        let read = |folder: &str| fs::read_to_string(place.at(folder).join(&name)).unwrap();
        assert_eq!(read("one"), read("two"), "the same phantoms by the same software");
        for by in [key.to_owned(), format!("--url {url}")] {
            let said = place.medseg(&format!("certify --verify one/{name} {by}")).good();
            assert!(said.contains("signed by the key"), "{said}");
        }
    }

    // Somebody betters a number, and somebody else has a key of his own.
    let certificate = fs::read_to_string(place.at("one/certificate.json")).unwrap();
    let mut better: Value = serde_json::from_str(&certificate).unwrap();
    better["certificate"]["complete"] = true.into();
    place.write("better.json", better.to_string());
    place.medseg(&format!("certify --verify better.json {key}")).bad(FAILED, &["does not fit"]);
    running.terminate();
    running.ended().printed(0);
    let other = place.start_with(
        &[
            "serve",
            "--data",
            "other",
            "--listen",
            "127.0.0.1:0",
            "--model-url",
            "threshold:",
            "--research",
        ],
        &[("FIRST_PASSWORD", PASSWORD)],
    );
    until_there(&place, "other/model-key.pem");
    other.kill();
    let line = "certify --verify one/certificate.html --key other/model-key.pem";
    place.medseg(line).bad(FAILED, &["does not fit"]);
}

fn until_there(place: &Place, name: &str) {
    while !place.has(name) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn what_cannot_be_certified_is_told_before_anything_is_measured() {
    let place = Place::new();
    place.write("no-key.pem", "secret");
    for (line, status, told) in [
        ("certify", MISUSED, "--out"),
        ("certify --out made --verify made/certificate.json", MISUSED, "--verify"),
        ("certify --out made", FAILED, "--key"),
        ("certify --out made --key nowhere.pem", FAILED, "nowhere.pem"),
        ("certify --out made --key no-key.pem", FAILED, "no-key.pem"),
        ("certify --verify nowhere.json --key no-key.pem", FAILED, "nowhere.json"),
    ] {
        let ended = place.medseg(line);
        assert!(!ended.stderr().contains("secret"), "{line}");
        ended.bad(status, &[told]);
    }
    assert!(!place.has("made"));
}
