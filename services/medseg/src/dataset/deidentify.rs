//! `medseg dataset deidentify`: DICOM images without whose they are, with a report of what was taken away.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use hmac::{Hmac, KeyInit, Mac};
use imaging::{DeidentificationReport, Limits, Naming, deidentify};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// A shorter key could be guessed, and with it who is who.
const KEY_CHARS_MIN: usize = 32;

/// Writes what names nobody of all files below `source` into the folder `out`, as `series/instance.dcm`.
pub fn run(source: &Path, out: &Path, key: &SecretString) -> anyhow::Result<()> {
    let digest = digest_with(key)?;
    require_empty(out)?;
    let mut report = DeidentificationReport::default();
    for (number, path) in (1..).zip(files(source)?) {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let naming = Naming { digest: &digest, is_of: None };
        match deidentify(&bytes, &Limits::default(), &naming) {
            Ok(done) => {
                write(&out.join(done.place()), &done.file)?;
                report.take(&done);
            }
            Err(refusal) => {
                println!("refused: {}: {}", path.display(), refusal.detail);
                report.refuse(number, refusal.problem.name(), refusal.detail);
            }
        }
    }
    write(&out.join(DeidentificationReport::NAME), &report.to_json())?;
    println!("{}: files: {}, refused: {}", out.display(), report.files(), report.refused());
    Ok(())
}

/// Keyed as a hospital's own names of patients are: the same patient is called the same here and there, where the key is the same.
fn digest_with(key: &SecretString) -> anyhow::Result<impl Fn(&str, &str) -> [u8; 16]> {
    let key = key.expose_secret();
    if key.chars().count() < KEY_CHARS_MIN {
        bail!(
            "MEDSEG_DEIDENTIFY_KEY has fewer than {KEY_CHARS_MIN} characters: whoever guesses it knows who is who"
        );
    }
    let keyed = Hmac::<Sha256>::new_from_slice(key.as_bytes()).context("the key is none")?;
    Ok(move |what: &str, value: &str| {
        let mut mac = keyed.clone();
        mac.update(what.as_bytes());
        mac.update(&[0]);
        mac.update(value.as_bytes());
        let bytes = mac.finalize().into_bytes();
        std::array::from_fn(|at| bytes[at])
    })
}

fn require_empty(out: &Path) -> anyhow::Result<()> {
    let mut entries = match fs::read_dir(out) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("cannot read {}", out.display()))?,
    };
    ensure!(entries.next().is_none(), "{} is not empty", out.display());
    Ok(())
}

/// All files below the folder, or the file itself, in the order of their names. Links are not followed.
fn files(source: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = |path: &Path| format!("cannot read {}", path.display());
    let kind = fs::metadata(source).with_context(|| cannot(source))?;
    if kind.is_file() {
        return Ok(vec![source.to_owned()]);
    }
    let (mut found, mut folders) = (Vec::new(), vec![source.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| cannot(&folder))? {
            let entry = entry.with_context(|| cannot(&folder))?;
            let kind = entry.file_type().with_context(|| cannot(&folder))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, bytes))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use imaging::encode::{Series, dicom};
    use imaging::phantom::{Phantom, Settings};

    use super::*;

    const KEY: &str = "a key that nobody guesses, for one test";

    #[test]
    fn what_leaves_names_nobody_and_the_report_says_what_was_done() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let volume = Phantom::new(&Settings::slice(1)).unwrap().volume;
        let file = dicom(&volume, &Series::of_seed(7), 0).unwrap();
        assert!(file.windows(9).any(|window| window == b"PHANTOM-7"), "the source names somebody");
        write(&at("in/a/Doe^Jane.dcm"), &file).unwrap();
        write(&at("in/notes.txt"), b"seen today").unwrap();
        run(&at("in"), &at("out"), &KEY.into()).unwrap();

        let report = fs::read_to_string(at("out/report.json")).unwrap();
        let said: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!((&said["files"], &said["refused"][0]["number"]), (&1.into(), &2.into()));
        assert_eq!(said["attributes"]["(0010,0010)"]["replaced"], 1);
        assert!(!report.contains("Jane"), "{report}");
        let made = files(&at("out")).unwrap();
        let made = made.iter().find(|path| path.extension().is_some_and(|end| end == "dcm"));
        let bytes = fs::read(made.unwrap()).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"PHANTOM" || window == b"Phantom"));
        assert!(imaging::decode(&bytes, &Limits::default()).is_ok());

        let again = run(&at("in"), &at("out"), &KEY.into()).unwrap_err().to_string();
        assert!(again.contains("is not empty"), "{again}");
        let short = run(&at("in"), &at("other"), &"short".into()).unwrap_err().to_string();
        assert!(short.contains("MEDSEG_DEIDENTIFY_KEY"), "{short}");
    }
}
