//! Data as it comes from elsewhere, written as a manifest and files that training reads.

mod confirmed;
mod dicom;
mod files;
mod flat;
mod nifti;
mod pictures;
mod slice;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};
use imaging::ImageKind;

use super::made::Made;
use super::{Patient, barcode_site, kind_of_folder};
pub use confirmed::{ConfirmedScan, gather};
use files::{Files, last, person};

/// What is to be imported.
#[derive(Clone, Debug)]
pub struct Import {
    /// A folder: series of DICOM files with masks, NIfTI pairs, or pictures with a mask beside each.
    pub source: PathBuf,
    /// Where the data set goes.
    pub out: PathBuf,
    /// Which of several sequences is taken, and what kind of image that is where nothing else says so.
    pub sequence: Option<ImageKind>,
}

/// A file or a folder that is no part of the data set.
#[derive(Debug, Eq, PartialEq)]
pub struct LeftOut {
    /// Its path below the source.
    pub name: String,
    /// Why, in words.
    pub why: String,
}

/// What was imported, and what was not.
#[derive(Debug)]
pub struct Imported {
    /// Where the manifest is.
    pub manifest: PathBuf,
    /// How many patients it has.
    pub patients: usize,
    /// How many slices.
    pub slices: usize,
    /// Images and masks that could not be taken.
    pub left_out: Vec<LeftOut>,
    /// What was not asked for: other sequences, notes, empty slices at the ends of volumes.
    pub passed_over: Vec<LeftOut>,
}

impl Import {
    /// Reads the source and writes the data set. What is not taken is told with its reason. Patients are called by the names
    /// of their folders or files, never by what a header says; those with several scans stay together by a fold.
    ///
    /// `Invalid` where nothing at all could be taken, of which every reason is told, too.
    pub fn run(&self) -> Result<Imported> {
        let mut source = Files::below(&self.source)?;
        let mut importing = Importing::begin(self)?;
        dicom::take(&mut importing, &mut source)?;
        nifti::take(&mut importing, &mut source)?;
        pictures::take(&mut importing, &mut source)?;
        for name in source.others {
            importing.pass_over(&name, "no image");
        }
        importing.left_out.extend(source.left_out);
        importing.finish()
    }
}

/// A data set on its way.
struct Importing<'a> {
    import: &'a Import,
    made: Made,
    /// Who each patient's scan is of, by what the names or the headers say: only ever compared.
    people: BTreeMap<String, String>,
    /// Whose slices are pictures of their own.
    of_pictures: BTreeSet<String>,
    left_out: Vec<LeftOut>,
    passed_over: Vec<LeftOut>,
}

impl Importing<'_> {
    fn begin(import: &Import) -> Result<Importing<'_>> {
        let made = Made::begin(&import.out)?;
        let (left_out, passed_over) = (Vec::new(), Vec::new());
        let (people, of_pictures) = (BTreeMap::new(), BTreeSet::new());
        Ok(Importing { import, made, people, of_pictures, left_out, passed_over })
    }

    fn leave_out(&mut self, name: &str, why: impl Into<String>) {
        self.left_out.push(LeftOut { name: name.to_owned(), why: why.into() });
    }

    fn pass_over(&mut self, name: &str, why: impl Into<String>) {
        self.passed_over.push(LeftOut { name: name.to_owned(), why: why.into() });
    }

    /// Masks by what each has in common with its image; of two for one image the second is left out.
    fn by_image(
        &mut self,
        masks: Vec<String>,
        key: impl Fn(&str) -> String,
    ) -> BTreeMap<String, String> {
        let mut mask_of = BTreeMap::<String, String>::new();
        for mask in masks {
            match mask_of.get(&key(&mask)) {
                Some(first) => self.leave_out(&mask, format!("{first} is the mask of that image")),
                None => drop(mask_of.insert(key(&mask), mask)),
            }
        }
        mask_of
    }

    /// What the folder itself is called.
    fn source_name(&self) -> String {
        let source = self.import.source.canonicalize();
        let name = source.ok().and_then(|path| Some(path.file_name()?.to_owned()));
        name.map_or_else(|| "source".to_owned(), |name| name.to_string_lossy().into())
    }

    /// The patient of a scan that lies at `place`, of which `all` lists every one: called by the last name of it that says
    /// who it is, or by all of them where another scan has the same. None where that name is taken, which is told.
    fn patient(
        &mut self,
        place: &str,
        all: &[String],
        kind: ImageKind,
        header: Option<String>,
    ) -> Option<Patient> {
        let source = self.source_name();
        let short = last(place).unwrap_or(&source);
        let alike = all.iter().filter(|other| last(other).unwrap_or(&source) == short).count();
        let id = if alike > 1 { place.replace('/', "-") } else { short.to_owned() };
        let who = header.unwrap_or_else(|| person(place));
        if self.people.insert(id.clone(), who).is_some() {
            self.leave_out(place, format!("another scan is called {id}, too"));
            return None;
        }
        Some(self.called(id, kind))
    }

    /// A patient of that id, without slices.
    fn called(&self, id: String, kind: ImageKind) -> Patient {
        let kind = match (kind, self.import.sequence) {
            (ImageKind::Unknown, Some(asked)) => asked,
            (ImageKind::Unknown, None) => kind_of_folder(&self.source_name()),
            (known, _) => known,
        };
        Patient { site: barcode_site(&id).map(str::to_owned), id, kind, ..Patient::default() }
    }

    fn finish(mut self) -> Result<Imported> {
        let (patients, slices) = (self.made.patients(), self.made.slices());
        if slices == 0 {
            let why: Vec<String> =
                self.left_out.iter().map(|it| format!("{}: {}", it.name, it.why)).collect();
            let why = if why.is_empty() { "no images with masks".into() } else { why.join("; ") };
            let message = format!("nothing in {} was taken: {why}", self.import.source.display());
            return Err(ErrorKind::Invalid.error(message));
        }
        let folds = self.folds();
        self.made.bind(&folds);
        let manifest = self.made.finish()?;
        let (left_out, passed_over) = (self.left_out, self.passed_over);
        Ok(Imported { manifest, patients, slices, left_out, passed_over })
    }

    /// A fold for each person with several scans, called after the first of them.
    fn folds(&self) -> BTreeMap<String, String> {
        let mut scans = BTreeMap::<&str, Vec<&str>>::new();
        for (id, who) in &self.people {
            scans.entry(who).or_default().push(id);
        }
        let several = scans.values().filter(|scans| scans.len() > 1);
        let of_one = |all: &Vec<&str>| {
            let first = all[0].to_owned();
            all.iter().map(|id| ((*id).to_owned(), first.clone())).collect::<Vec<_>>()
        };
        several.flat_map(of_one).collect()
    }
}

/// `path` below `folder`, with `/` between names.
fn joined(folder: &Path, name: &str) -> PathBuf {
    let names = name.split('/').filter(|part| !part.is_empty());
    names.fold(folder.to_owned(), |path, part| path.join(part))
}

#[cfg(test)]
mod tests;
