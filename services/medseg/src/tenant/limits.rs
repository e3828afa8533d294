//! How much hospitals and API clients may send.

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Way, id_of};
use crate::api::Session;

/// Limits to be; 0 takes one away, and what is not named stays.
#[derive(clap::Args)]
pub struct Most {
    /// Set first how many scans are accepted in a day (UTC); 0: as many as come.
    #[arg(long)]
    scans_per_day: Option<u64>,
    /// Set first how many bytes of files are accepted in a day; 0: as many as come.
    #[arg(long)]
    bytes_per_day: Option<u64>,
    /// Set first how many scans may wait or be analysed at a time; 0: as many as come.
    #[arg(long)]
    jobs: Option<u64>,
    /// Set first how many bytes of all that is kept of scans there may be, of a hospital only; 0: as many as come.
    #[arg(long)]
    stored_bytes: Option<u64>,
}

impl Most {
    /// By the names that the API has for them.
    fn named(&self) -> [(&'static str, Option<u64>); 4] {
        [
            ("scans_per_day", self.scans_per_day),
            ("bytes_per_day", self.bytes_per_day),
            ("jobs", self.jobs),
            ("stored_bytes", self.stored_bytes),
        ]
    }
}

/// Somebody who has signed in at a running medseg: limits are kept beside the scans, and not with the accounts.
fn at_medseg(way: &Way) -> anyhow::Result<&Session> {
    match way {
        Way::Api(session) => Ok(session),
        Way::Database(_) => {
            bail!("limits are set through a running medseg: leave --database-url out")
        }
    }
}

pub async fn of_tenant(way: &Way, tenant: &str, most: &Most) -> anyhow::Result<()> {
    let session = at_medseg(way)?;
    let id = id_of(way, tenant).await?;
    let path = ["tenants", id.as_str(), "limits"];
    let now = session.get(&path).await?;
    show_limits(session, &path, now, most).await
}

pub async fn of_client(way: &Way, client: &str, most: &Most) -> anyhow::Result<()> {
    let session = at_medseg(way)?;
    let listed = session.get(&["clients"]).await?;
    let clients: Vec<&Value> = listed["clients"].as_array().into_iter().flatten().collect();
    let by = |key: &str| clients.iter().find(|one| one[key] == client);
    let found = by("client_id").or_else(|| by("name"));
    let found = found.with_context(|| format!("no API client is called `{client}`"))?;
    let id = found["client_id"].as_str().context("an API client has an id")?;
    let limits = session.get(&["limits"]).await?;
    let mut limited = limits["clients"].as_array().into_iter().flatten();
    let own = limited.find(|one| one["client_id"] == id);
    // None are shown as the API shows those that were taken away.
    let none = json!({
        "scans_per_day": null, "bytes_per_day": null, "jobs": null, "stored_bytes": null,
    });
    let now = own.map_or(none, |one| one["limits"].clone());
    show_limits(session, &["clients", id, "limits"], now, most).await
}

/// Prints the limits at that path, which are those now, once they are as they are to be.
async fn show_limits(
    session: &Session,
    path: &[&str],
    now: Value,
    most: &Most,
) -> anyhow::Result<()> {
    let named = most.named();
    if named.iter().all(|(_, most)| most.is_none()) {
        println!("{now:#}");
        return Ok(());
    }
    let mut wish = json!({});
    for (name, most) in named {
        wish[name] = match most {
            Some(0) => Value::Null,
            Some(most) => most.into(),
            None => now[name].clone(),
        };
    }
    let answer = session.send(session.request(Method::PUT, path)?.json(&wish)).await?;
    let set: Value = answer.json().await.context("the answer is no JSON")?;
    println!("{set:#}");
    Ok(())
}
