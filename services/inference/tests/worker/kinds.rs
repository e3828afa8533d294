//! What ingest asks before it chooses among a study's series.

use domain::TenantId;
use futures::stream;
use imaging::Volume;
use imaging::phantom::{Phantom, Settings};
use inference::{Config, Peers, Ports, build};
use proto::inference::v1::kinds_client::KindsClient;
use proto::inference::v1::shown_part::Part;
use proto::inference::v1::{ShownHeader, ShownPart, ToldKind};
use service::claims::testing::Issuer;
use service::claims::{Role, authorised, vouched};
use service::{Peer, system_clock, system_random};
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::bench::config;

/// A worker that is asked for kinds.
struct Worker {
    kinds: KindsClient<Peer>,
    issuer: Issuer,
    token: String,
    _folder: TempDir,
}

impl Worker {
    async fn of(model_url: &str) -> Worker {
        let folder = tempfile::tempdir().unwrap();
        let queue_url = format!("sqlite://{}/queue.db", folder.path().display());
        let ports = Ports::open(&queue_url.into(), system_clock(), system_random()).await.unwrap();
        let issuer = Issuer::new();
        let tenant = TenantId::new(&system_clock(), &system_random());
        let token = issuer.token(tenant, &[Role::Integrator]);
        let peers = Peers { storage: issuer.peer(), auth: issuer.peer(), registry: None };
        let config = Config { model_url: Some(model_url.into()), research: true, ..config() };
        let service = build(config, ports, peers).await.unwrap();
        Worker { kinds: KindsClient::new(Peer::within(&service)), issuer, token, _folder: folder }
    }

    /// What a service of medseg is told.
    async fn told(&self, parts: Vec<Part>) -> Result<ToldKind, Status> {
        let parts = parts.into_iter().map(|part| ShownPart { part: Some(part) });
        let request = authorised(stream::iter(parts.collect::<Vec<_>>()), &self.token);
        let request = vouched(request, &self.issuer.service_token());
        Ok(self.kinds.clone().tell_kind(request).await?.into_inner())
    }
}

/// A question about so many slices.
fn question(slices: usize) -> Vec<Part> {
    let volume: Volume = Phantom::new(&Settings::slice(7)).unwrap().volume;
    let shape = volume.shape;
    let header = ShownHeader {
        modality: "MR".into(),
        slices: slices as u32,
        rows: shape.rows as u32,
        columns: shape.columns as u32,
        row_mm: 0.9,
        column_mm: 0.9,
    };
    let slice: Vec<u8> = volume.voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
    // Not in whole voxels.
    let bytes = slice.repeat(slices);
    let voxels = bytes.chunks(99_999).map(|part| Part::Voxels(part.to_vec().into()));
    std::iter::once(Part::Header(header)).chain(voxels).collect()
}

#[tokio::test]
async fn slices_are_told_by_what_they_look_like_to_the_model_that_serves() {
    let told = Worker::of("stub:?tells=other").await.told(question(7)).await.unwrap();
    let kinds: Vec<(&str, i64)> = told
        .kinds
        .iter()
        .map(|one| (one.kind.as_str(), (100.0 * one.probability).round() as i64))
        .collect();
    assert_eq!(kinds, [("flair", 2), ("t1_contrast", 2), ("other", 96)]);
    assert_eq!(told.model_name, "stub");
    // One that tells no kinds says so, and makes none up.
    let told = Worker::of("threshold:").await.told(question(1)).await.unwrap();
    assert_eq!((told.kinds, told.model_name.as_str()), (Vec::new(), "threshold"));
}

#[tokio::test]
async fn what_is_no_question_of_a_service_is_refused_by_name() {
    let worker = Worker::of("stub:?tells=other").await;
    let mut cut = question(3);
    cut.pop();
    let mut longer = question(3);
    longer.extend(question(1).pop());
    let headless = question(1).split_off(1);
    for parts in [question(8), cut, longer, headless, Vec::new()] {
        assert_eq!(worker.told(parts).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let part = ShownPart { part: question(1).into_iter().next() };
    let alone = authorised(stream::iter([part]), &worker.token);
    let refused = worker.kinds.clone().tell_kind(alone).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}
