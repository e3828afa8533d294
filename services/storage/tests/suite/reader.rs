//! Readers, and a scan that they may judge.

use domain::TenantId;
use futures::stream;
use proto::events::{ModelIdentity, Observation};
use proto::storage::complete_part::Part as ResultPart;
use proto::storage::feedback_answer::Answer as Given;
use proto::storage::feedback_part::Part;
use proto::storage::*;
use service::claims::{Role, authorised, vouched};
use tonic::{Code, Request, Status};

use crate::world::{World, but, found, sha256};

pub const DOCUMENT: &str = r#"{
    "answer": "found", "findings": [{"label": 1}, {"label": 2}], "totals": {"mask_fraction": 0.25, "volume_ml": 3.5},
    "image": {"kind": {"kind": "flair"}}, "model": {"name": "m", "version": "1", "sha256": "ab"}
}"#;

pub fn model() -> ModelIdentity {
    ModelIdentity { name: "m".into(), version: "1".into(), sha256: "ab".into() }
}

/// A scan with two findings.
pub async fn judged(world: &World) -> Scan {
    answered(world, Answer::Found).await
}

/// A scan with that answer.
pub async fn answered(world: &World, answer: Answer) -> Scan {
    let (scan, job_id) = world.ready().await;
    let job = world.claim(&job_id).await.unwrap();
    let mut parts = but(found(&job), |header| {
        header.answer = answer.into();
        header.observation = Some(Observation { model: Some(model()), ..Default::default() });
    });
    parts.truncate(1);
    for (name, data) in [("result.json", DOCUMENT), ("mask.png", "a mask")] {
        let artefact = ArtefactPart { name: name.into(), data: data.into() };
        parts.push(CompletePart { part: Some(ResultPart::Artefact(artefact)) });
    }
    world.complete(parts).await.unwrap();
    scan
}

pub fn word(verdict: Verdict) -> Word {
    Word { verdict: verdict.into(), ..Word::default() }
}

pub fn header(scan: &Scan, verdict: Verdict) -> FeedbackHeader {
    FeedbackHeader {
        scan_id: scan.id.clone(),
        word: Some(word(verdict)),
        ..FeedbackHeader::default()
    }
}

/// The same with a mask of these bytes.
pub fn with_mask(header: FeedbackHeader, mask: &[u8]) -> FeedbackHeader {
    let (name, sha256) = ("mask.png".to_owned(), sha256(mask));
    let (dice, empty) = (Some(0.75), mask.is_empty());
    let mask = CheckedMask { name, sha256, dice, empty, slices: None };
    FeedbackHeader { mask: Some(mask), ..header }
}

pub struct Reader<'a> {
    pub world: &'a World,
    pub tenant: TenantId,
    pub token: String,
}

impl<'a> Reader<'a> {
    pub fn new(world: &'a World, name: &str) -> Reader<'a> {
        Reader::of(world, world.hospital, name, Role::Clinician)
    }

    pub fn of(world: &'a World, tenant: TenantId, name: &str, role: Role) -> Reader<'a> {
        Reader { world, tenant, token: world.issuer.token_of(name, tenant, &[role]) }
    }

    /// Somebody of the hospital with these roles.
    pub fn with(world: &'a World, name: &str, roles: &[Role]) -> Reader<'a> {
        let tenant = world.hospital;
        Reader { world, tenant, token: world.issuer.token_of(name, tenant, roles) }
    }

    pub fn ask<T>(&self, message: T) -> Request<T> {
        authorised(message, &self.token)
    }

    /// Gives these parts, as ingest passes them on.
    pub async fn send(&self, parts: Vec<Part>) -> Result<Given, Status> {
        let parts = stream::iter(parts.into_iter().map(|part| FeedbackPart { part: Some(part) }));
        let request = vouched(self.ask(parts), &self.world.issuer.service_token());
        let answer = self.world.feedback.clone().give(request).await?.into_inner();
        Ok(answer.answer.unwrap())
    }

    pub async fn give(&self, header: FeedbackHeader) -> FeedbackEntry {
        match self.send(vec![Part::Header(header)]).await.unwrap() {
            Given::Feedback(entry) => entry,
            Given::Misfit(why) => panic!("{why}"),
        }
    }

    pub async fn refused(&self, header: FeedbackHeader) -> Code {
        self.send(vec![Part::Header(header)]).await.unwrap_err().code()
    }

    pub async fn seen(&self, scan: &Scan) -> Result<FeedbackOfScan, Status> {
        let request = self.ask(ScanRef { id: scan.id.clone() });
        Ok(self.world.feedback.clone().list_of_scan(request).await?.into_inner())
    }

    /// The ids of the scans in that state, with the state that is told of each.
    pub async fn scans(&self, state: ReviewState) -> Vec<(String, ReviewState)> {
        let list = ListReviews { state: state.into(), ..ListReviews::default() };
        let page = self.world.feedback.clone().list_scans(self.ask(list)).await.unwrap();
        let told = |review: Review| {
            let state = review.state();
            (review.scan.unwrap().id, state)
        };
        page.into_inner().reviews.into_iter().map(told).collect()
    }

    pub async fn mask(&self, entry: &FeedbackEntry) -> Result<(String, Vec<u8>), Status> {
        let of = FeedbackRef { scan_id: entry.scan_id.clone(), id: entry.id.clone() };
        let mut chunks = self.world.feedback.clone().read_mask(self.ask(of)).await?.into_inner();
        let (mut name, mut bytes) = (String::new(), Vec::new());
        while let Some(chunk) = chunks.message().await? {
            name.push_str(&chunk.name);
            bytes.extend_from_slice(&chunk.data);
        }
        Ok((name, bytes))
    }
}
