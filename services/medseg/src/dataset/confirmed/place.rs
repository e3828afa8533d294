use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use domain::ErrorKind;
use model::dataset::{self, ConfirmedScan, Imported, Shares};

use super::downloads::Downloads;
use super::{Report, Scan};

/// What marks a folder as an export, so that it may be replaced.
const REPORT: &str = "report.json";

/// A data set's folder, and what lies beside it while it is made.
pub struct Place {
    out: PathBuf,
    /// The data set that is to take its place.
    pub next: PathBuf,
    /// The one that it takes the place of.
    before: PathBuf,
    pub downloads: Downloads,
}

impl Place {
    /// Refuses a folder in which something else lies.
    pub fn of(out: &Path) -> anyhow::Result<Place> {
        let name = out.file_name().with_context(|| format!("{} is no folder", out.display()))?;
        let beside = |what: &str| {
            let mut name = name.to_owned();
            name.push(what);
            out.with_file_name(name)
        };
        let [next, before] = [".next", ".before"].map(beside);
        if before.is_dir() && !out.is_dir() {
            // An export ended between its two last steps.
            fs::rename(&before, out)?;
        }
        let is_empty = !out.is_dir() || fs::read_dir(out)?.next().is_none();
        ensure!(
            is_empty || out.join(REPORT).is_file(),
            "{} is not empty, and no earlier export: name another folder",
            out.display()
        );
        let downloads = Downloads::in_folder(&beside(".scans"))?;
        Ok(Place { out: out.to_owned(), next, before, downloads })
    }

    /// Takes everything away.
    pub fn empty(&self) -> anyhow::Result<()> {
        self.downloads.keep_only(&BTreeSet::new())?;
        for folder in [&self.next, &self.before, &self.out] {
            removed(folder)?;
        }
        Ok(())
    }

    /// Writes the next data set, in which whoever is in a part stays there.
    pub fn made(&self, scans: &[Scan], shares: Shares, seed: u64) -> anyhow::Result<Imported> {
        removed(&self.next)?;
        let scans: Vec<ConfirmedScan> =
            scans.iter().map(|scan| self.downloads.confirmed(scan)).collect();
        let imported = match dataset::gather(&scans, &self.next) {
            // What there was is confirmed no more.
            Err(error) if scans.is_empty() => {
                self.empty()?;
                return Err(error).context("no scan is confirmed");
            }
            imported => imported?,
        };
        let manifest = self.out.join("manifest.csv");
        let before =
            if manifest.is_file() { dataset::parts_of(&manifest)? } else { Default::default() };
        match dataset::write_parts_beside(&self.next, &before, shares, seed) {
            Ok(drawn) => {
                for (part, count) in drawn {
                    println!("{:10} {count}", part.name());
                }
            }
            // Too few for these parts: more will come.
            Err(error) if error.kind() == ErrorKind::Invalid => println!("not split: {error}"),
            Err(error) => return Err(error.into()),
        }
        Ok(imported)
    }

    /// Puts the DICOM images of the scans, where there are any, beside their slices, each scan's in a zip of its own.
    pub fn add_dicom<'s>(&self, scans: impl Iterator<Item = &'s Scan>) -> anyhow::Result<()> {
        let folder = self.next.join("dicom");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for scan in scans {
            let (from, to) =
                (self.downloads.dicom(&scan.id), folder.join(format!("{}.zip", scan.id)));
            if from.is_file() {
                fs::copy(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
            }
        }
        Ok(())
    }

    /// Puts the next data set into its place.
    pub fn finish(&self, report: &Report) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(report)? + "\n";
        durable::replace(&self.next.join(REPORT), text.as_bytes())?;
        removed(&self.before)?;
        if self.out.is_dir() {
            fs::rename(&self.out, &self.before)?;
        }
        let unplaced = || format!("cannot put the data set at {}", self.out.display());
        fs::rename(&self.next, &self.out).with_context(unplaced)?;
        removed(&self.before)
    }
}

fn removed(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot take away {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_which_something_else_lies_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("set");
        assert!(Place::of(&out).is_ok(), "not there");
        fs::create_dir(&out).unwrap();
        assert!(Place::of(&out).is_ok(), "empty");
        fs::write(out.join("thesis.txt"), "mine").unwrap();
        let refused = Place::of(&out).err().unwrap().to_string();
        assert!(refused.contains("no earlier export"), "{refused}");
        fs::write(out.join(REPORT), "{}").unwrap();
        let place = Place::of(&out).unwrap();
        // As an export that ended between its two last steps leaves it.
        fs::rename(&out, &place.before).unwrap();
        assert!(Place::of(&out).is_ok() && out.join("thesis.txt").is_file());
    }
}
