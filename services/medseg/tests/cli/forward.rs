//! What a watched folder brought, handed on to a real server.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::{Ended, FAILED, MISUSED, Place, Running};

const REFUSED: i32 = 30;
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PASSWORD: &str = "the password that this test has chosen";
const FORWARD: [&str; 4] = ["forward", "inbox", "--results", "results"];

/// The server at the other end of the line.
struct Centre {
    running: Running,
    url: String,
    password: String,
}

fn serving(place: &Place, listen: &str) -> (Running, Vec<String>) {
    let line = format!(
        "serve --data centre --listen {listen} --log=error --model-url threshold: --research"
    );
    let words: Vec<_> = line.split(' ').collect();
    let mut running = place.start_with(&words, &[("FIRST_PASSWORD", FIRST_PASSWORD)]);
    let lines = running.said_until("medseg answers on ");
    (running, lines)
}

impl Centre {
    fn start(place: &Place) -> Centre {
        let (running, lines) = serving(place, "127.0.0.1:0");
        let url = lines.last().unwrap().rsplit(' ').next().unwrap().to_owned();
        assert!(lines.iter().any(|line| line.starts_with("First start")), "{lines:?}");
        let password = FIRST_PASSWORD.to_owned();
        Centre { running, url, password }
    }

    fn stop(self) -> (String, String) {
        self.running.terminate();
        self.running.ended().printed(0);
        (self.url, self.password)
    }
}

fn inbox(place: &Place) {
    for folder in ["inbox", "results"] {
        fs::create_dir(place.at(folder)).unwrap();
    }
}

fn head(place: &Place, seed: u64) {
    place.medseg(&format!("phantom --seed {seed} --out inbox/{seed}.png")).good();
}

/// As if `medseg segment --watch` had come to that of what is called so.
fn analysed(place: &Place, name: &str, answer: &str) {
    let about = fs::metadata(place.at("inbox").join(name)).unwrap();
    let entry = json!({
        "name": name,
        "modified_ns": about.mtime() * 1_000_000_000 + about.mtime_nsec(),
        "files": 1,
        "bytes": about.len(),
        "answers": [answer],
        "folders": [name],
    });
    let record = place.at("results/watched.jsonl");
    let mut record = fs::OpenOptions::new().append(true).create(true).open(record).unwrap();
    writeln!(record, "{entry}").unwrap();
}

fn forwarding(place: &Place, url: &str, password: &str, more: &[&str]) -> Running {
    let words = [&FORWARD[..], more].concat();
    place.start_with(&words, &[("MEDSEG_URL", url), ("MEDSEG_PASSWORD", password)])
}

fn forward(place: &Place, centre: &Centre) -> Ended {
    forwarding(place, &centre.url, &centre.password, &[]).ended()
}

/// What is noted, by name.
fn notes(place: &Place) -> Vec<Value> {
    let names = place.names("results/forwarded").into_iter();
    let names = names.filter(|name| name.ends_with(".json") && !name.starts_with('.'));
    let read = |name: String| fs::read(place.at("results/forwarded").join(name)).unwrap();
    names.map(|name| serde_json::from_slice(&read(name)).unwrap()).collect()
}

/// Where the other end keeps what was sent: of each scan, one place.
fn locations(place: &Place) -> BTreeSet<String> {
    let sent = notes(place).into_iter().filter(|note| note["state"] == "sent");
    sent.map(|note| note["location"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_was_analysed_while_the_line_was_away_is_sent_when_it_is_back() {
    let place = Place::new();
    inbox(&place);
    let (url, password) = Centre::start(&place).stop();
    for seed in [1, 2] {
        head(&place, seed);
    }
    let line = "segment --watch inbox --out results --model threshold: --research";
    let watching = place.start(&line.split(' ').collect::<Vec<_>>());
    let forwarding = forwarding(&place, &url, &password, &["--watch"]);
    let begun = Instant::now();
    while !(place.has("results/1/result.json") && place.has("results/2/result.json")) {
        assert!(begun.elapsed() < PATIENCE, "nothing is analysed");
        sleep(Duration::from_millis(100));
    }
    // It looks every five seconds, and finds nobody.
    sleep(Duration::from_secs(6));
    assert!(notes(&place).is_empty());

    let (centre, _) = serving(&place, url.strip_prefix("http://").unwrap());
    while notes(&place).len() < 2 {
        assert!(begun.elapsed() < PATIENCE, "nothing is sent although the line is back");
        sleep(Duration::from_millis(100));
    }
    forwarding.terminate();
    let ended = forwarding.ended();
    let lines: Vec<_> = ended.printed(0).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("\tsent\t/v1/scans/")), "{lines:?}");
    let complaints: Vec<_> = ended.stderr().lines().collect();
    // Once, however often it is tried; and perhaps what a server says that has just been started.
    assert!((1..=2).contains(&complaints.len()), "{complaints:?}");
    assert!(complaints[0].contains("does not answer at"), "{complaints:?}");
    assert_eq!(locations(&place).len(), 2);
    // The results stay where they are.
    assert!(place.has("results/1/result.json"));
    for running in [watching, centre] {
        running.terminate();
        running.ended().printed(0);
    }
}

#[test]
fn however_often_it_is_killed_each_scan_is_there_once() {
    let place = Place::new();
    inbox(&place);
    let centre = Centre::start(&place);
    for seed in 1..=6 {
        head(&place, seed);
        analysed(&place, &format!("{seed}.png"), "found");
    }
    for round in 0..8 {
        let running = forwarding(&place, &centre.url, &centre.password, &["--watch"]);
        sleep(Duration::from_millis(30 * round));
        running.kill();
    }
    forward(&place, &centre).printed(0);
    let sent = locations(&place);
    assert_eq!((notes(&place).len(), sent.len()), (6, 6));
    // As if each kill had come between the answer and the note: all is sent again, and the same scans are found.
    fs::remove_dir_all(place.at("results/forwarded")).unwrap();
    forward(&place, &centre).printed(0);
    assert_eq!(locations(&place), sent);
    assert_eq!(forward(&place, &centre).printed(0), "");
    centre.stop();
}

#[test]
fn what_is_refused_is_set_aside_with_the_reason_and_the_others_are_sent() {
    let place = Place::new();
    inbox(&place);
    let centre = Centre::start(&place);
    // A file that only the other end refuses, one that was refused here, and a scan.
    for (name, answer) in [("a.txt", "found"), ("b.txt", "refused")] {
        place.write(&format!("inbox/{name}"), "no image\n".repeat(100));
        analysed(&place, name, answer);
    }
    head(&place, 3);
    analysed(&place, "3.png", "found");
    let ended = forward(&place, &centre);
    let printed = ended.printed(REFUSED);
    assert!(printed.contains("a.txt\trefused\t-\t"), "{printed}");
    assert!(printed.contains("3.png\tsent\t/v1/scans/"), "{printed}");
    assert!(ended.stderr().starts_with("error: ") && ended.stderr().lines().count() == 1);
    let notes = notes(&place);
    let refused: Vec<_> = notes.iter().filter(|note| note["state"] == "refused").collect();
    assert_eq!((notes.len(), refused.len()), (2, 1));
    assert_eq!(refused[0]["name"], "a.txt");
    assert_eq!(refused[0]["problem"]["type"], "/problems/not-an-image");
    // It is not tried again.
    assert_eq!(forward(&place, &centre).printed(0), "");
    centre.stop();
}

#[test]
fn what_keeps_it_from_sending_is_told_and_sets_nothing_aside() {
    let place = Place::new();
    inbox(&place);
    place.medseg("forward inbox").bad(MISUSED, &["--results", "required"]);
    place.medseg("forward inbox --results nowhere").bad(FAILED, &["nowhere", "cannot be used"]);
    place.medseg("forward nowhere --results results").bad(FAILED, &["nowhere", "cannot be used"]);
    place.medseg("forward inbox --results results --watch").bad(FAILED, &["set MEDSEG_PASSWORD"]);
    let centre = Centre::start(&place);
    // Nobody signs in for nothing.
    assert_eq!(forwarding(&place, &centre.url, "wrong", &[]).ended().printed(0), "");
    head(&place, 1);
    analysed(&place, "1.png", "found");
    let wrong = forwarding(&place, &centre.url, "wrong", &[]).ended();
    wrong.bad(FAILED, &["1 of 1 not sent", "not signed in"]);
    let away = forwarding(&place, "http://127.0.0.1:1", &centre.password, &[]).ended();
    away.bad(FAILED, &["1 of 1 not sent", "does not answer at http://127.0.0.1:1"]);
    assert!(notes(&place).is_empty());
    forward(&place, &centre).printed(0);
    assert_eq!(notes(&place).len(), 1);
    centre.stop();
}
