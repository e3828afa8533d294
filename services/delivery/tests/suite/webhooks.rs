use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::TenantId;
use hmac::{Hmac, KeyInit, Mac};
use proto::delivery::{DeliveryRef, DeliveryState};
use serde_json::Value;
use service::claims::Role;
use service::{system_clock, system_random};
use sha2::Sha256;
use tonic::Code;

use crate::receiver::{Does, Message, Receiver};
use crate::world::{World, webhook};

/// As a receiver does it: whether the message is signed with the secret.
pub fn verified(secret: &str, message: &Message) -> anyhow::Result<bool> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").context("a secret")?)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
    let (id, timestamp) = (message.header("webhook-id"), message.header("webhook-timestamp"));
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&message.body);
    let signed = message.header("webhook-signature").strip_prefix("v1,").context("a signature")?;
    Ok(mac.verify_slice(&STANDARD.decode(signed)?).is_ok())
}

pub async fn a_completed_scan_is_pushed_signed_and_noted_in_the_audit_trail(
    world: World,
) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[]).await?;
    let secret = world.webhook(&receiver, "cloudevent").await?;
    let (scan, result) = world.completed().await?;
    let received = receiver.until(1).await?;
    let message = &received[0];
    ensure!(verified(&secret, message)?, "{message:?}");
    let mut damaged = message.clone();
    damaged.body[0] ^= 1;
    ensure!(!verified(&secret, &damaged)?, "a signature fits one body");
    let entry = world.ended(DeliveryState::Delivered).await?;
    ensure!(message.header("webhook-id") == entry.id, "{entry:?}");
    let now = world.clock.clock().now_ms() / 1000;
    ensure!(message.header("webhook-timestamp") == now.to_string(), "{message:?}");
    let event: Value = serde_json::from_slice(&message.body)?;
    ensure!(event["id"] == entry.id.as_str() && event["type"] == "scan.result", "{event}");
    let kept: Value = serde_json::from_slice(&result)?;
    ensure!(event["data"]["result"] == kept, "{event}");
    ensure!(!event.to_string().contains("Canary"), "a webhook names no patient: {event}");

    ensure!((entry.attempts, entry.scan_id.as_str()) == (1, scan.id.as_str()), "{entry:?}");
    let who = world.audited("delivery.delivered", &scan.id).await?;
    ensure!(who == format!("medseg-delivery:{}", entry.destination_id), "{who}");
    world.audited("destination.created", &entry.destination_id).await?;
    Ok(())
}

pub async fn the_same_event_again_makes_no_second_delivery(world: World) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[]).await?;
    world.webhook(&receiver, "result.json").await?;
    let (scan, result) = world.completed().await?;
    world.ended(DeliveryState::Delivered).await?;
    // Also where there is another destination by now.
    let later = Receiver::start(&[]).await?;
    world.webhook(&later, "result.json").await?;
    world.tell(world.hospital, &scan).await?;
    world.tell(world.hospital, &scan).await?;
    let (other, _) = world.completed_for(world.hospital).await?;
    let received = later.until(1).await?;
    ensure!(String::from_utf8(received[0].body.clone())?.contains(&other.id), "the later scan");
    let received = receiver.until(2).await?;
    ensure!(received[0].body == result, "byte for byte as it is kept");
    ensure!(world.rows("SELECT COUNT(*) FROM deliveries").await? == 3, "one row for each");
    ensure!(world.rows("SELECT COUNT(*) FROM heard").await? == 2, "one for each scan");
    Ok(())
}

pub async fn what_fails_is_tried_again_with_the_same_id_until_it_is_taken(
    world: World,
) -> anyhow::Result<()> {
    let away = Does::Answer(503, String::new());
    let receiver = Receiver::start(&[away, Does::Answer(500, "trace".into())]).await?;
    let secret = world.webhook(&receiver, "cloudevent").await?;
    world.completed().await?;
    receiver.until(1).await?;
    let waiting = world.one(|entry| entry.words.contains("503")).await?;
    ensure!(waiting.state() == DeliveryState::Waiting && waiting.due_ms > 0, "{waiting:?}");
    world.pass(1);
    receiver.until(2).await?;
    let waiting = world.one(|entry| entry.words.contains("500")).await?;
    ensure!(!waiting.words.contains("trace"), "what a receiver says is not kept: {waiting:?}");
    world.pass(1);
    let entry = world.ended(DeliveryState::Delivered).await?;
    ensure!((entry.attempts, entry.words.as_str()) == (3, ""), "{entry:?}");
    let received = receiver.received();
    let ids: Vec<_> = received.iter().map(|message| message.header("webhook-id")).collect();
    ensure!(ids == [entry.id.as_str(); 3], "{ids:?}");
    for message in &received {
        ensure!(verified(&secret, message)?, "each attempt is signed anew");
    }
    ensure!(received[0].header("webhook-timestamp") != received[2].header("webhook-timestamp"));
    Ok(())
}

pub async fn an_attempt_that_was_killed_is_made_again_with_the_same_id(
    world: World,
) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[]).await?;
    world.webhook(&receiver, "cloudevent").await?;
    world.completed().await?;
    let entry = world.ended(DeliveryState::Delivered).await?;
    // As it is when the process is killed after the receiver has it and before that is noted.
    let lease_until = world.clock.clock().now_ms() + 5 * 60_000;
    sqlx::query("UPDATE deliveries SET state = 'waiting', ended_ms = 0, lease = 'of the dead', leased_until_ms = ?")
        .bind(lease_until)
        .execute(world.database.pool())
        .await?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    ensure!(receiver.received().len() == 1, "it is somebody's until the lease ends");
    world.pass(6);
    let received = receiver.until(2).await?;
    let ids: Vec<_> = received.iter().map(|message| message.header("webhook-id")).collect();
    ensure!(ids == [entry.id.as_str(); 2], "{ids:?}");
    world.ended(DeliveryState::Delivered).await?;
    Ok(())
}

pub async fn what_nobody_takes_for_three_days_has_failed_and_can_be_sent_again(
    world: World,
) -> anyhow::Result<()> {
    let refuses = Does::Answer(500, String::new());
    let receiver = Receiver::start(&[refuses.clone(), refuses]).await?;
    world.webhook(&receiver, "cloudevent").await?;
    let (scan, _) = world.completed().await?;
    world.one(|entry| entry.words.contains("500")).await?;
    world.pass(72 * 60);
    let failed = world.ended(DeliveryState::Failed).await?;
    ensure!(failed.words.contains("500") && failed.ended_ms > 0, "{failed:?}");
    world.audited("delivery.failed", &scan.id).await?;

    let again = DeliveryRef { id: failed.id.clone() };
    let elsewhere = TenantId::new(&system_clock(), &system_random());
    for (tenant, role, code) in [
        (world.hospital, Role::Clinician, Code::PermissionDenied),
        (elsewhere, Role::Admin, Code::NotFound),
    ] {
        let request = world.by(tenant, role, again.clone());
        let refused = world.client.clone().send_again(request).await.err().context("a refusal")?;
        ensure!(refused.code() == code, "{refused}");
    }
    let request = world.by(world.hospital, Role::Integrator, again.clone());
    let waiting = world.client.clone().send_again(request).await?.into_inner();
    ensure!(waiting.state() == DeliveryState::Waiting, "{waiting:?}");
    // The destination was paused for some minutes.
    world.pass(6);
    let entry = world.ended(DeliveryState::Delivered).await?;
    ensure!(entry.id == failed.id, "{entry:?}");
    let who = world.audited("delivery.sent_again", &scan.id).await?;
    ensure!(who == "tester", "{who}");
    Ok(())
}

pub async fn a_destination_that_hangs_delays_no_other(world: World) -> anyhow::Result<()> {
    let hangs = Receiver::start(&[Does::Hang, Does::Hang, Does::Hang]).await?;
    let well = Receiver::start(&[]).await?;
    world.webhook(&hangs, "cloudevent").await?;
    world.webhook(&well, "cloudevent").await?;
    for _ in 0..3 {
        world.completed().await?;
    }
    // All while the other's first attempt is under way.
    well.until(3).await?;
    ensure!(hangs.received().len() <= 1, "a destination has one lane");
    Ok(())
}

pub async fn a_scan_that_was_given_up_is_told_of_too(world: World) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[]).await?;
    world.webhook(&receiver, "result.json").await?;
    let scan = world.failed().await?;
    let received = receiver.until(1).await?;
    let document: Value = serde_json::from_slice(&received[0].body)?;
    ensure!(document["answer"] == "failed" && document["scan_id"] == scan.id.as_str());
    ensure!(document["reason"] == "no worker could", "{document}");
    Ok(())
}

pub async fn nobody_is_redirected_and_what_is_gone_is_given_up(world: World) -> anyhow::Result<()> {
    let elsewhere = Receiver::start(&[]).await?;
    let leads = Does::Redirect(elsewhere.url.clone());
    let receiver = Receiver::start(&[leads, Does::Answer(410, String::new())]).await?;
    world.webhook(&receiver, "cloudevent").await?;
    world.completed().await?;
    world.one(|entry| entry.words.contains("redirects are not followed")).await?;
    world.pass(1);
    let gone = world.ended(DeliveryState::Failed).await?;
    ensure!(gone.words.contains("410"), "{gone:?}");
    ensure!(elsewhere.received().is_empty(), "nothing went elsewhere");
    Ok(())
}

pub async fn another_hospitals_results_go_nowhere_and_its_deliveries_answer_like_none(
    world: World,
) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[]).await?;
    world.webhook(&receiver, "cloudevent").await?;
    let neighbour = TenantId::new(&system_clock(), &system_random());
    world.completed_for(neighbour).await?;
    let (scan, _) = world.completed().await?;
    world.ended(DeliveryState::Delivered).await?;
    let received = receiver.received();
    ensure!(received.len() == 1, "{received:?}");
    ensure!(String::from_utf8(received[0].body.clone())?.contains(&scan.id), "one's own");
    ensure!(world.list(neighbour).await?.is_empty(), "no other hospital's");

    let made = world.create(webhook(&receiver.url, "cloudevent")).await?;
    let id = made.destination.context("a destination")?.id;
    let remove = || proto::delivery::DestinationRef { id: id.clone() };
    let request = world.by(neighbour, Role::Admin, remove());
    let refused = world.client.clone().remove_destination(request).await.err();
    ensure!(refused.context("a refusal")?.code() == Code::NotFound);
    world.client.clone().remove_destination(world.admin(remove())).await?;
    Ok(())
}

pub async fn entries_that_storage_never_takes_hold_up_no_others(
    world: World,
) -> anyhow::Result<()> {
    // More than are read at once, and before all that comes later.
    for number in 0..300 {
        sqlx::query(
            "INSERT INTO notes (id, tenant_id, at_ms, subject, act, object_id)
             VALUES (?, 'none', 0, 'tester', 'delivered', 'none')",
        )
        .bind(format!("{number:036}"))
        .execute(world.database.pool())
        .await?;
    }
    let made = world.create(webhook("https://ris.example/hook", "cloudevent")).await?;
    let id = made.destination.context("a destination")?.id;
    world.audited("destination.created", &id).await?;
    let stuck = "SELECT COUNT(*) FROM notes WHERE tenant_id = 'none'";
    ensure!(world.rows(stuck).await? == 300, "they stay until somebody has looked at them");
    Ok(())
}
