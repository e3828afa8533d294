use anyhow::ensure;
use proto::delivery::{DeliveryState, DestinationKind, NewDestination};
use serde_json::json;

use crate::receiver::{Does, Receiver};
use crate::world::World;

fn archive(receiver: &Receiver, formats: &[&str]) -> NewDestination {
    NewDestination {
        name: "the archive".into(),
        kind: DestinationKind::Stow.into(),
        url: receiver.url.clone(),
        formats: formats.iter().map(|format| (*format).to_owned()).collect(),
        secret: "Bearer of the archive".into(),
        ..NewDestination::default()
    }
}

fn failing(reason: u16) -> String {
    let failed = json!({ "00081197": { "vr": "US", "Value": [reason] } });
    json!({ "00081198": { "vr": "SQ", "Value": [failed] } }).to_string()
}

pub async fn objects_are_stored_and_what_cannot_be_made_is_said(
    world: World,
) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[]).await?;
    world.create(archive(&receiver, &["seg.dcm", "sr.dcm", "report.dcm"])).await?;
    let (scan, _) = world.completed().await?;
    let received = receiver.until(1).await?;
    let message = &received[0];
    ensure!(message.header("authorization") == "Bearer of the archive");
    let media_type = message.header("content-type");
    ensure!(media_type.starts_with("multipart/related; type=\"application/dicom\"; boundary="));
    let has = |words: &[u8]| message.body.windows(words.len()).any(|part| part == words);
    ensure!(has(b"DICM") && has(b"Canary^Yellow") && has(b"1.2.3.4"), "an object of its patient");
    ensure!(has(b"%PDF-1"), "the report is not among them");
    // Nothing was found: there is no segmentation, and the report says so.
    let entry = world.ended(DeliveryState::Delivered).await?;
    ensure!(entry.words.contains("nothing was found"), "{entry:?}");
    let who = world.audited("scan.identity.read", &scan.id).await?;
    ensure!(who == "medseg-delivery", "{who}");
    Ok(())
}

pub async fn what_an_archive_has_already_is_delivered_and_what_it_refuses_is_not(
    world: World,
) -> anyhow::Result<()> {
    let answers = [Does::Answer(409, failing(0x0110)), Does::Answer(409, failing(0x0111))];
    let receiver = Receiver::start(&answers).await?;
    world.create(archive(&receiver, &["sr.dcm"])).await?;
    world.completed().await?;
    let refused = world.one(|entry| !entry.words.is_empty()).await?;
    ensure!(refused.state() == DeliveryState::Waiting, "{refused:?}");
    ensure!(refused.words.contains("1 of 1 objects are not stored"), "{refused:?}");
    world.pass(1);
    let entry = world.ended(DeliveryState::Delivered).await?;
    ensure!(entry.words == "1 of them had been stored before", "{entry:?}");
    // The same result is the same object.
    let bodies: Vec<_> = receiver.received().into_iter().map(|message| message.body).collect();
    let object = |body: &[u8]| {
        let from = body.windows(4).position(|word| word == b"DICM").unwrap_or(body.len());
        let end = body.windows(4).rposition(|word| word == b"\r\n--").unwrap_or(body.len());
        body[from..end].to_vec()
    };
    ensure!(object(&bodies[0]) == object(&bodies[1]), "two objects of one result");
    Ok(())
}
