use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::ensure;
use proto::delivery::{DeliveryRef, DeliveryState, DestinationKind, NewDestination};
use service::claims::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::World;

/// What a hospital's information system does with the next message.
#[derive(Clone, Copy)]
pub enum Does {
    /// Keeps it, and dies before it says so.
    Dies,
    Says(&'static str),
    /// Acknowledges it so.
    Acknowledges(&'static str),
}

pub type Kept = Arc<Mutex<Vec<Vec<u8>>>>;

pub async fn system(does: &[Does]) -> anyhow::Result<(String, Kept)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("mllp://{}", listener.local_addr()?);
    let kept = Kept::default();
    let (mut does, keeping) = (VecDeque::from(does.to_vec()), kept.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let next = does.pop_front().unwrap_or(Does::Acknowledges("AA"));
            let _ = take(stream, next, &keeping).await;
        }
    });
    Ok((url, kept))
}

async fn take(mut stream: TcpStream, does: Does, kept: &Kept) -> anyhow::Result<()> {
    let mut message = Vec::new();
    while !message.ends_with(b"\x1c\r") {
        message.push(stream.read_u8().await?);
    }
    kept.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
    let answer = match does {
        Does::Dies => return Ok(()),
        Does::Says(words) => words.to_owned(),
        Does::Acknowledges(code) => {
            let text = String::from_utf8_lossy(&message).into_owned();
            let id = text.split('|').nth(9).unwrap_or_default().to_owned();
            format!("MSH|^~\\&|HIS||medseg||2026||ACK^R01|9|P|2.5.1\rMSA|{code}|{id}\r")
        }
    };
    stream.write_all(format!("\x0b{answer}\x1c\r").as_bytes()).await?;
    Ok(())
}

fn information_system(url: String) -> NewDestination {
    NewDestination {
        name: "the information system".into(),
        kind: DestinationKind::Mllp.into(),
        url,
        formats: vec!["report.hl7".into()],
        ..NewDestination::default()
    }
}

pub async fn what_is_rejected_has_failed_at_once_and_what_is_an_error_after_a_few_times(
    world: World,
) -> anyhow::Result<()> {
    let errors = [Does::Acknowledges("AE"); 5];
    let (url, kept) = system(&[&[Does::Acknowledges("AR")][..], &errors].concat()).await?;
    world.create(information_system(url)).await?;
    world.completed().await?;
    let rejected = world.ended(DeliveryState::Failed).await?;
    ensure!((rejected.attempts, rejected.words.as_str()) == (1, "it answered AR"), "{rejected:?}");
    let again = async || {
        let id = DeliveryRef { id: rejected.id.clone() };
        world.client.clone().send_again(world.by(world.hospital, Role::Integrator, id)).await
    };
    again().await?;
    for time in 1..5 {
        let words = format!("it answered AE (time {time} of 5)");
        let waiting = world.one(|entry| entry.words == words).await?;
        ensure!(waiting.state() == DeliveryState::Waiting, "{waiting:?}");
        ensure!(world.rows("SELECT objections FROM deliveries").await? == time);
        world.pass(16);
    }
    let failed = world.ended(DeliveryState::Failed).await?;
    let (attempts, words) = (failed.attempts, failed.words.as_str());
    ensure!((attempts, words) == (5, "it answered AE (time 5 of 5)"), "{failed:?}");
    again().await?;
    world.ended(DeliveryState::Delivered).await?;
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner).len();
    ensure!(kept == 7, "{kept} messages: one, five and one");
    Ok(())
}

pub async fn a_message_is_sent_under_one_control_id_until_it_is_taken(
    world: World,
) -> anyhow::Result<()> {
    let does = [
        Does::Dies,
        Does::Says("HTTP/1.1 400 Bad Request"),
        Does::Says("MSH|^~\\&|HIS\rMSA|AA|another\r"),
        Does::Acknowledges("AE"),
    ];
    let (url, kept) = system(&does).await?;
    world.create(information_system(url)).await?;
    world.completed().await?;
    for words in ["broke off", "something else than HL7", "another message", "answered AE"] {
        let waiting = world.one(|entry| entry.words.contains(words)).await?;
        ensure!(waiting.state() == DeliveryState::Waiting, "{waiting:?}");
        world.pass(16);
    }
    let entry = world.ended(DeliveryState::Delivered).await?;
    ensure!((entry.attempts, entry.words.as_str()) == (5, ""), "{entry:?}");
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ensure!(kept.len() == 5 && kept.iter().all(|message| *message == kept[0]), "one message");
    let message = String::from_utf8_lossy(&kept[0]).into_owned();
    ensure!(message.starts_with("\u{b}MSH|") && message.contains("Canary^Yellow"), "{message}");
    Ok(())
}
