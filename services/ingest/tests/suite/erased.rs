//! Of a patient who was erased nothing stays in the inbox, and nothing comes back before somebody lets it.

use std::path::Path;

use domain::Result;
use proto::storage::erasures_client::ErasuresClient;
use proto::storage::{Erasure, ErasureLift, ErasureRef, NewErasure, Scan, Whose};
use service::Peer;
use service::claims::authorised;

use crate::door::{Hospitals, NORTH, series, until};
use crate::stow::{CAME_FROM, by_north, failures};
use crate::world::World;

const NOT_AUTHORISED: u32 = 0x0124;

fn erasures(hospitals: &Hospitals) -> ErasuresClient<Peer> {
    ErasuresClient::new(hospitals.storage.peer.clone())
}

async fn erase(hospitals: &Hospitals, scan: &Scan) -> String {
    let whose = Some(Whose { scan_id: scan.id.clone(), ..Whose::default() });
    let new = NewErasure { whose, reason: "they ask for it".into() };
    let erased = erasures(hospitals).erase(authorised(new, &hospitals.admin)).await.unwrap();
    erased.into_inner().id
}

async fn receipt(hospitals: &Hospitals, id: &str) -> Result<Erasure> {
    let asked = authorised(ErasureRef { id: id.to_owned() }, &hospitals.admin);
    Ok(erasures(hospitals).get_erasure(asked).await?.into_inner())
}

/// How many instances lie below the folder.
pub fn lying(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |path: &Path| match path.is_dir() {
        true => lying(path),
        false => usize::from(path.extension().is_some_and(|end| end == "dcm")),
    };
    entries.map(|entry| count(&entry.path())).sum()
}

/// Waits until so many instances were dropped, and nothing of them lies in the inbox.
async fn dropped(hospitals: &Hospitals, id: &str, instances: u64) {
    let inbox = hospitals.folder().join("spool/inbox");
    until(async || {
        let refused = receipt(hospitals, id).await.ok()?.refused;
        let dropped = refused.iter().filter(|one| one.dropped).map(|one| one.instances);
        (dropped.sum::<u64>() == instances && lying(&inbox) == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_erased_goes_from_the_inbox_and_comes_back_by_no_door_until_it_is_lifted() {
    let hospitals = Hospitals::open().await;
    let slices = series(71);
    hospitals.store(NORTH, &slices).await;
    let scan = hospitals.scans_when(1).await.remove(0);
    let id = erase(&hospitals, &scan).await;
    dropped(&hospitals, &id, 8).await;

    // The scanner is told that they have come; then they go.
    assert_eq!(hospitals.store(NORTH, &slices[..3]).await, [0; 3]);
    dropped(&hospitals, &id, 11).await;
    let refused = by_north(&hospitals, "", &slices).await;
    assert_eq!(failures(&refused), [NOT_AUTHORISED; 8]);
    // As much as an answer by DICOMweb has room for.
    let is_whole = |words: &str| words.contains(&id) && words.chars().count() <= 64;
    assert!(refused.iter().all(|one| is_whole(&one.comment)), "{refused:?}");
    let origins = hospitals.storage.origins("erased.refused").await;
    assert!(origins.iter().any(|origin| origin == CAME_FROM), "{origins:?}");
    let origins = hospitals.storage.origins("erased.dropped").await;
    assert!(
        !origins.is_empty() && origins.iter().all(|origin| origin == "NORTH_MR"),
        "{origins:?}"
    );
    assert_eq!(hospitals.scans().await.len(), 0);
    // Another examination is one.
    assert_eq!(failures(&by_north(&hospitals, "", &series(72)).await), [0; 8]);
    hospitals.scans_when(1).await;

    let lift = ErasureLift { id, reason: "it was another's".into() };
    erasures(&hospitals).lift(authorised(lift, &hospitals.admin)).await.unwrap();
    assert_eq!(failures(&by_north(&hospitals, "", &slices).await), [0; 8]);
    hospitals.scans_when(2).await;
}

#[tokio::test]
async fn an_upload_of_what_was_erased_is_refused_in_words() {
    let world = World::new().await;
    let archive =
        imaging::encode::zip(&crate::files::dicom_slices(&[imaging::encode::Series::of_seed(73)]));
    let archive = archive.unwrap();
    let scan = world.upload(&archive).await.unwrap().unwrap();
    let whose = Some(Whose { scan_id: scan.id, ..Whose::default() });
    let new = NewErasure { whose, reason: "they ask for it".into() };
    let mut erasures = ErasuresClient::new(world.storage.peer.clone());
    let id = erasures.erase(authorised(new, &world.admin)).await.unwrap().into_inner().id;
    let refusal = world.upload(&archive).await.unwrap().unwrap_err();
    assert_eq!(refusal.problem, "erased");
    assert!(refusal.detail.contains(&id), "{}", refusal.detail);
    let asked = authorised(ErasureRef { id }, &world.admin);
    let refused = erasures.get_erasure(asked).await.unwrap().into_inner().refused;
    assert!(refused.len() == 1 && !refused[0].dropped, "{refused:?}");
}
