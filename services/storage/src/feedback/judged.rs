//! The result that a word is about, as its document tells it.

use std::collections::BTreeSet;

use domain::artefact::RESULT;
use domain::{Answer, ErrorKind, Result, ScanId, TenantId};
use futures::TryStreamExt;
use proto::events::ModelIdentity;
use proto::storage::Scan;
use serde::Deserialize;

use crate::artefacts;
use crate::scans::answer_of;
use crate::store::Store;

/// A document beyond this is none of ours: a finding takes some hundred bytes.
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

/// What a word has to go with, and what its event tells of the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub answer: Answer,
    /// Slices, rows and columns of the pictures.
    pub shape: [u32; 3],
    /// The labels of its findings.
    pub labels: BTreeSet<u32>,
    /// None where no model was run.
    pub model: Option<ModelIdentity>,
    pub image_kind: Option<String>,
    pub mask_fraction: Option<f64>,
    /// Of its main findings together.
    pub volume_ml: Option<f64>,
    /// How many slices a main finding is in.
    pub marked_slices: u32,
}

/// Of a result's document: what is read here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    findings: Vec<Finding>,
    model: Option<Model>,
    image: Option<Image>,
    totals: Option<Totals>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Finding {
    label: u32,
    /// `main`, or `lesser`, which counts in no total; empty: main.
    role: String,
    #[serde(rename = "box")]
    bounds: Bounds,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bounds {
    from: [u32; 3],
    to: [u32; 3],
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Model {
    name: String,
    version: String,
    sha256: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Image {
    kind: Kind,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Kind {
    kind: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Totals {
    mask_fraction: Option<f64>,
    volume_ml: Option<f64>,
}

impl Store {
    /// The result of the scan. `Conflict` while there is none, and for good where the analysis has failed: that says nothing of
    /// the patient, so there is nothing to agree with.
    pub async fn judged(&self, tenant: TenantId, scan: &Scan) -> Result<Judged> {
        let no_result = || ErrorKind::Conflict.error("the scan has no result to speak of");
        let answer = answer_of(scan.answer()).map_err(|_| no_result())?;
        if answer == Answer::Failed {
            return Err(no_result());
        }
        let id: ScanId = scan.id.parse()?;
        let read = artefacts::read(self, tenant, id, RESULT.name).await;
        let (size, bytes) = match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(no_result()),
            read => read?,
        };
        if size > DOCUMENT_BYTES_MAX {
            return Err(ErrorKind::Internal.error("a stored result is too large to be one"));
        }
        let json: Vec<u8> = bytes
            .try_fold(Vec::<u8>::new(), async |mut json, piece| {
                json.extend_from_slice(&piece);
                Ok(json)
            })
            .await?;
        Judged::read(answer, &scan.shape, &json)
    }
}

impl Judged {
    fn read(answer: Answer, shape: &[u32], json: &[u8]) -> Result<Judged> {
        let unreadable = || ErrorKind::Internal.error("a stored result cannot be read");
        let Document { findings, model, image, totals } =
            serde_json::from_slice(json).map_err(|error| unreadable().because(error))?;
        let identity = |Model { name, version, sha256 }| ModelIdentity { name, version, sha256 };
        Ok(Judged {
            answer,
            shape: shape.try_into().map_err(|_| unreadable())?,
            marked_slices: marked(&findings),
            labels: findings.into_iter().map(|finding| finding.label).collect(),
            model: model.map(identity),
            image_kind: image.and_then(|image| image.kind.kind),
            mask_fraction: totals.as_ref().and_then(|totals| totals.mask_fraction),
            volume_ml: totals.and_then(|totals| totals.volume_ml),
        })
    }
}

/// How many slices a main finding is in. A finding is connected, so it is in each slice of its box;
/// one that was put together of parts close by may leave one out.
fn marked(findings: &[Finding]) -> u32 {
    let main = findings.iter().filter(|finding| finding.role != "lesser");
    let mut ranges: Vec<[u32; 2]> =
        main.map(|finding| [finding.bounds.from[0], finding.bounds.to[0]]).collect();
    ranges.sort_unstable();
    let mut counted_to = 0;
    let mut slices = 0;
    for [from, to] in ranges {
        slices += to.saturating_sub(from.max(counted_to));
        counted_to = counted_to.max(to);
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_result_says_is_read_and_the_rest_of_it_passed_over() {
        let json = br#"{
            "schema": "medseg.result/2", "answer": "found", "reason": null,
            "findings": [
                {"label": 1, "role": "main", "box": {"from": [0, 3, 4], "to": [2, 9, 9]}},
                {"label": 3, "role": "main", "box": {"from": [1, 20, 20], "to": [2, 22, 22]}},
                {"label": 2, "role": "lesser", "box": {"from": [2, 3, 4], "to": [3, 9, 9]}}
            ],
            "totals": {"mask_fraction": 0.25, "volume_ml": 12.5, "voxels": 7},
            "image": {"kind": {"kind": "flair", "told_by": "dicom"}, "shown_slice": 3},
            "model": {"name": "m", "version": "1", "sha256": "ab", "device": "cpu"}
        }"#;
        let judged = Judged::read(Answer::Found, &[3, 64, 64], json).unwrap();
        let model = ModelIdentity { name: "m".into(), version: "1".into(), sha256: "ab".into() };
        let expected = Judged {
            answer: Answer::Found,
            shape: [3, 64, 64],
            labels: [1, 2, 3].into(),
            model: Some(model),
            image_kind: Some("flair".into()),
            mask_fraction: Some(0.25),
            volume_ml: Some(12.5),
            marked_slices: 2,
        };
        assert_eq!(judged, expected);
    }

    #[test]
    fn a_result_of_no_model_says_so_and_one_that_is_no_json_is_an_error() {
        let bare = br#"{"answer":"not_analysable","totals":null,"findings":[]}"#;
        let judged = Judged::read(Answer::NotAnalysable, &[1, 2, 3], bare).unwrap();
        assert_eq!((judged.model, judged.mask_fraction, judged.labels.len()), (None, None, 0));
        for (shape, json) in [(&[1, 2, 3][..], &b"no JSON"[..]), (&[1, 2][..], &b"{}"[..])] {
            let error = Judged::read(Answer::Found, shape, json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
        }
    }
}
