use anyhow::{Context, ensure};
use proto::delivery::{DeliveryState, DestinationKind, NewDestination};
use serde_json::{Value, json};

use crate::receiver::{Does, Receiver};
use crate::world::World;

fn server(receiver: &Receiver) -> NewDestination {
    NewDestination {
        name: "the server".into(),
        kind: DestinationKind::Fhir.into(),
        url: receiver.url.clone(),
        formats: vec!["report.fhir.json".into()],
        secret: "Bearer of the server".into(),
        ..NewDestination::default()
    }
}

fn response(statuses: &[&str]) -> String {
    let entry = |status: &&str| json!({ "response": { "status": *status } });
    let entries: Vec<Value> = statuses.iter().map(entry).collect();
    json!({ "resourceType": "Bundle", "type": "transaction-response", "entry": entries })
        .to_string()
}

pub async fn a_transaction_is_sent_with_its_token_until_each_entry_has_gone_well(
    world: World,
) -> anyhow::Result<()> {
    let receiver = Receiver::start(&[
        Does::Answer(503, String::new()),
        // A portal in between.
        Does::Answer(200, "<html>sign in</html>".into()),
        Does::Answer(412, String::new()),
        Does::Answer(200, response(&["201 Created", "200 OK"])),
    ])
    .await?;
    world.create(server(&receiver)).await?;
    world.completed().await?;
    for words in ["503", "not to a transaction", "412"] {
        let waiting = world.one(|entry| entry.words.contains(words)).await?;
        ensure!(waiting.state() == DeliveryState::Waiting, "{waiting:?}");
        world.pass(16);
    }
    let entry = world.ended(DeliveryState::Delivered).await?;
    ensure!(entry.attempts == 4, "{entry:?}");
    let received = receiver.received();
    ensure!(received.iter().all(|message| message.body == received[0].body), "one transaction");
    let message = &received[0];
    ensure!(message.header("authorization") == "Bearer of the server");
    ensure!(message.header("content-type") == "application/fhir+json");
    let bundle: Value = serde_json::from_slice(&message.body)?;
    ensure!(bundle["type"] == "transaction", "{bundle}");
    let entries = bundle["entry"].as_array().context("entries")?;
    for entry in entries {
        let (kind, request) = (&entry["resource"]["resourceType"], &entry["request"]);
        ensure!(request["method"] == "POST" && request["url"] == *kind, "{entry}");
        let made = request["ifNoneExist"].as_str().context("a condition")?;
        let (system, value) = made
            .strip_prefix("identifier=")
            .and_then(|made| made.split_once('|'))
            .context("one")?;
        let own = entry["resource"]["identifier"].as_array().context("identifiers")?;
        ensure!(own.iter().any(|own| own["system"] == system && own["value"] == value), "{entry}");
        // By number, for they are the server's to know.
        ensure!(kind != "Patient", "{entry}");
    }
    let report = &entries[0]["resource"];
    ensure!(report["subject"]["identifier"]["value"] == "4711", "{report}");
    ensure!(!bundle.to_string().contains("Canary"), "no name: {bundle}");
    Ok(())
}

pub async fn what_a_server_refuses_is_said_in_its_words(world: World) -> anyhow::Result<()> {
    let issue = json!({ "code": "business-rule", "diagnostics": "4711 is of no episode of 1.2.3" });
    let refusal = json!({ "resourceType": "OperationOutcome", "issue": [issue] });
    let receiver = Receiver::start(&[Does::Answer(422, refusal.to_string())]).await?;
    world.create(server(&receiver)).await?;
    world.completed().await?;
    let failed = world.ended(DeliveryState::Failed).await?;
    ensure!(failed.words.ends_with("business-rule, … is of no episode of …"), "{failed:?}");
    Ok(())
}
