//! `manifest.csv`: a table as RFC 4180 writes it, with one line for each labelled slice.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use csv::{DeserializeErrorKind, ReaderBuilder, StringRecord, Trim};
use domain::{Error, ErrorKind, Result};
use imaging::ImageKind;
use serde::Deserialize;

use super::{Entry, Part, Patient, barcode_site, kind_of_folder};
use crate::weights::missing;

/// The columns without which no line tells of a slice.
const REQUIRED: [&str; 4] = ["patient", "slice", "image", "mask"];

/// One line. Other columns are not read; where one that may be missing is there, its empty cells are None.
#[derive(Clone, Deserialize)]
pub struct Row {
    pub patient: String,
    pub slice: u32,
    image: PathBuf,
    mask: PathBuf,
    pub fold: Option<String>,
    pub site: Option<String>,
    kind: Option<String>,
    part: Option<String>,
    pub image_sha256: Option<String>,
    pub mask_sha256: Option<String>,
}

/// Where in a manifest something is wrong.
pub struct Place<'a> {
    manifest: &'a Path,
    /// From 1, the header's.
    line: usize,
}

/// A manifest as it stands.
pub struct Table {
    manifest: PathBuf,
    /// The columns' names.
    pub header: StringRecord,
    /// The lines that are not empty.
    pub records: Vec<StringRecord>,
    /// The number of each.
    lines: Vec<usize>,
}

impl Table {
    /// Reads the table at `manifest`; `Invalid` where it is none, or lacks a column that every line needs.
    pub fn open(manifest: &Path) -> Result<Table> {
        let text = fs::read_to_string(manifest).map_err(|error| missing(manifest, error))?;
        // Uneven lines are counted here, in words that help more than the reader's.
        let mut rows =
            ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(text.as_bytes());
        let no_table = |error: csv::Error| {
            ErrorKind::Invalid.error(format!("{} is no table", manifest.display())).because(error)
        };
        let header = rows.headers().map_err(no_table)?.clone();
        let lacks = |name: &&&str| !header.iter().any(|title| title == **name);
        if let Some(missing) = REQUIRED.iter().find(lacks) {
            let message = format!(
                "{} has no column {missing}: its first line names {}",
                manifest.display(),
                REQUIRED.join(", ")
            );
            return Err(ErrorKind::Invalid.error(message));
        }
        let (mut records, mut lines) = (Vec::new(), Vec::new());
        for record in rows.records() {
            let record = record.map_err(no_table)?;
            if !record.iter().all(str::is_empty) {
                lines.push(line(&text, &record));
                records.push(record);
            }
        }
        Ok(Table { manifest: manifest.to_owned(), header, records, lines })
    }

    /// What each line says, or what is wrong with it.
    pub fn rows(&self) -> impl Iterator<Item = (Place<'_>, Result<Row>)> {
        self.records.iter().zip(&self.lines).map(|(record, line)| {
            let place = Place { manifest: &self.manifest, line: *line };
            let row = place.row(&self.header, record);
            (place, row)
        })
    }
}

/// Reads the table at `manifest`; patients come sorted by id. `NotFound` names a file that is missing, `Invalid` the line,
/// and the column where there is one.
pub fn read(manifest: &Path) -> Result<Vec<Patient>> {
    let mut patients = BTreeMap::new();
    for (place, row) in Table::open(manifest)?.rows() {
        place.add(row?, &mut patients)?;
    }
    Ok(patients.into_values().collect())
}

/// What the data of that manifest is called: its folder's name.
pub fn source_of(manifest: &Path) -> String {
    let name = manifest.parent().and_then(Path::file_name);
    name.map_or_else(String::new, |name| name.to_string_lossy().into())
}

/// The line that a record begins in. The reader's own count is that of the blank lines before it.
fn line(text: &str, record: &StringRecord) -> usize {
    let start = record.position().map_or(0, |position| position.byte() as usize);
    let (before, rest) = text.as_bytes().split_at(start.min(text.len()));
    let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
    1 + before.iter().chain(blank).filter(|byte| **byte == b'\n').count()
}

impl Place<'_> {
    fn row(&self, header: &StringRecord, record: &StringRecord) -> Result<Row> {
        if record.len() < header.len() {
            return Err(self.refuse("too few columns"));
        }
        if record.len() > header.len() {
            return Err(self.refuse("too many columns: a value with a comma stands in quotes"));
        }
        let row: Row =
            record.deserialize(Some(header)).map_err(|error| self.misread(header, error))?;
        match row.patient.is_empty() {
            true => Err(self.refuse_cell("patient", "empty")),
            false => Ok(row),
        }
    }

    /// Adds the slice to those of its patient; answers where it lies.
    pub fn add(&self, row: Row, patients: &mut BTreeMap<String, Patient>) -> Result<Entry> {
        let folder = self.manifest.parent().unwrap_or(Path::new("."));
        let source = source_of(self.manifest);
        let entry =
            Entry { slice: row.slice, image: folder.join(row.image), mask: folder.join(row.mask) };
        self.require("image", &entry.image)?;
        self.require("mask", &entry.mask)?;
        let kind = match row.kind.as_deref() {
            Some(name) => ImageKind::of_name(name).ok_or_else(|| {
                self.refuse_cell("kind", "not one that is known: use flair or t1_contrast")
            })?,
            None => kind_of_folder(&source),
        };
        let part = row.part.as_deref().map(|name| self.part(name)).transpose()?;
        let (id, fold) = (row.patient, row.fold);
        let patient = patients.entry(id.clone()).or_insert_with(|| Patient {
            site: row.site.or_else(|| barcode_site(&id).map(str::to_owned)),
            id: id.clone(),
            slices: Vec::new(),
            source,
            fold: fold.clone(),
            kind,
            part,
        });
        let differs = [
            (patient.kind != kind, "has images of two kinds"),
            (patient.fold != fold, "is in two folds"),
            (patient.part != part, "is in two parts"),
        ];
        if let Some((_, what)) = differs.into_iter().find(|(differs, _)| *differs) {
            return Err(self.refuse(&format!("patient {id} {what}")));
        }
        patient.slices.push(entry.clone());
        Ok(entry)
    }

    fn part(&self, name: &str) -> Result<Part> {
        Part::of_name(name).ok_or_else(|| {
            self.refuse_cell("part", "not one that is known: use training, validation or test")
        })
    }

    fn require(&self, column: &str, file: &Path) -> Result<()> {
        if file.is_file() {
            return Ok(());
        }
        let what = format!("no file {}", file.display());
        Err(ErrorKind::NotFound.error(format!("{self}, column {column}: {what}")))
    }

    fn misread(&self, header: &StringRecord, error: csv::Error) -> Error {
        let csv::ErrorKind::Deserialize { err, .. } = error.kind() else {
            return self.refuse(&error.to_string());
        };
        let what = match err.kind() {
            DeserializeErrorKind::ParseInt(_) => "not a whole number".to_owned(),
            other => other.to_string(),
        };
        let column = err.field().and_then(|at| header.get(usize::try_from(at).ok()?));
        column.map_or_else(|| self.refuse(&what), |column| self.refuse_cell(column, &what))
    }

    fn refuse_cell(&self, column: &str, what: &str) -> Error {
        ErrorKind::Invalid.error(format!("{self}, column {column}: {what}"))
    }

    /// The refusal of this line.
    pub fn refuse(&self, what: &str) -> Error {
        ErrorKind::Invalid.error(format!("{self}: {what}"))
    }
}

impl Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} line {}", self.manifest.display(), self.line)
    }
}

#[cfg(test)]
mod tests;
