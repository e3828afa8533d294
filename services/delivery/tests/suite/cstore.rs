use anyhow::ensure;
use proto::delivery::{
    DeliveryState, Destination, DestinationKind, ListDestinationsRequest, NewDestination,
};

use crate::archive::{Archive, Does};
use crate::world::World;

/// Basic Text SR.
const TEXT: &str = "1.2.840.10008.5.1.4.1.1.88.11";
/// Encapsulated PDF.
const DOCUMENT: &[u8] = b"1.2.840.10008.5.1.4.1.1.104.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

pub fn to(url: &str, formats: &[&str]) -> NewDestination {
    NewDestination {
        name: "the archive".into(),
        kind: DestinationKind::Cstore.into(),
        url: url.into(),
        formats: formats.iter().map(|format| (*format).to_owned()).collect(),
        called_ae_title: "MAIN PACS".into(),
        calling_ae_title: "AI".into(),
        ..NewDestination::default()
    }
}

async fn destination(world: &World) -> anyhow::Result<Destination> {
    let request = world.admin(ListDestinationsRequest {});
    let listed = world.client.clone().list_destinations(request).await?.into_inner();
    ensure!(listed.destinations.len() == 1, "{listed:?}");
    Ok(listed.destinations[0].clone())
}

pub async fn objects_are_stored_in_one_association_and_what_is_taken_is_shown(
    world: World,
) -> anyhow::Result<()> {
    let archive = Archive::start(&[Does::Answers(&[0x0000, 0xb000])]).await?;
    world.create(to(&archive.url, &["seg.dcm", "sr.dcm", "text.dcm"])).await?;
    let (scan, _) = world.completed().await?;
    let entry = world.ended(DeliveryState::Delivered).await?;
    ensure!(entry.words.contains("stored with a warning: text.dcm B000"), "{entry:?}");
    // Nothing was found: there is no segmentation, and the report says so.
    ensure!(entry.words.contains("nothing was found"), "{entry:?}");
    let stored = archive.stored();
    ensure!(stored.len() == 2 && stored.iter().all(|one| one.association == 1), "{stored:?}");
    for one in &stored {
        ensure!(one.titles == ["MAIN PACS", "AI"] && one.transfer_syntax == EXPLICIT, "{one:?}");
        let has = |words: &[u8]| one.data_set.windows(words.len()).any(|part| part == words);
        ensure!(has(b"Canary^Yellow") && has(one.uid.as_bytes()) && !has(b"DICM"), "a data set");
    }
    let shown = destination(&world).await?;
    ensure!(shown.takes == "takes sr.dcm, text.dcm", "{shown:?}");
    let who = world.audited("scan.identity.read", &scan.id).await?;
    ensure!(who == "medseg-delivery", "{who}");
    Ok(())
}

pub async fn what_an_archive_does_not_take_is_named_and_is_no_delivery(
    world: World,
) -> anyhow::Result<()> {
    let archive = Archive::start(&[Does::Refuses(TEXT)]).await?;
    world.create(to(&archive.url, &["sr.dcm", "text.dcm"])).await?;
    world.completed().await?;
    let failed = world.ended(DeliveryState::Failed).await?;
    let words = "1 of 2 objects are not stored: text.dcm is of a class that it refuses: abstract syntax not supported";
    ensure!(failed.words == words, "{failed:?}");
    // The other one is there, in the only syntax that is taken.
    let stored = archive.stored();
    ensure!(stored.len() == 1 && stored[0].transfer_syntax == IMPLICIT, "{stored:?}");
    let shown = destination(&world).await?;
    let takes = "takes sr.dcm; does not take text.dcm (abstract syntax not supported)";
    ensure!(shown.takes == takes, "{shown:?}");
    Ok(())
}

pub async fn what_is_half_stored_is_sent_again_with_the_same_uids(
    world: World,
) -> anyhow::Result<()> {
    let does = [Does::Answers(&[0x0000, 0xa700]), Does::Answers(&[0x0111, 0x0000])];
    let archive = Archive::start(&does).await?;
    world.create(to(&archive.url, &["sr.dcm", "text.dcm"])).await?;
    world.completed().await?;
    let half = world.one(|entry| entry.words.contains("A700")).await?;
    ensure!(half.state() == DeliveryState::Waiting, "{half:?}");
    ensure!(half.words == "1 of 2 objects are not stored: text.dcm A700", "{half:?}");
    world.pass(1);
    let entry = world.ended(DeliveryState::Delivered).await?;
    ensure!(entry.words == "sr.dcm had been stored before", "{entry:?}");
    let stored = archive.stored();
    let of = |association: usize| {
        let own = stored.iter().filter(move |one| one.association == association);
        own.map(|one| (&one.uid, &one.data_set)).collect::<Vec<_>>()
    };
    ensure!(of(1).len() == 2 && of(1) == of(2), "the same result is the same objects");
    Ok(())
}

pub async fn the_report_is_stored_as_one_document_of_its_patient_however_often_it_is_sent(
    world: World,
) -> anyhow::Result<()> {
    let archive = Archive::start(&[Does::Answers(&[0xa700])]).await?;
    world.create(to(&archive.url, &["report.dcm"])).await?;
    world.completed().await?;
    let waiting = world.one(|entry| entry.words.contains("A700")).await?;
    ensure!(waiting.words == "1 of 1 objects are not stored: report.dcm A700", "{waiting:?}");
    world.pass(1);
    world.ended(DeliveryState::Delivered).await?;
    let stored = archive.stored();
    ensure!(stored.len() == 2, "{} documents came", stored.len());
    let has = |words: &[u8]| stored[0].data_set.windows(words.len()).any(|part| part == words);
    ensure!(has(DOCUMENT) && has(b"%PDF-1") && has(b"Canary^Yellow"), "no report of its patient");
    let same = stored[0].uid == stored[1].uid && stored[0].data_set == stored[1].data_set;
    ensure!(same, "the same result is the same document");
    ensure!(destination(&world).await?.takes == "takes report.dcm", "what it takes is not shown");
    Ok(())
}

pub async fn an_archive_that_is_away_dies_or_rejects_is_tried_again(
    world: World,
) -> anyhow::Result<()> {
    let archive = Archive::start(&[Does::Rejects, Does::Dies]).await?;
    world.create(to(&archive.url, &["sr.dcm"])).await?;
    world.completed().await?;
    for words in ["called AE title", "broke off"] {
        let waiting =
            world.one(|entry| entry.words.to_lowercase().contains(&words.to_lowercase())).await?;
        ensure!(waiting.state() == DeliveryState::Waiting, "{waiting:?}");
        world.pass(16);
    }
    let entry = world.ended(DeliveryState::Delivered).await?;
    ensure!(entry.attempts == 3, "{entry:?}");
    let stored = archive.stored();
    ensure!(stored.len() == 2 && stored[0].uid == stored[1].uid, "one object, with one UID");
    Ok(())
}
