//! The audit trail from the outside: whether its chains are what they were.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Subcommand;
use platform::trail::{Anchor, Chain, Head, anchors, verify};
use platform::{blob, db};
use secrecy::{ExposeSecret, SecretString};

/// `medseg audit …`
#[derive(clap::Args)]
pub struct Audit {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Recompute every hospital's chain, also while the services run, and compare it with the anchors in the object store; the first
    /// broken position is named.
    Verify(Verify),
}

#[derive(clap::Args)]
struct Verify {
    /// The data directory of `medseg serve`, in place of the addresses.
    #[arg(long)]
    data: Option<PathBuf>,

    /// Storage's database: `mysql://…` or `sqlite://…/storage.db`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<SecretString>,

    /// The database of the accounts, which have chains of their own: `mysql://…` or `sqlite://…/auth.db`.
    #[arg(long, env = "ACCOUNTS_URL", hide_env_values = true)]
    accounts_url: Option<SecretString>,

    /// Where objects, and the anchors among them, are: `gs://…`, `s3://…` or `file:///…`. Without it, chains are compared with
    /// themselves alone: one that was made anew from some position on is not seen.
    #[arg(long, env = "BLOB_URL", hide_env_values = true)]
    blob_url: Option<SecretString>,
}

/// Where it is all kept.
struct Places {
    scans: Option<String>,
    accounts: Option<String>,
    objects: Option<String>,
}

impl Audit {
    pub fn run(self) -> anyhow::Result<()> {
        let Action::Verify(verify) = self.action;
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(looked_through(verify.places()?))
    }
}

impl Verify {
    fn places(self) -> anyhow::Result<Places> {
        if let Some(data) = self.data {
            let missing = format!("there is no data directory {}", data.display());
            let data = data.canonicalize().context(missing)?;
            let database = |name: &str| Some(format!("sqlite://{}/{name}.db", data.display()));
            let objects = Some(format!("file://{}/objects", data.display()));
            return Ok(Places { scans: database("storage"), accounts: database("auth"), objects });
        }
        let said = |url: Option<SecretString>| {
            url.map(|url| url.expose_secret().to_owned()).filter(|url| !url.is_empty())
        };
        let places = Places {
            scans: said(self.database_url),
            accounts: said(self.accounts_url),
            objects: said(self.blob_url),
        };
        if places.scans.is_none() && places.accounts.is_none() {
            bail!("name a data directory with --data, or a database with --database-url");
        }
        Ok(places)
    }
}

/// Prints what each chain is; an error where one is broken. Anchors are read first: what is appended meanwhile is behind them.
async fn looked_through(places: Places) -> anyhow::Result<()> {
    let anchored = match &places.objects {
        Some(url) => {
            let blobs = blob::connect(url).await.context("cannot open the object store")?;
            anchors(&blobs).await?
        }
        None => Vec::new(),
    };
    println!("{} anchors", anchored.len());
    let heads = |of: fn(&Anchor) -> &Vec<Head>| {
        anchored.iter().flat_map(of).cloned().collect::<Vec<Head>>()
    };
    let of_scans = heads(|anchor| &anchor.storage);
    let of_accounts = heads(|anchor| &anchor.accounts);
    let mut broken = Vec::new();
    let trails = [("scans", places.scans, of_scans), ("accounts", places.accounts, of_accounts)];
    for (trail, url, anchored) in trails {
        let Some(url) = url else { continue };
        let database = db::existing(&url).await;
        let database = database.with_context(|| format!("cannot open the database of {trail}"))?;
        for chain in verify(&database, &anchored).await? {
            let line = line(trail, &chain);
            println!("{line}");
            if chain.broken.is_some() || !chain.lost.is_empty() {
                broken.push(line);
            }
        }
    }
    match broken.first() {
        Some(first) => bail!("the audit trail is not what was written: {first}"),
        None => Ok(()),
    }
}

/// What there is to say of one chain.
fn line(trail: &str, chain: &Chain) -> String {
    let Chain { tenant_id, entries, broken, lost } = chain;
    let mut line = format!("{trail}  {tenant_id}  {entries} entries");
    if let Some(broken) = broken {
        line.push_str(&format!("  BROKEN at position {}: {}", broken.position, broken.what));
    }
    if let Some(first) = lost.iter().map(|head| head.position).min() {
        line.push_str(&format!("  BROKEN: position {first} is not what was anchored"));
    }
    if broken.is_none() && lost.is_empty() {
        line.push_str("  ok");
    }
    line
}

#[cfg(test)]
mod tests {
    use platform::trail::Broken;

    use super::*;

    #[test]
    fn a_broken_chain_is_named_with_its_position() {
        let chain = Chain { tenant_id: "t".into(), entries: 2, broken: None, lost: vec![] };
        assert_eq!(line("scans", &chain), "scans  t  2 entries  ok");
        let broken = Some(Broken { position: 3, what: "the entry was changed" });
        let said = line("scans", &Chain { broken, ..chain.clone() });
        assert!(said.ends_with("BROKEN at position 3: the entry was changed"), "{said}");
        let lost = vec![Head { tenant_id: "t".into(), position: 2, sha256: "ab".into() }];
        let said = line("scans", &Chain { lost, ..chain });
        assert!(said.ends_with("position 2 is not what was anchored"), "{said}");
    }
}
