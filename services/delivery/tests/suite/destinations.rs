use anyhow::{Context, ensure};
use proto::delivery::{
    DeliveryState, Destination, DestinationChange, DestinationKind, DestinationRef,
    ListDestinationsRequest, NewDestination,
};
use tonic::Code;

use crate::receiver::{Does, Receiver};
use crate::world::{World, webhook};

async fn listed(world: &World) -> anyhow::Result<Vec<Destination>> {
    let request = world.admin(ListDestinationsRequest {});
    Ok(world.client.clone().list_destinations(request).await?.into_inner().destinations)
}

async fn change(world: &World, change: DestinationChange) -> Result<Destination, tonic::Status> {
    Ok(world.client.clone().change_destination(world.admin(change)).await?.into_inner())
}

pub async fn a_secret_is_shown_once_and_kept_when_other_things_change(
    world: World,
) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[]).await?;
    let made = world.create(webhook("https://ris.example/hook", "cloudevent")).await?;
    ensure!(made.secret.starts_with("whsec_"), "a secret was made");
    let id = made.destination.context("a destination")?.id;
    let url = Some(receiver.url.clone());
    let changed =
        change(&world, DestinationChange { id: id.clone(), url, ..Default::default() }).await?;
    ensure!(changed.url == receiver.url && changed.has_secret, "{changed:?}");
    let kept: String = sqlx::query_scalar("SELECT secret FROM destinations")
        .fetch_one(world.database.pool())
        .await?;
    ensure!(kept == made.secret, "it is as it was");
    ensure!(!format!("{:?}", listed(&world).await?).contains("whsec_"), "it is shown once");
    let own = NewDestination {
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(),
        ..webhook(&receiver.url, "cloudevent")
    };
    ensure!(world.create(own.clone()).await?.secret.is_empty(), "its own is not said again");
    let weak = NewDestination { secret: "password".into(), ..own };
    let refused = world.create(weak).await.err().context("a refusal")?;
    ensure!(refused.code() == Code::InvalidArgument, "{refused}");
    Ok(())
}

pub async fn a_destination_that_is_disabled_is_sent_nothing_until_it_is_enabled(
    world: World,
) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[Does::Answer(500, String::new())]).await?;
    world.webhook(&receiver, "cloudevent").await?;
    let id = listed(&world).await?[0].id.clone();
    world.completed().await?;
    world.one(|entry| entry.words.contains("500")).await?;
    let enabled = |enabled| DestinationChange {
        id: id.clone(),
        enabled: Some(enabled),
        ..DestinationChange::default()
    };
    change(&world, enabled(false)).await?;
    // No delivery is made meanwhile, and the one that waits is not sent.
    world.completed().await?;
    while world.rows("SELECT COUNT(*) FROM heard").await? < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    world.pass(30);
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    ensure!(receiver.received().len() == 1, "nothing more was sent");
    let own = listed(&world).await?;
    ensure!((own[0].waiting, own[0].failed, own[0].enabled) == (1, 0, false), "{own:?}");
    change(&world, enabled(true)).await?;
    world.ended(DeliveryState::Delivered).await?;
    Ok(())
}

pub async fn what_waits_for_a_destination_that_is_removed_has_failed(
    world: World,
) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[Does::Answer(500, String::new())]).await?;
    world.webhook(&receiver, "cloudevent").await?;
    let id = listed(&world).await?[0].id.clone();
    world.completed().await?;
    world.one(|entry| entry.words.contains("500")).await?;
    let request = world.admin(DestinationRef { id });
    world.client.clone().remove_destination(request).await?;
    let failed = world.ended(DeliveryState::Failed).await?;
    let again = world.admin(proto::delivery::DeliveryRef { id: failed.id });
    let refused = world.client.clone().send_again(again).await.err().context("a refusal")?;
    ensure!(refused.code() == Code::AlreadyExists, "{refused}");
    Ok(())
}

pub async fn a_hospital_has_a_limited_number_of_destinations(world: World) -> anyhow::Result<()> {
    let new = || webhook("https://ris.example/hook", "cloudevent");
    for _ in 0..20 {
        world.create(new()).await?;
    }
    let refused = world.create(new()).await.err().context("a refusal")?;
    ensure!(refused.code() == Code::ResourceExhausted, "{refused}");
    ensure!(listed(&world).await?.len() == 20, "none was made");
    Ok(())
}

pub async fn a_credential_is_not_sent_to_another_address(world: World) -> anyhow::Result<()> {
    let archive = NewDestination {
        name: "the archive".into(),
        kind: DestinationKind::Stow.into(),
        url: "https://pacs.example/studies".into(),
        formats: vec!["sr.dcm".into()],
        secret: "Bearer of the archive".into(),
        ..NewDestination::default()
    };
    let made = world.create(archive).await?;
    let id = made.destination.context("a destination")?.id;
    let elsewhere = DestinationChange {
        id,
        url: Some("https://elsewhere.example/studies".into()),
        ..DestinationChange::default()
    };
    let refused = change(&world, elsewhere.clone()).await.err().context("a refusal")?;
    ensure!(refused.code() == Code::InvalidArgument, "{refused}");
    let said = DestinationChange { secret: Some("Bearer of another".into()), ..elsewhere };
    ensure!(change(&world, said).await?.url == "https://elsewhere.example/studies");
    Ok(())
}

pub async fn each_kind_has_addresses_titles_and_secrets_of_its_own(
    world: World,
) -> anyhow::Result<()> {
    let new = |kind: DestinationKind, url: &str, format: &str| NewDestination {
        name: "a system".into(),
        kind: kind.into(),
        url: url.into(),
        formats: vec![format.into()],
        ..NewDestination::default()
    };
    let archive = new(DestinationKind::Cstore, "dicom://127.0.0.1:104", "sr.dcm");
    let titled = NewDestination { called_ae_title: "PACS".into(), ..archive.clone() };
    let made = world.create(titled.clone()).await?.destination.context("a destination")?;
    ensure!((&*made.called_ae_title, &*made.calling_ae_title) == ("PACS", "MEDSEG"), "{made:?}");
    ensure!(made.url == "dicom://127.0.0.1:104" && made.takes.is_empty(), "{made:?}");
    let system = new(DestinationKind::Mllp, "mllps://his.example:2575", "report.hl7");
    ensure!(world.create(system.clone()).await?.secret.is_empty());
    let server = new(DestinationKind::Fhir, "https://fhir.example/r4", "report.fhir.json");
    let server = NewDestination { secret: "Bearer of the server".into(), ..server };
    let made = world.create(server.clone()).await?.destination.context("a destination")?;
    for refused in [
        archive,
        NewDestination { called_ae_title: "SEVENTEEN_LETTERS".into(), ..titled.clone() },
        NewDestination { secret: "word".into(), ..titled.clone() },
        // In the clear, and not within a network that is named.
        NewDestination { url: "dicom://93.184.216.34:104".into(), ..titled.clone() },
        NewDestination { url: "https://pacs.example/".into(), ..titled.clone() },
        NewDestination { url: "dicoms://pacs.example:2762".into(), ..system.clone() },
        NewDestination { called_ae_title: "HIS".into(), ..system },
        NewDestination { formats: vec!["sr.dcm".into()], ..server },
    ] {
        let status = world.create(refused.clone()).await.err().context("a refusal")?;
        ensure!(status.code() == Code::InvalidArgument, "{refused:?}: {status}");
    }
    // A token goes to nobody else, here as well.
    let url = Some("https://elsewhere.example/r4".to_owned());
    let elsewhere = DestinationChange { id: made.id, url, ..DestinationChange::default() };
    let refused = change(&world, elsewhere).await.err().context("a refusal")?;
    ensure!(refused.code() == Code::InvalidArgument, "{refused}");
    Ok(())
}
