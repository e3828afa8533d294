//! What a process leaves that is killed while it works on patients' scans.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::place::{Place, Running};

const PATIENCE: Duration = Duration::from_secs(60);

/// `medseg segment --watch` with a temporary folder of the place's own.
fn watching(place: &Place, results: &str) -> Running {
    let line = format!("segment --watch inbox --out {results} --model threshold: --research");
    let temporary = place.at("tmp");
    let settings = [("TMPDIR", temporary.to_str().unwrap())];
    place.start_with(&line.split(' ').collect::<Vec<_>>(), &settings)
}

/// The folders that processes work in.
fn worked_in(place: &Place) -> Vec<String> {
    let mut names = place.names("tmp");
    names.retain(|name| name.starts_with(".medseg-"));
    names
}

/// The one such folder that is not among those, once it is in use.
fn next(place: &Place, known: &[String]) -> String {
    let begun = Instant::now();
    loop {
        let mut others = worked_in(place).into_iter().filter(|name| !known.contains(name));
        if let Some(name) = others.find(|name| place.has(&format!("tmp/{name}/lock"))) {
            return name;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody works in a temporary folder");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_killed_process_left_goes_with_the_next_start_and_a_living_ones_stays() {
    let place = Place::new();
    for folder in ["inbox", "tmp"] {
        fs::create_dir(place.at(folder)).unwrap();
    }
    let living = watching(&place, "of-the-living");
    let of_the_living = next(&place, &[]);
    let killed = watching(&place, "results");
    let of_the_killed = next(&place, std::slice::from_ref(&of_the_living));
    killed.kill();
    // Killed while it wrote results, it would have left them as well.
    place.write("results/.medseg-half00.part/mask.png", "half");
    assert!(worked_in(&place).contains(&of_the_killed), "a kill leaves nothing: what is tested?");

    let again = watching(&place, "results");
    let known = [of_the_living.clone(), of_the_killed.clone()];
    let of_the_next = next(&place, &known);
    let mut expected = [of_the_living, of_the_next];
    expected.sort();
    assert_eq!(worked_in(&place), expected);
    assert_eq!(place.names("results"), ["watched.jsonl"]);
    for running in [living, again] {
        running.terminate();
        assert_eq!(running.ended().printed(0), "");
    }
    assert!(worked_in(&place).is_empty());
}
