use std::time::Duration;

use anyhow::ensure;
use proto::delivery::DeliveryState;

use crate::receiver::{Does, Receiver};
use crate::world::World;

pub async fn what_waits_of_a_suspended_hospital_goes_on_when_it_is_active_again(
    world: World,
) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[]).await?;
    world.webhook(&receiver, "cloudevent").await?;
    world.issuer.stand(world.hospital, "suspended");
    world.completed().await?;
    let held = world.one(|entry| entry.state() == DeliveryState::Waiting).await?;
    while world.rows("SELECT COUNT(*) FROM stopped").await? == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Longer than anything is tried.
    world.pass(100 * 60);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    ensure!(receiver.received().is_empty(), "nothing is sent meanwhile");
    world.issuer.stand(world.hospital, "active");
    let entry = world.ended(DeliveryState::Delivered).await?;
    ensure!((entry.id, entry.attempts) == (held.id, 1));
    ensure!(receiver.received().len() == 1, "it is sent once");
    ensure!(world.rows("SELECT COUNT(*) FROM stopped").await? == 0);
    Ok(())
}

pub async fn a_hospital_that_is_suspended_at_the_moment_of_sending_is_sent_nothing_of(
    world: World,
) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[]).await?;
    world.webhook(&receiver, "cloudevent").await?;
    // Active when the attempt begins, and no longer when all is written.
    world.issuer.stand_in_turn(world.hospital, &["active", "suspended"]);
    world.completed().await?;
    let held = world.one(|entry| entry.words.contains("suspended")).await?;
    ensure!(held.state() == DeliveryState::Waiting, "{held:?}");
    ensure!(receiver.received().is_empty(), "nothing is sent");
    Ok(())
}

pub async fn what_waits_of_a_closed_hospital_is_given_up_and_its_audit_trail_says_so(
    world: World,
) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[Does::Answer(500, String::new())]).await?;
    world.webhook(&receiver, "cloudevent").await?;
    let (scan, _) = world.completed().await?;
    world.one(|entry| entry.words.contains("500")).await?;
    world.issuer.stand(world.hospital, "closed");
    let ended = world.ended(DeliveryState::Failed).await?;
    ensure!(ended.words.contains("the hospital is closed") && ended.ended_ms > 0, "{ended:?}");
    let who = world.audited("delivery.closed", &scan.id).await?;
    ensure!(who == format!("medseg-delivery:{}", ended.destination_id), "{who}");
    world.pass(60);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    ensure!(receiver.received().len() == 1, "nothing more is sent");
    Ok(())
}
