//! A head with a body on its left, in each of the 48 orders that its files can have: by every door it becomes the volume that decoding
//! makes of its file, of which `crates/report/tests/dicom/sides.rs` shows that every format says the same side. Instances say where they
//! lie, so that where slices lead makes no other volume: one way goes by association, the other by request.

use std::collections::BTreeMap;

use futures::future::join_all;
use futures::{StreamExt, stream};
use imaging::encode::{Series, dicom, nifti_gz, zip};
use imaging::phantom::{Solid, SolidSettings};
use imaging::{Limits, Plane, Shape, Volume, decode};
use proto::ingest::upload_answer::Answer;

use crate::door::{Hospitals, NORTH, until};
use crate::stow::{by_north, completed, failures};
use crate::uploads::sha256;
use crate::world::World;

/// Series of the DICOM doors are of these seeds and those that follow.
const BY_ASSOCIATION: u64 = 300;
const BY_REQUEST: u64 = 400;
/// So many orders go in one association, and in one request.
const TOGETHER: usize = 12;

/// Not even in any direction.
fn head() -> Volume {
    let settings = SolidSettings {
        plane: Plane::Axial,
        shape: Shape { slices: 16, rows: 72, columns: 72 },
        spacing: [5.0, 3.0, 3.0],
        oblique_degrees: [0.0; 3],
        tilt_degrees: 0.0,
        radii_mm: [36.0, 27.0, 30.0],
        turned_degrees: [20.0, -15.0, 35.0],
        near: [8.0, 30.0, 44.0],
    };
    Solid::new(&settings).unwrap().volume()
}

/// Where columns, rows and slices may lead: each along one of the patient's axes, either way.
fn orders() -> Vec<String> {
    const AXES: [[char; 2]; 3] = [['L', 'R'], ['P', 'A'], ['S', 'I']];
    let exchanged = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let along = |axes: [usize; 3], ways: usize| {
        (0..3).map(|place| AXES[axes[place]][ways >> place & 1]).collect::<String>()
    };
    exchanged.iter().flat_map(|axes| (0..8).map(move |ways| along(*axes, ways))).collect()
}

fn named(stored: &Volume, seed: u64) -> Vec<(String, Vec<u8>)> {
    let series = Series::of_seed(seed);
    let slice = |slice| (format!("{slice:03}.dcm"), dicom(stored, &series, slice).unwrap());
    (0..stored.shape.slices).map(slice).collect()
}

fn instances(stored: &Volume, seed: u64) -> Vec<Vec<u8>> {
    named(stored, seed).into_iter().map(|(_, file)| file).collect()
}

/// Of the volume that decoding makes of the file.
fn digest(file: &[u8]) -> String {
    sha256(&decode(file, &Limits::default()).unwrap().volume.to_bytes())
}

/// The study that a DICOM file is of.
fn study_of(file: &[u8]) -> String {
    let tag = b"\x20\0\x0d\0UI";
    let at = file.windows(tag.len()).position(|window| window == tag).unwrap() + tag.len();
    let length = usize::from(u16::from_le_bytes([file[at], file[at + 1]]));
    let uid = String::from_utf8(file[at + 2..at + 2 + length].to_vec()).unwrap();
    uid.trim_end_matches('\0').to_owned()
}

#[tokio::test]
async fn each_of_the_48_orders_is_the_same_volume_by_each_door_for_instances() {
    let hospitals = Hospitals::with(|dicom, _| dicom.dicom_quiet_s = 3600).await;
    let hospitals = &hospitals;
    let head = head();
    let stored: Vec<Volume> = orders().iter().map(|order| head.stored_as(order).unwrap()).collect();
    // The last axis, that of the slices, changes its way after every four.
    let of = |first: u64, way: usize| -> Vec<Vec<Vec<u8>>> {
        let those = stored.chunks(4).skip(way).step_by(2).flatten();
        (first..).zip(those).map(|(seed, volume)| instances(volume, seed)).collect()
    };
    let (associated, requested) = (of(BY_ASSOCIATION, 0), of(BY_REQUEST, 1));
    let sending = associated.chunks(TOGETHER).map(|some| async move {
        let files = some.concat();
        (hospitals.store(NORTH, &files).await, vec![0; files.len()])
    });
    for (answered, expected) in join_all(sending).await {
        assert_eq!(answered, expected);
    }
    for some in requested.chunks(TOGETHER) {
        let files = some.concat();
        assert_eq!(failures(&by_north(hospitals, "", &files).await), vec![0; files.len()]);
    }
    // All at once: who gathers looks twice a second.
    let completing = associated.iter().chain(&requested).map(|series| async move {
        let (study, count) = (study_of(&series[0]), Some(series.len() as u64));
        until(async || completed(hospitals, &study, count, &hospitals.tokens[0]).await.ok()).await
    });
    join_all(completing).await;
    let scans = hospitals.scans_when(stored.len()).await;
    let mut came = BTreeMap::<String, usize>::new();
    scans.into_iter().for_each(|scan| *came.entry(scan.volume_sha256).or_default() += 1);
    let expected = stored.iter().map(|volume| digest(&zip(&named(volume, 1)).unwrap()));
    let expected: BTreeMap<String, usize> = expected.map(|digest| (digest, 2)).collect();
    assert_eq!(expected.len(), 24, "each order of slices is told in its volume");
    assert_eq!(came, expected);
}

#[tokio::test]
async fn each_of_the_48_orders_is_the_same_volume_by_each_door_for_files() {
    let (world, head) = (World::new().await, head());
    let (world, head) = (&world, &head);
    let sending = stream::iter(orders()).map(|order| async move {
        let stored = head.stored_as(&order).unwrap();
        let nifti = nifti_gz(&stored.voxels, stored.shape, stored.geometry.as_ref()).unwrap();
        let files = named(&stored, 1);
        let zipped = zip(&files).unwrap();
        for (door, file) in [("a file", &nifti), ("a zip", &zipped)] {
            let scan = world.upload(file).await.unwrap().unwrap();
            assert_eq!(scan.volume_sha256, digest(file), "{order}, {door}");
        }
        let Answer::Scan(scan) = world.upload_files(&files).await else {
            panic!("{order}: the files of one series are no scan")
        };
        assert_eq!(scan.volume_sha256, digest(&zipped), "{order}, a form");
    });
    sending.buffer_unordered(4).collect::<Vec<()>>().await;
}
