//! The images and masks of an export, as they were fetched: kept beside the data set, so that the next export fetches what is new.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use domain::feedback::Truth;
use domain::hex;
use durable::Draft;
use model::dataset::ConfirmedScan;
use reqwest::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Scan, is_name};
use crate::api::{Session, detail, understood};

pub struct Downloads {
    folder: PathBuf,
}

/// What was fetched of one scan, written once both of its files are whole.
#[derive(Deserialize, PartialEq, Serialize)]
struct Note {
    /// As the server listed them.
    volume_sha256: String,
    mask_sha256: String,
    truth: Truth,
    /// Of the files.
    image_file_sha256: String,
    mask_file_sha256: String,
}

impl Downloads {
    pub fn in_folder(folder: &Path) -> anyhow::Result<Downloads> {
        let unusable = || format!("cannot make {}", folder.display());
        fs::create_dir_all(folder).with_context(unusable)?;
        Ok(Downloads { folder: folder.to_owned() })
    }

    /// As whoever makes a data set of it needs it.
    pub fn confirmed(&self, scan: &Scan) -> ConfirmedScan {
        let [image, mask, _] = self.files(&scan.id);
        ConfirmedScan {
            id: scan.id.clone(),
            patient: scan.patient.clone(),
            kind: scan.kind,
            has_tumour: scan.truth == Truth::Tumour,
            image,
            mask,
        }
    }

    /// Takes all other scans away, and nothing that is none.
    pub fn keep_only(&self, wanted: &BTreeSet<&str>) -> anyhow::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // What an export that was broken off has left of a file is hidden, and nobody goes on with it.
            let draft = name.strip_prefix('.');
            let id = draft.unwrap_or(&name).split('.').next().unwrap_or_default();
            if is_name(id) && (draft.is_some() || !wanted.contains(id)) {
                let stays = || format!("cannot take away {}", path.display());
                fs::remove_file(&path).with_context(stays)?;
            }
        }
        Ok(())
    }

    /// Whether the scan is there as it is listed, and whole.
    pub fn has(&self, scan: &Scan) -> anyhow::Result<bool> {
        let [image, mask, note] = self.files(&scan.id);
        let Ok(text) = fs::read(note) else { return Ok(false) };
        let Ok(note) = serde_json::from_slice::<Note>(&text) else { return Ok(false) };
        let is_listed = (&note.volume_sha256, &note.mask_sha256, note.truth)
            == (&scan.volume_sha256, &scan.mask_sha256, scan.truth);
        let is_whole = |path: &Path, sha256: &str| {
            fs::read(path).is_ok_and(|bytes| hex(&Sha256::digest(bytes)) == sha256)
        };
        Ok(is_listed
            && is_whole(&image, &note.image_file_sha256)
            && is_whole(&mask, &note.mask_file_sha256))
    }

    /// Brings the scan; false where the server has it no more.
    pub async fn fetch(&self, session: &Session, scan: &Scan) -> anyhow::Result<bool> {
        let [image, mask, note] = self.files(&scan.id);
        self.forget(scan)?;
        let mut digests = Vec::new();
        for (what, path) in [("dataset-image", &image), ("dataset-mask", &mask)] {
            match file(session, &scan.scan_id, what, path).await? {
                Some(digest) => digests.push(digest),
                None => return Ok(false),
            }
        }
        let [image_file_sha256, mask_file_sha256] = [digests[0].clone(), digests[1].clone()];
        let text = serde_json::to_vec(&Note {
            volume_sha256: scan.volume_sha256.clone(),
            mask_sha256: scan.mask_sha256.clone(),
            truth: scan.truth,
            image_file_sha256,
            mask_file_sha256,
        })?;
        durable::replace(&note, &text)?;
        Ok(true)
    }

    /// Brings the scan's DICOM images without whose they are, unless they are there; why there are none, where there are none.
    pub async fn fetch_dicom(
        &self,
        session: &Session,
        scan: &Scan,
    ) -> anyhow::Result<Option<String>> {
        let path = self.dicom(&scan.id);
        if path.is_file() {
            return Ok(None);
        }
        let request = session.request(Method::GET, &["scans", &scan.scan_id, "dataset-dicom"])?;
        let answer = session.answer(request).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => {
                Ok(Some("it is confirmed no more, or its original is kept no more".to_owned()))
            }
            StatusCode::UNPROCESSABLE_ENTITY => {
                let problem: Value = answer.json().await.unwrap_or_default();
                Ok(Some(detail(&problem).to_owned()))
            }
            _ => written(understood(answer).await?, &path).await.map(|_| None),
        }
    }

    /// Where the scan's DICOM images lie, if it has any.
    pub fn dicom(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.dicom.zip"))
    }

    /// Takes the scan's note away: as long as there is none, nothing of it counts.
    pub fn forget(&self, scan: &Scan) -> anyhow::Result<()> {
        let [.., note] = self.files(&scan.id);
        match fs::remove_file(note) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Image, mask and note.
    fn files(&self, id: &str) -> [PathBuf; 3] {
        ["nii", "mask.nii.gz", "json"].map(|ending| self.folder.join(format!("{id}.{ending}")))
    }
}

/// Brings one file, and tells its digest; None where the server has none.
async fn file(
    session: &Session,
    scan: &str,
    what: &str,
    path: &Path,
) -> anyhow::Result<Option<String>> {
    let request = session.request(Method::GET, &["scans", scan, what])?;
    let answer = session.answer(request).await?;
    if answer.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    written(understood(answer).await?, path).await.map(Some)
}

/// Keeps what comes, and tells its digest.
async fn written(mut answer: Response, path: &Path) -> anyhow::Result<String> {
    let unwritten = || format!("cannot write {}", path.display());
    let (mut draft, mut digest) = (Draft::beside(path).with_context(unwritten)?, Sha256::new());
    while let Some(piece) = answer.chunk().await.context("a file broke off")? {
        digest.update(&piece);
        draft.write_all(&piece).with_context(unwritten)?;
    }
    draft.finish().and_then(|flushed| flushed.replace(path)).with_context(unwritten)?;
    Ok(hex(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    use imaging::ImageKind;

    use super::*;

    fn scan(id: &str) -> Scan {
        Scan {
            scan_id: "a scan".into(),
            id: id.into(),
            patient: "b".repeat(32),
            patient_known: true,
            kind: ImageKind::Flair,
            truth: Truth::Tumour,
            mask_sha256: "m".into(),
            volume_sha256: "v".into(),
            findings: Vec::new(),
        }
    }

    /// As [`Downloads::fetch`] leaves it.
    fn put(downloads: &Downloads, scan: &Scan) {
        let [image, mask, note] = downloads.files(&scan.id);
        for file in [&image, &mask] {
            fs::write(file, "bytes").unwrap();
        }
        let digest = hex(&Sha256::digest("bytes"));
        let text = serde_json::to_vec(&Note {
            volume_sha256: scan.volume_sha256.clone(),
            mask_sha256: scan.mask_sha256.clone(),
            truth: scan.truth,
            image_file_sha256: digest.clone(),
            mask_file_sha256: digest,
        });
        fs::write(note, text.unwrap()).unwrap();
    }

    #[test]
    fn what_is_whole_and_as_it_is_listed_is_not_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        let downloads = Downloads::in_folder(folder.path()).unwrap();
        let one = scan(&"a".repeat(32));
        assert!(!downloads.has(&one).unwrap());
        put(&downloads, &one);
        assert!(downloads.has(&one).unwrap());
        for other in [
            Scan { mask_sha256: "another".into(), ..one.clone() },
            Scan { volume_sha256: "another".into(), ..one.clone() },
            Scan { truth: Truth::NoTumour, ..one.clone() },
        ] {
            assert!(!downloads.has(&other).unwrap());
        }
        fs::write(&downloads.files(&one.id)[1], "byte").unwrap();
        assert!(!downloads.has(&one).unwrap(), "its mask is not whole");
        put(&downloads, &one);
        for _ in 0..2 {
            downloads.forget(&one).unwrap();
            assert!(!downloads.has(&one).unwrap());
        }
    }

    #[test]
    fn what_is_listed_no_more_is_taken_away_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let downloads = Downloads::in_folder(folder.path()).unwrap();
        let [one, other] = ["a", "c"].map(|sign| scan(&sign.repeat(32)));
        put(&downloads, &one);
        put(&downloads, &other);
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        fs::write(folder.path().join(format!(".{}.nii.a1B2c3.part", one.id)), "half").unwrap();
        downloads.keep_only(&[one.id.as_str()].into()).unwrap();
        assert!(downloads.has(&one).unwrap() && !downloads.has(&other).unwrap());
        assert!(folder.path().join("notes.txt").is_file());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }
}
