//! Scans of patients who were erased: nothing of them goes out any more, and where they went is in the audit trail.

use anyhow::ensure;
use proto::delivery::{DeliveryState, ScansAsked};
use proto::storage::Scan;
use service::claims::Role;
use service::topics::SCAN_ERASED;
use tokio::time::{Duration, sleep, timeout};

use crate::receiver::{Does, Receiver};
use crate::world::{PATIENCE, World};

/// Tells that the scan was erased, as storage does, and waits until nothing is kept of it.
async fn erase(world: &World, scan: &Scan) -> anyhow::Result<()> {
    let event = serde_json::json!({
        "specversion": "1.0", "id": scan.id, "source": "/medseg/storage", "type": "scan.erased",
        "data": { "tenant_id": world.hospital, "scan_id": scan.id, "erased_ms": 2 },
    });
    world.queue.emit(SCAN_ERASED, event.to_string().as_bytes()).await?;
    let gone = async {
        loop {
            let asked = ScansAsked { scan_ids: vec![scan.id.clone()] };
            let told = world.client.clone().count_rows(world.admin(asked)).await?;
            if told.into_inner().rows == 0 {
                return anyhow::Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, gone).await?
}

pub async fn of_an_erased_scan_nothing_waits_and_what_was_sent_is_noted(
    world: World,
) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[]).await?;
    world.webhook(&receiver, "result.json").await?;
    let (sent, _) = world.completed().await?;
    world.ended(DeliveryState::Delivered).await?;
    world.audited("delivery.delivered", &sent.id).await?;
    erase(&world, &sent).await?;
    // The same event once more, and the scan's own, late.
    erase(&world, &sent).await?;
    let event = serde_json::json!({
        "specversion": "1.0", "id": "late", "source": "/medseg/storage", "type": "scan.completed",
        "data": { "tenant": world.hospital, "scan_id": sent.id, "answer": "none_found", "completed_ms": 2 },
    });
    world.queue.emit(service::topics::SCAN_COMPLETED, event.to_string().as_bytes()).await?;
    let (other, _) = world.completed().await?;
    let received = receiver.until(2).await?;
    ensure!(received.len() == 2, "one of each: {}", received.len());
    world.audited("delivery.delivered", &other.id).await?;
    let scans: Vec<_> = world.list(world.hospital).await?;
    ensure!(scans.iter().all(|entry| entry.scan_id == other.id), "{scans:?}");
    let asked = ScansAsked { scan_ids: vec![sent.id] };
    let request = world.by(world.hospital, Role::Integrator, asked);
    ensure!(world.client.clone().count_rows(request).await.is_err(), "it is for admins");
    Ok(())
}

pub async fn what_was_tried_and_not_confirmed_is_noted_when_its_scan_is_erased(
    world: World,
) -> anyhow::Result<()> {
    let away = Does::Answer(503, String::new());
    let receiver = Receiver::start(&[away]).await?;
    world.webhook(&receiver, "result.json").await?;
    let (scan, _) = world.completed().await?;
    world.one(|entry| entry.words.contains("503")).await?;
    erase(&world, &scan).await?;
    world.audited("delivery.failed", &scan.id).await?;
    world.pass(60);
    let (other, _) = world.completed().await?;
    world.audited("delivery.delivered", &other.id).await?;
    ensure!(receiver.until(2).await?.len() == 2, "the erased scan was tried again");
    Ok(())
}
