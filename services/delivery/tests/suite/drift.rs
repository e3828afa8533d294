//! Events of drift, which are of no scan: they go to webhooks that take CloudEvents, and nowhere else.

use anyhow::{Context, ensure};
use domain::{TenantId, WindowId};
use platform::queue::Event;
use proto::delivery::{DeliveryEntry, DeliveryRef, DeliveryState, DestinationKind, NewDestination};
use service::claims::Role;
use service::topics::{DRIFT_CLEARED, DRIFT_DETECTED};
use service::{system_clock, system_random};

use crate::receiver::Receiver;
use crate::webhooks::verified;
use crate::world::{World, webhook};

/// Tells it as drift does; the window's id, and the event.
async fn tell(
    world: &World,
    tenant: TenantId,
    event: Event<'static>,
) -> anyhow::Result<(String, String)> {
    let window = WindowId::new(&system_clock(), &system_random()).to_string();
    let body = serde_json::json!({
        "specversion": "1.0", "id": window, "source": "/medseg/drift", "type": event.0, "subject": window,
        "time": "2026-01-02T03:04:05Z", "datacontenttype": "application/json",
        "data": { "tenant_id": tenant, "window_id": window, "from_ms": 1, "to_ms": 2, "scans": 30 },
    });
    let body = body.to_string();
    world.queue.emit(event, body.as_bytes()).await?;
    Ok((window, body))
}

/// Of each other kind, and a webhook that takes results only.
fn others(url: &str) -> Vec<NewDestination> {
    let of = |kind: DestinationKind, url: &str, format: &str| NewDestination {
        kind: kind.into(),
        ..webhook(url, format)
    };
    let archive = of(DestinationKind::Cstore, "dicom://127.0.0.1:104", "sr.dcm");
    vec![
        webhook(url, "result.json"),
        of(DestinationKind::Stow, url, "sr.dcm"),
        of(DestinationKind::Fhir, url, "report.fhir.json"),
        of(DestinationKind::Mllp, "mllp://127.0.0.1:2575", "report.hl7"),
        NewDestination { called_ae_title: "PACS".into(), ..archive },
    ]
}

async fn of_type(world: &World, event: Event<'static>) -> anyhow::Result<DeliveryEntry> {
    let listed = world.list(world.hospital).await?;
    ensure!(listed.len() == 2, "one delivery of each event: {listed:?}");
    listed.into_iter().find(|entry| entry.answer == event.0).context("a delivery of it")
}

pub async fn what_drift_tells_goes_to_the_webhooks_of_its_hospital_once_as_it_came_and_again_by_hand(
    world: World,
) -> anyhow::Result<()> {
    let (told, other, next_door) =
        (Receiver::start(&[]).await?, Receiver::start(&[]).await?, Receiver::start(&[]).await?);
    let secret = world.webhook(&told, "cloudevent").await?;
    for new in others(&other.url) {
        world.create(new).await?;
    }
    let neighbour = TenantId::new(&system_clock(), &system_random());
    let hook = world.by(neighbour, Role::Admin, webhook(&next_door.url, "cloudevent"));
    world.client.clone().create_destination(hook).await?;

    let (window, detected) = tell(&world, world.hospital, DRIFT_DETECTED).await?;
    world.audited("delivery.delivered", &window).await?;
    world.queue.emit(DRIFT_DETECTED, detected.as_bytes()).await?;
    let (later, cleared) = tell(&world, world.hospital, DRIFT_CLEARED).await?;
    world.audited("delivery.delivered", &later).await?;
    let received = told.until(2).await?;
    for (message, event) in received.iter().zip([&detected, &cleared]) {
        ensure!(message.body == event.as_bytes(), "as it came: {message:?}");
        ensure!(message.header("content-type") == "application/cloudevents+json", "{message:?}");
        ensure!(verified(&secret, message)?, "it is signed: {message:?}");
    }
    let entry = of_type(&world, DRIFT_DETECTED).await?;
    ensure!(entry.scan_id.is_empty() && entry.state() == DeliveryState::Delivered, "{entry:?}");
    ensure!(received[0].header("webhook-id") == entry.id, "{entry:?}");
    of_type(&world, DRIFT_CLEARED).await?;

    let again = DeliveryRef { id: entry.id.clone() };
    world.client.clone().send_again(world.admin(again)).await?;
    let received = told.until(3).await?;
    ensure!(received[2].header("webhook-id") == entry.id, "{received:?}");
    ensure!(received[2].body == detected.as_bytes(), "{received:?}");
    world.audited("delivery.sent_again", &window).await?;

    ensure!(world.list(neighbour).await?.is_empty(), "it is no other hospital's");
    let (own, _) = tell(&world, neighbour, DRIFT_DETECTED).await?;
    ensure!(
        String::from_utf8(next_door.until(1).await?[0].body.clone())?.contains(&own),
        "its own"
    );
    ensure!(next_door.received().len() == 1 && told.received().len() == 3, "each has its own");
    ensure!(other.received().is_empty(), "who takes results only is sent no event");
    Ok(())
}
