//! DICOM images that leave a hospital: an upload without whose it is, as a zip with a report of what was done.

use std::collections::BTreeSet;
use std::io::Cursor;

use domain::hex;
use hmac::{Hmac, KeyInit, Mac};
use imaging::encode::zip;
use imaging::{Archive, DeidentificationReport, Limits, Naming, Refusal, RefusalReason};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What the images of one scan are called from now on: the line of JSON that stands before its upload in the file that is handed over.
///
/// The key is of this one patient: a decoder that was taken over learns no other patient's names.
#[derive(Deserialize, Serialize)]
pub struct Names {
    /// What the patient is called: 32 hexadecimal digits.
    pub patient: String,
    /// The digest of whose scan it is, which other files of the upload must be of, too; empty: nobody's, so that no file may name anybody.
    pub whose: String,
    /// What UIDs and dates are digested with.
    pub key: String,
}

impl Names {
    /// The line, with its end.
    pub fn to_line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }

    /// What the line before an upload says, and the upload.
    fn before(file: &[u8]) -> Option<(Names, &[u8])> {
        let end = file.iter().position(|byte| *byte == b'\n')?;
        let names = serde_json::from_slice(file.get(..end)?).ok()?;
        Some((names, file.get(end + 1..)?))
    }

    /// As `docs/training.md` says it: HMAC-SHA-256 of the kind, a zero byte and the value.
    fn digest(&self, what: &str, value: &str) -> Option<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_bytes()).ok()?;
        mac.update(what.as_bytes());
        mac.update(&[0]);
        mac.update(value.as_bytes());
        let bytes = mac.finalize().into_bytes();
        Some(std::array::from_fn(|at| bytes[at]))
    }

    fn is_of(&self, patient: &str) -> bool {
        self.digest("whose", patient).is_some_and(|digest| hex(&digest) == self.whose)
    }

    /// What a value is called; the patient as it was said.
    fn short(&self, what: &str, value: &str) -> [u8; 16] {
        let digits = self.patient.as_bytes();
        if what == "patient" {
            let digit =
                |at: usize| digits.get(at).and_then(|digit| char::from(*digit).to_digit(16));
            let byte = |at: usize| 16 * digit(2 * at).unwrap_or(0) + digit(2 * at + 1).unwrap_or(0);
            return std::array::from_fn(|at| byte(at) as u8);
        }
        // HMAC takes a key of any length.
        let digest = self.digest(what, value).unwrap_or_default();
        std::array::from_fn(|at| digest[at])
    }
}

/// The zip of all images in the file that name nobody any more, each as `series/instance.dcm`, and the report. Refused where there is none.
pub fn export(file: &[u8], limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let unnamed = || RefusalReason::Corrupt.refuse("Nobody says what its images are to be called.");
    let (names, upload) = Names::before(file).ok_or_else(unnamed)?;
    let mut made = Made::default();
    for_each(upload, limits, |number, bytes| made.take(number, bytes, limits, &names))?;
    let Made { mut files, report, why, .. } = made;
    if files.is_empty() {
        // In the words of the last file: mostly all of them have the same fault.
        let why = why.unwrap_or("there is nothing in it");
        let detail = format!("None of its files can leave without whose it is: {why}.");
        return Err(RefusalReason::Unsupported.refuse(detail));
    }
    files.push((DeidentificationReport::NAME.to_owned(), report.to_json()));
    zip(&files).map_err(|_| RefusalReason::Corrupt.refuse("Its files cannot be packed together."))
}

#[derive(Default)]
struct Made {
    files: Vec<(String, Vec<u8>)>,
    places: BTreeSet<String>,
    report: DeidentificationReport,
    /// Why the last file that stays does.
    why: Option<&'static str>,
}

impl Made {
    fn take(&mut self, number: usize, bytes: &[u8], limits: &Limits, names: &Names) {
        let digest = |what: &str, value: &str| names.short(what, value);
        let is_of = |patient: &str| names.is_of(patient);
        let naming = Naming { digest: &digest, is_of: Some(&is_of) };
        match imaging::deidentify(bytes, limits, &naming) {
            Ok(done) => {
                let place = done.place();
                if self.places.insert(place.clone()) {
                    self.report.take(&done);
                    self.files.push((place, done.file));
                } else {
                    self.refuse(number, RefusalReason::MixedSeries);
                }
            }
            Err(refusal) => self.refuse(number, refusal.problem),
        }
    }

    /// The words are those of the kind of problem: what is said of a file itself may quote it.
    fn refuse(&mut self, number: usize, problem: RefusalReason) {
        self.report.refuse(number, problem.name(), problem.title().to_owned());
        self.why = Some(problem.title());
    }
}

/// Each file of an upload, with its number from 1: the entries of an archive, or the upload itself.
fn for_each(
    upload: &[u8],
    limits: &Limits,
    mut visit: impl FnMut(usize, &[u8]),
) -> Result<(), Refusal> {
    if !upload.starts_with(b"PK") {
        visit(1, upload);
        return Ok(());
    }
    let mut archive = Archive::open(Cursor::new(upload), *limits)?;
    for place in 0..archive.len() {
        visit(place + 1, &archive.read(place)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use imaging::encode::{Series, dicom};
    use imaging::phantom::{Phantom, Settings};

    use super::*;

    fn names(whose: &str) -> Names {
        let [patient, key] = ["0af9".repeat(8), "a key of one patient".into()];
        let names = Names { patient, whose: String::new(), key };
        let whose = names.digest("whose", whose).map(|digest| hex(&digest)).unwrap();
        Names { whose, ..names }
    }

    fn upload(seeds: &[u64]) -> Vec<u8> {
        let volume = Phantom::new(&Settings::slice(1)).unwrap().volume;
        let image = |seed: &u64| dicom(&volume, &Series::of_seed(*seed), 0).unwrap();
        let named = |seed: &u64| (format!("Doe^Jane/{seed}.dcm"), image(seed));
        let mut files: Vec<_> = seeds.iter().map(named).collect();
        files.push(("notes.txt".into(), b"Doe^Jane was here".to_vec()));
        zip(&files).unwrap()
    }

    fn exported(names: &Names, upload: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
        let file = [names.to_line().unwrap(), upload.to_vec()].concat();
        let made = export(&file, &Limits::default())?;
        let mut archive = Archive::open(Cursor::new(made), Limits::default()).unwrap();
        let found: Vec<String> = archive.names().map(str::to_owned).collect();
        let read = |(place, name): (usize, String)| (name, archive.read(place).unwrap());
        Ok(found.into_iter().enumerate().map(read).collect())
    }

    #[test]
    fn what_leaves_names_nobody_and_has_the_name_that_was_said() {
        let files = exported(&names("PHANTOM-7"), &upload(&[7])).unwrap();
        let (report, images): (Vec<_>, Vec<_>) =
            files.iter().partition(|(name, _)| name == DeidentificationReport::NAME);
        assert_eq!((report.len(), images.len()), (1, 1));
        for (name, bytes) in &files {
            for canary in ["PHANTOM", "Phantom^", "Jane", "notes.txt"] {
                let is_there =
                    bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
                assert!(!is_there && !name.contains(canary), "{canary} in {name}");
            }
        }
        let patient = "0af9".repeat(8).into_bytes();
        let (_, image) = images[0];
        assert!(image.windows(patient.len()).any(|window| window == patient));
        let said: serde_json::Value = serde_json::from_slice(&report[0].1).unwrap();
        assert_eq!((&said["files"], &said["refused"][0]["number"]), (&1.into(), &2.into()));
    }

    #[test]
    fn a_file_of_another_patient_stays_and_so_does_each_where_nobody_is_known() {
        let files = exported(&names("PHANTOM-7"), &upload(&[7, 8])).unwrap();
        assert_eq!(files.len(), 2, "one image and the report");
        let said: serde_json::Value = serde_json::from_slice(&files[1].1).unwrap();
        assert_eq!(said["refused"][0]["problem"], "wrong-identity");
        let nobody = Names { whose: String::new(), ..names("PHANTOM-7") };
        let refusal = exported(&nobody, &upload(&[7])).unwrap_err();
        assert!(refusal.detail.contains("None of its files can leave"), "{}", refusal.detail);
        assert!(export(b"no line", &Limits::default()).is_err());
    }
}
