//! Readers of what strangers send meet bytes that are nearly sound: a few hundred each in the suite, for as long as one likes by
//! `make fuzz MINUTES=…`. What they must not do is said at each in `targets.rs`.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod corpus;
#[path = "../../services/ingest/tests/suite/files.rs"]
mod files;
mod mutate;
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::{Random, mutated};
use targets::Target;

/// How many mutants each reader gets in the suite.
const ROUNDS: u64 = 300;

/// Feeds `target` for `FUZZ_SECONDS`, or a few hundred times; what breaks it is written down, and named. With `FUZZ_CORPUS` only what it
/// begins with is written, by reader.
fn fuzz(name: &str, corpus: &[Vec<u8>], (reader, target): (&str, Target)) {
    if let Some(folder) = std::env::var_os("FUZZ_CORPUS") {
        return write_corpus(&PathBuf::from(folder).join(reader), name, corpus);
    }
    for sound in corpus {
        target(sound);
    }
    let seconds = setting("FUZZ_SECONDS");
    let mut random = Random(setting("FUZZ_SEED").unwrap_or(1));
    let (begun, mut rounds) = (Instant::now(), 0);
    let goes_on = |rounds| match seconds {
        Some(seconds) => begun.elapsed() < Duration::from_secs(seconds),
        None => rounds < ROUNDS,
    };
    while goes_on(rounds) {
        let input = mutated(corpus, &mut random);
        // Beforehand, where it may be the end of this process.
        if seconds.is_some() {
            fs::write(found(name, "last"), &input).unwrap();
        }
        if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
            let path = found(name, "broken");
            fs::write(&path, &input).unwrap();
            panic!("{name} broke at mutant {rounds}: {}", path.display());
        }
        rounds += 1;
    }
    println!("{name}: {rounds} mutants");
}

/// For libFuzzer, which begins with files.
fn write_corpus(folder: &Path, name: &str, corpus: &[Vec<u8>]) {
    fs::create_dir_all(folder).unwrap();
    for (index, sound) in corpus.iter().enumerate() {
        fs::write(folder.join(format!("{name}-{index}")), sound).unwrap();
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|it| !it.is_empty()).map(|it| it.parse().unwrap())
}

fn found(name: &str, kind: &str) -> PathBuf {
    let folder = std::env::temp_dir().join("medseg-fuzz");
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{name}.{kind}"))
}

macro_rules! fuzzed {
    ($($name:ident: $corpus:expr => $target:ident;)*) => { $(
        #[test]
        fn $name() {
            fuzz(stringify!($name), &$corpus, (stringify!($target), targets::$target));
        }
    )* };
}

fuzzed! {
    png: corpus::of_kind("png") => image;
    jpeg: corpus::of_kind("jpeg") => image;
    tiff: corpus::of_kind("tiff") => image;
    webp: corpus::of_kind("webp") => image;
    dicom: corpus::dicom() => image;
    nifti: corpus::of_kind("nifti") => image;
    zip: corpus::archives() => image;
    header: corpus::dicom() => header;
    mask: corpus::masks() => mask;
    archive: corpus::archives() => archive;
    event: corpus::events() => event;
    message: corpus::messages() => message;
    token: corpus::tokens() => token;
    dicom_network: corpus::dicom_network() => dicom_network;
    acknowledgment: corpus::acknowledgments() => acknowledgment;
    security_key: corpus::security_keys() => security_key;
    parts: corpus::parts() => parts;
}
