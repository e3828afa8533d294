use imaging::phantom::{Phantom, Settings};
use imaging::{Limits, Shape, Volume};
use service::claims::Role;

use crate::{Gateway, problem};

/// A head in three slices, as a scanner's file of that order would be decoded; a file that was left out is remarked.
fn head(storage: &str) -> Volume {
    let shape = Shape { slices: 3, rows: 80, columns: 64 };
    let settings = Settings { shape, tumour: false, ..Settings::slice(3) };
    let volume = Phantom::new(&settings).unwrap().volume;
    let stored = volume.stored_as(storage).unwrap();
    Volume { remarks: vec!["1 file was left out: doe_jane.txt".into()], ..stored }.radiological()
}

#[tokio::test]
async fn a_volume_is_nifti_with_its_voxels_and_nothing_of_its_header_but_where_they_lie() {
    let gateway = Gateway::start().await;
    for storage in ["LPS", "LIA"] {
        let volume = head(storage);
        let shape = volume.shape.lengths().map(|length| length as u32);
        let scan = gateway.mesh.stored(&volume.to_bytes(), shape).await;
        let path = format!("/v1/scans/{scan}/volume.nii");
        let answer = gateway.get(&path).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let (length, tag) = (header("content-length"), header("etag"));
        assert_eq!(header("cache-control"), "private, no-cache");
        assert_eq!(
            header("content-disposition"),
            format!("attachment; filename=\"{scan}-volume.nii\"")
        );
        assert_eq!(answer.status(), 200);
        let file = answer.bytes().await.unwrap();
        assert_eq!(length, file.len().to_string());
        assert!(!file.windows(4).any(|word| word == b"jane"));
        let decoded = imaging::decode(&file, &Limits::default()).unwrap().volume;
        assert_eq!(decoded.shape, volume.shape, "{storage}");
        assert!(decoded.voxels == volume.voxels, "{storage}");

        let reads = gateway.mesh.between.reads();
        let again = gateway.get(&path).header("if-none-match", tag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), gateway.mesh.between.reads()), (304, reads));
    }
}

#[tokio::test]
async fn a_volume_is_for_those_who_may_see_scans_of_its_hospital() {
    let mut gateway = Gateway::start().await;
    let volume = head("LPS");
    let path = format!(
        "/v1/scans/{}/volume.nii",
        gateway.mesh.stored(&volume.to_bytes(), [3, 80, 64]).await
    );
    gateway.token = gateway.mesh.token_elsewhere();
    assert_eq!(problem(gateway.get(&path).send().await.unwrap()).await.0, 404);
    gateway.token = gateway.mesh.token(Role::Scientist);
    assert_eq!(problem(gateway.get(&path).send().await.unwrap()).await.0, 403);
}

#[tokio::test]
async fn a_volume_that_cannot_be_read_is_our_fault() {
    let gateway = Gateway::start().await;
    let path = format!("/v1/scans/{}/volume.nii", gateway.mesh.done().await);
    let (status, kind, _) = problem(gateway.get(&path).send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (500, "internal"));
}
