//! The audit trail from the outside: whether its chains are what they were.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use domain::rfc3339;
use imaging::StatementSignature;
use platform::trail::{Anchor, AnchorSignature, Chain, Head, anchors, verify};
use platform::{blob, db};
use secrecy::{ExposeSecret, SecretString};
use service::claims::{ANCHOR_PURPOSE, PublicKeys, SigningKey};

use crate::signed::{is_signed, public_half};

/// `medseg audit …`
#[derive(clap::Args)]
pub struct Audit {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Recompute every hospital's chain, also while the services run, and compare it with the anchors in the object store, whose
    /// signatures are verified; the first broken position is named.
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

    /// The public keys that anchors are signed with, or were: the file that medseg hands out at `/.well-known/result-keys.json`, kept
    /// where nobody changes it. With `--data`, the key in that directory counts without it.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// Where it is all kept.
struct Places {
    scans: Option<String>,
    accounts: Option<String>,
    objects: Option<String>,
    /// None: signatures are not verified.
    keys: Option<PublicKeys>,
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
        let keys = self.keys.as_deref().map(published).transpose()?;
        if let Some(data) = self.data {
            let missing = format!("there is no data directory {}", data.display());
            let data = data.canonicalize().context(missing)?;
            let database = |name: &str| Some(format!("sqlite://{}/{name}.db", data.display()));
            let objects = Some(format!("file://{}/objects", data.display()));
            let keys = keys.map_or_else(|| of_directory(&data), |keys| Ok(Some(keys)))?;
            let (scans, accounts) = (database("storage"), database("auth"));
            return Ok(Places { scans, accounts, objects, keys });
        }
        let said = |url: Option<SecretString>| {
            url.map(|url| url.expose_secret().to_owned()).filter(|url| !url.is_empty())
        };
        let places = Places {
            scans: said(self.database_url),
            accounts: said(self.accounts_url),
            objects: said(self.blob_url),
            keys,
        };
        if places.scans.is_none() && places.accounts.is_none() {
            bail!("name a data directory with --data, or a database with --database-url");
        }
        Ok(places)
    }
}

/// The keys of a JWK set.
fn published(path: &Path) -> anyhow::Result<PublicKeys> {
    let unread = || format!("cannot read the keys {}", path.display());
    let set = fs::read_to_string(path).with_context(unread)?;
    PublicKeys::from_jwks(&set).with_context(unread)
}

/// The key of `medseg serve`, where its directory has one yet.
fn of_directory(data: &Path) -> anyhow::Result<Option<PublicKeys>> {
    let path = data.join("model-key.pem");
    let unread = || format!("cannot read the key {}", path.display());
    if !path.try_exists().with_context(unread)? {
        return Ok(None);
    }
    let key = SigningKey::from_pem(&fs::read_to_string(&path).with_context(unread)?);
    Ok(Some(public_half(&key.with_context(unread)?)?))
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
    let mut broken = Vec::new();
    for (line, is_broken) in signatures(&anchored, places.keys.as_ref())? {
        println!("{line}");
        if is_broken {
            broken.push(line);
        }
    }
    let heads = |of: fn(&Anchor) -> &Vec<Head>| {
        anchored.iter().flat_map(of).cloned().collect::<Vec<Head>>()
    };
    let of_scans = heads(|anchor| &anchor.storage);
    let of_accounts = heads(|anchor| &anchor.accounts);
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

/// What there is to say of the anchors' signatures, and of each line whether it tells of one that is wrong.
fn signatures(
    anchors: &[Anchor],
    keys: Option<&PublicKeys>,
) -> anyhow::Result<Vec<(String, bool)>> {
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut wrong, mut unsigned, mut since) = (Vec::new(), 0, 0);
    for anchor in anchors {
        let Some(AnchorSignature { key_id, value }) = &anchor.signature else {
            unsigned += 1;
            since += usize::from(!by.is_empty() || !wrong.is_empty());
            continue;
        };
        let signature = StatementSignature { key_id: key_id.clone(), value: value.clone() };
        let digest = anchor.sha256()?;
        let fits =
            keys.is_none_or(|keys| is_signed(keys, ANCHOR_PURPOSE, digest.as_bytes(), &signature));
        if fits {
            *by.entry(key_id).or_default() += 1;
        } else {
            let at = rfc3339(anchor.at_ms).unwrap_or_else(|| anchor.at_ms.to_string());
            wrong.push(format!(
                "anchor of {at}  BROKEN: it was changed, or signed by a key that is none of these (it names {key_id})"
            ));
        }
    }
    let verified = if keys.is_some() { "" } else { ", not verified: name the keys with --keys" };
    let signed = by.iter().map(|(key, count)| format!("{count} signed by the key {key}{verified}"));
    let mut lines: Vec<(String, bool)> = signed.map(|line| (line, false)).collect();
    if unsigned > 0 {
        let line = format!("{unsigned} unsigned, {since} of them after the first that is signed");
        lines.push((line, false));
    }
    lines.extend(wrong.into_iter().map(|line| (line, true)));
    Ok(lines)
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

    fn signed(at_ms: i64, key: Option<&SigningKey>) -> Anchor {
        let head = Head { tenant_id: "t".into(), position: at_ms, sha256: "ab".into() };
        let mut anchor = Anchor { at_ms, storage: vec![head], ..Anchor::default() };
        let digest = anchor.sha256().unwrap();
        anchor.signature = key.map(|key| AnchorSignature {
            key_id: key.id().to_owned(),
            value: domain::hex(&key.sign_statement(ANCHOR_PURPOSE, digest.as_bytes())),
        });
        anchor
    }

    #[test]
    fn an_anchor_that_was_changed_is_told_and_one_that_nobody_signed_is_said_to_be_unsigned() {
        let random = service::system_random();
        let [own, other] = [(); 2].map(|()| SigningKey::generate(&random));
        let keys = public_half(&own).unwrap();
        let mut changed = signed(4, Some(&own));
        changed.storage[0].position = 3;
        let anchors = [
            signed(1, None),
            signed(2, Some(&own)),
            signed(3, None),
            changed,
            signed(5, Some(&other)),
        ];
        let lines = signatures(&anchors, Some(&keys)).unwrap();
        let said: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(said[0], format!("1 signed by the key {}", own.id()));
        assert_eq!(said[1], "2 unsigned, 1 of them after the first that is signed");
        assert!(said[2].starts_with("anchor of 1970-01-01T00:00:00.004Z  BROKEN"), "{said:?}");
        assert!(said[3].contains(other.id()), "{said:?}");
        assert_eq!(lines.iter().filter(|(_, is_broken)| *is_broken).count(), 2);
        let unverified = signatures(&anchors[1..2], None).unwrap();
        assert!(unverified[0].0.contains("not verified") && !unverified[0].1);
    }

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
