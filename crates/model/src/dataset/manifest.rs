//! `manifest.csv`: a table as RFC 4180 writes it, with one line for each labelled slice.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use csv::{DeserializeErrorKind, ReaderBuilder, StringRecord, Trim};
use domain::{Error, ErrorKind, Result};
use imaging::ImageKind;
use serde::Deserialize;

use super::{Entry, Patient, barcode_site, kind_of_folder};

/// The columns without which no line tells of a slice.
const REQUIRED: [&str; 4] = ["patient", "slice", "image", "mask"];

/// One line. Other columns are not read; where one that may be missing is there, its empty cells are None.
#[derive(Deserialize)]
struct Row {
    patient: String,
    slice: u32,
    image: PathBuf,
    mask: PathBuf,
    fold: Option<String>,
    site: Option<String>,
    kind: Option<String>,
}

/// Where in a manifest something is wrong.
struct Place<'a> {
    manifest: &'a Path,
    /// From 1, the header's.
    line: usize,
}

/// Reads the table at `manifest`; patients come sorted by id. `NotFound` names a file that is missing, `Invalid` the line,
/// and the column where there is one.
pub fn read(manifest: &Path) -> Result<Vec<Patient>> {
    let text = fs::read_to_string(manifest).map_err(|error| {
        ErrorKind::NotFound.error(format!("cannot read {}", manifest.display())).because(error)
    })?;
    // Uneven lines are counted here, in words that help more than the reader's.
    let mut rows = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(text.as_bytes());
    let no_table = |error: csv::Error| {
        ErrorKind::Invalid.error(format!("{} is no table", manifest.display())).because(error)
    };
    let header = rows.headers().map_err(no_table)?.clone();
    if let Some(missing) = REQUIRED.iter().find(|name| !header.iter().any(|title| title == **name))
    {
        let message = format!(
            "{} has no column {missing}: its first line names {}",
            manifest.display(),
            REQUIRED.join(", ")
        );
        return Err(ErrorKind::Invalid.error(message));
    }
    let mut patients = BTreeMap::new();
    for record in rows.records() {
        let record = record.map_err(no_table)?;
        if !record.iter().all(str::is_empty) {
            let place = Place { manifest, line: line(&text, &record) };
            place.add(place.row(&header, &record)?, &mut patients)?;
        }
    }
    Ok(patients.into_values().collect())
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

    fn add(&self, row: Row, patients: &mut BTreeMap<String, Patient>) -> Result<()> {
        let folder = self.manifest.parent().unwrap_or(Path::new("."));
        let name = folder.file_name();
        let source: String = name.map_or_else(String::new, |name| name.to_string_lossy().into());
        let slice = row.slice;
        let (image, mask) = (folder.join(row.image), folder.join(row.mask));
        self.require("image", &image)?;
        self.require("mask", &mask)?;
        let kind = match row.kind.as_deref() {
            Some(name) => ImageKind::of_name(name).ok_or_else(|| {
                self.refuse_cell("kind", "not one that is known: use flair or t1_contrast")
            })?,
            None => kind_of_folder(&source),
        };
        let (id, fold) = (row.patient, row.fold);
        let patient = patients.entry(id.clone()).or_insert_with(|| Patient {
            site: row.site.or_else(|| barcode_site(&id).map(str::to_owned)),
            id: id.clone(),
            slices: Vec::new(),
            source,
            fold: fold.clone(),
            kind,
        });
        if patient.kind != kind {
            return Err(self.refuse(&format!("patient {id} has images of two kinds")));
        }
        if patient.fold != fold {
            return Err(self.refuse(&format!("patient {id} is in two folds")));
        }
        patient.slices.push(Entry { slice, image, mask });
        Ok(())
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

    fn refuse(&self, what: &str) -> Error {
        ErrorKind::Invalid.error(format!("{self}: {what}"))
    }
}

impl Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} line {}", self.manifest.display(), self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "patient,slice,image,mask";

    /// What a manifest of that text comes to, beside three files.
    fn patients(text: &str) -> Result<Vec<Patient>> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png", "a, left.png"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let manifest = folder.path().join("manifest.csv");
        fs::write(&manifest, text).unwrap();
        read(&manifest)
    }

    fn refusal(text: &str) -> String {
        patients(text).unwrap_err().to_string()
    }

    /// The ids of patients, with the numbers of their slices.
    fn numbers(text: &str) -> Vec<(String, Vec<u32>)> {
        let number = |patient: &Patient| patient.slices.iter().map(|entry| entry.slice).collect();
        let all = patients(text).unwrap();
        all.iter().map(|patient| (patient.id.clone(), number(patient))).collect()
    }

    fn image(patient: &Patient) -> String {
        patient.slices[0].image.file_name().unwrap().to_string_lossy().into()
    }

    #[test]
    fn columns_are_found_by_name_and_others_are_not_read() {
        let text = "mask,extra,image,slice,patient\nb.png,x,a.png,10,p\nb.png,x,a.png,9,p\nb.png,,a.png,1,o\n";
        assert_eq!(numbers(text), [("o".to_owned(), vec![1]), ("p".to_owned(), vec![10, 9])]);
        assert_eq!(patients(text).unwrap()[0].slices[0].image.file_name().unwrap(), "a.png");
    }

    #[test]
    fn a_value_in_quotes_may_hold_commas_quotes_and_line_ends() {
        let all = patients(&format!(
            "{HEADER},site\n\"p \"\"1\"\"\",1,\"a, left.png\",b.png,\"Oslo,\nNorway\"\nq,1,a.png,b.png,\n"
        ));
        let all = all.unwrap();
        assert_eq!((all[0].id.as_str(), image(&all[0]).as_str()), ("p \"1\"", "a, left.png"));
        assert_eq!((all[0].site.as_deref(), &all[1].site), (Some("Oslo,\nNorway"), &None));
    }

    #[test]
    fn a_comma_without_quotes_is_refused_and_shifts_nothing() {
        let why = refusal(&format!("{HEADER}\np,1,a, left.png,b.png\n"));
        assert!(why.contains("line 2: too many columns"), "{why}");
        assert!(refusal(&format!("{HEADER}\np,1,a.png\n")).contains("line 2: too few columns"));
    }

    #[test]
    fn a_byte_order_mark_windows_line_ends_and_a_missing_last_one_are_read() {
        for text in [
            format!("\u{feff}{HEADER}\np,1,a.png,b.png\n"),
            format!("{HEADER}\r\np,1,a.png,b.png\r\n"),
            format!("\u{feff}{HEADER}\r\np,1,a.png,b.png"),
            format!("{HEADER}\n p , 1 , a.png , b.png \n"),
        ] {
            assert_eq!(numbers(&text), [("p".to_owned(), vec![1])], "{text:?}");
        }
    }

    #[test]
    fn blank_lines_are_passed_over_and_counted() {
        let text = |last: &str| format!("{HEADER}\n\np,1,a.png,b.png\n  \n,,,\n\n\n{last}\n");
        assert_eq!(numbers(&text("p,2,a.png,b.png")), [("p".to_owned(), vec![1, 2])]);
        assert!(refusal(&text("p,two,a.png,b.png")).contains("line 8, column slice"));
        let windows = text("p,two,a.png,b.png").replace('\n', "\r\n");
        assert!(refusal(&windows).contains("line 8, column slice"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_its_line_and_column() {
        for (text, why) in [
            ("", "manifest.csv has no column patient"),
            ("patient,slice,image\n", "has no column mask"),
            ("patient,slice,image,mask\np,1,a.png,gone.png\n", "line 2, column mask: no file "),
            ("patient,slice,image,mask\np,1,,b.png\n", "line 2, column image: no file "),
            ("patient,slice,image,mask\n,1,a.png,b.png\n", "line 2, column patient: empty"),
            ("patient,slice,image,mask\np,one,a.png,b.png\n", "column slice: not a whole number"),
            ("patient,slice,image,mask\np,-1,a.png,b.png\n", "column slice: not a whole number"),
            ("patient,slice,image,mask,kind\np,1,a.png,b.png,t2\n", "column kind: not one that"),
        ] {
            let refused = refusal(text);
            assert!(refused.contains(why), "{refused}");
        }
        assert!(
            read(Path::new("/nowhere/m.csv")).unwrap_err().to_string().contains("/nowhere/m.csv")
        );
    }

    #[test]
    fn fold_and_site_are_read_and_a_patient_is_in_one_fold() {
        let lines = |lines: &str| format!("{HEADER},fold\n{lines}");
        let all = patients(&lines("TCGA_DU_7013_1,5,a.png,b.png,3\nx,1,a.png,b.png,\n")).unwrap();
        assert_eq!((all[0].site.as_deref(), all[0].fold.as_deref()), (Some("DU"), Some("3")));
        assert_eq!((&all[1].site, &all[1].fold), (&None, &None));
        let why = refusal(&lines("p,1,a.png,b.png,1\np,2,a.png,b.png,2\n"));
        assert!(why.contains("line 3: patient p is in two folds"), "{why}");
    }

    #[test]
    fn the_kind_of_image_is_a_column_and_one_for_all_slices_of_a_patient() {
        let lines = |lines: &str| format!("{HEADER},kind\n{lines}");
        let all = patients(&lines("p,1,a.png,b.png,t1_contrast\nq,1,a.png,b.png,\n")).unwrap();
        let kinds: Vec<ImageKind> = all.iter().map(|patient| patient.kind).collect();
        assert_eq!(kinds, [ImageKind::T1Contrast, ImageKind::Unknown]);
        let two = lines("p,1,a.png,b.png,flair\np,2,a.png,b.png,t1_contrast\n");
        assert!(refusal(&two).contains("two kinds"));
    }
}
