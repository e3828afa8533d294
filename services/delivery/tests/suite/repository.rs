//! Audit record repositories: syslog over TLS, read by the letter of RFC 5425, from whoever shows a certificate.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use delivery::{Peers, Ports, Repository, Rules, Settings, build};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use service::claims::testing::Issuer;
use service::system_random;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::tls::AUTHORITY;
use crate::world::{PATIENCE, World, run};

/// What it does with a connection, in place of taking all that comes.
enum Does {
    /// Goes before anything is said.
    Away,
    /// Takes so many messages, and goes in the middle of the next.
    Cut(usize),
}

#[derive(Default)]
struct Kept {
    does: Mutex<VecDeque<Does>>,
    messages: Mutex<Vec<String>>,
}

impl Kept {
    fn keep(&self, message: String) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    }

    fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A repository with the certificate of that name; its address, and what it keeps.
async fn repository(
    world: &World,
    name: &str,
    does: Vec<Does>,
) -> anyhow::Result<(String, Arc<Kept>)> {
    service::choose_tls();
    let read = |file: &str| std::fs::read(world.folder().join(file));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read(AUTHORITY)?)?)?;
    let chain = vec![CertificateDer::from_pem_slice(&read(&format!("{name}.pem"))?)?];
    let key = PrivateKeyDer::from_pem_slice(&read(&format!("{name}.key"))?)?;
    let config = ServerConfig::builder()
        .with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build()?)
        .with_single_cert(chain, key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("tls://{}", listener.local_addr()?);
    let kept = Arc::new(Kept { does: Mutex::new(does.into()), ..Kept::default() });
    let keeps = kept.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // One after the other: what was cut off is over before it is sent again.
            let _ = taken(&acceptor, stream, &keeps).await;
        }
    });
    Ok((address, kept))
}

async fn taken(acceptor: &TlsAcceptor, stream: TcpStream, kept: &Kept) -> anyhow::Result<()> {
    let does = kept.does.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    if matches!(does, Some(Does::Away)) {
        return Ok(());
    }
    let mut stream = acceptor.accept(stream).await?;
    if let Some(Does::Cut(whole)) = does {
        for _ in 0..whole {
            kept.keep(message(&mut stream).await?.context("a message")?);
        }
        stream.read_exact(&mut [0; 100]).await?;
        return Ok(());
    }
    while let Some(message) = message(&mut stream).await? {
        kept.keep(message);
    }
    // Its close_notify: all was read.
    Ok(stream.shutdown().await?)
}

/// The next message by its length; None where the stream ends between two.
async fn message(stream: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<Option<String>> {
    let mut length = String::new();
    loop {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            ensure!(length.is_empty(), "it ends within a length");
            return Ok(None);
        }
        if byte == *b" " {
            break;
        }
        length.push(char::from(byte[0]));
    }
    let mut text = vec![0; length.parse()?];
    stream.read_exact(&mut text).await?;
    Ok(Some(String::from_utf8(text)?))
}

/// Which entry a message is of, once it is what the standards say.
fn entry(message: &str, world: &World) -> anyhow::Result<String> {
    let rest = message.strip_prefix("<85>1 ").context("no header")?;
    let (header, xml) = rest
        .split_once(" - \u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>")
        .context("no XML")?;
    ensure!(header.ends_with(" DICOM+RFC3881") && header.contains(" medseg "), "{header}");
    ensure!(header.split(' ').count() == 5, "{header}");
    let site = format!("AuditEnterpriseSiteID=\"{}\"", world.hospital);
    ensure!(xml.contains(&site), "{xml}");
    let all = elements(xml)?;
    for element in ["AuditMessage", "EventIdentification", "EventID", "ActiveParticipant"] {
        ensure!(all.iter().any(|name| name == element), "{element}: {xml}");
    }
    let (_, rest) = xml.split_once("<ParticipantObjectName>").context("no name")?;
    Ok(rest.split_once('<').context("a name that ends")?.0.to_owned())
}

/// The elements in the order in which they begin; an error where the text is no XML.
fn elements(xml: &str) -> anyhow::Result<Vec<String>> {
    let (mut open, mut all, mut rest) = (Vec::new(), Vec::new(), xml);
    while let Some((_, behind)) = rest.split_once('<') {
        let (tag, behind) = behind.split_once('>').context("a tag that ends")?;
        rest = behind;
        if let Some(name) = tag.strip_prefix('/') {
            ensure!(open.pop() == Some(name), "</{name}> ends another: {xml}");
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        all.push(name.to_owned());
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    ensure!(open.is_empty() && rest.is_empty(), "{open:?} {rest}");
    Ok(all)
}

/// The hospital's entries, as storage has them.
async fn expected(world: &World) -> anyhow::Result<Vec<String>> {
    let positions: Vec<i64> =
        sqlx::query_scalar("SELECT position FROM audit WHERE tenant_id = ? ORDER BY position")
            .bind(world.hospital.to_string())
            .fetch_all(world.of_storage.pool())
            .await?;
    Ok(positions.iter().map(|position| format!("scans-{position}")).collect())
}

/// Waits until each entry has come; all that came, some of them twice.
async fn all(world: &World, kept: &Kept) -> anyhow::Result<Vec<String>> {
    let whole = async {
        loop {
            let came = kept
                .messages()
                .iter()
                .map(|message| entry(message, world))
                .collect::<Result<Vec<_>, _>>()?;
            let mut first: Vec<String> = Vec::new();
            for id in &came {
                if !first.contains(id) {
                    first.push(id.clone());
                }
            }
            if first == expected(world).await? {
                return anyhow::Ok(came);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.context("not all came, or not in their order")?
}

/// Waits until the cursor is at the hospital's last entry.
async fn confirmed(world: &World) -> anyhow::Result<()> {
    let last = expected(world).await?.len() as i64;
    let until = async {
        loop {
            let positions: Vec<i64> = sqlx::query_scalar("SELECT position FROM audit_cursors")
                .fetch_all(world.database.pool())
                .await?;
            if positions == [last] {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, until).await.context("what came is not confirmed")?
}

/// A delivery that pushes the hospital's entries to these addresses; it stops when that is dropped.
async fn pushing(world: &World, addresses: &[&str]) -> anyhow::Result<DropGuard> {
    let to = |address: &&str| format!("{address}?tenant={}", world.hospital).parse::<Repository>();
    let to = addresses.iter().map(to).collect::<Result<Vec<_>, String>>();
    let at = |name: &str| Some(world.folder().join(name));
    let rules = Rules {
        audit_syslog: to.map_err(anyhow::Error::msg)?,
        audit_syslog_authorities: at(AUTHORITY),
        audit_syslog_certificate: at("known.pem"),
        audit_syslog_key: at("known.key"),
        ..Rules::default()
    };
    let ports = Ports {
        database: world.database.clone(),
        queue: world.queue.clone(),
        clock: world.clock.clock(),
        random: system_random(),
    };
    let settings = Settings { rules, delivery_secret: Issuer::DELIVERY_SECRET.into() };
    let peers = Peers { auth: world.issuer.peer(), storage: world.storage.clone() };
    let stop = CancellationToken::new();
    run(build(settings, ports, peers)?, &stop).await?;
    Ok(stop.drop_guard())
}

pub async fn each_entry_arrives_in_its_order_whatever_is_cut_off_and_none_is_left_out(
    world: World,
) -> anyhow::Result<()> {
    for _ in 0..3 {
        world.completed().await?;
    }
    let (address, kept) = repository(&world, "known", vec![Does::Away, Does::Cut(1)]).await?;
    let first = pushing(&world, &[&address]).await?;
    let came = all(&world, &kept).await?;
    ensure!(came[0] == came[1], "what was not confirmed is sent again: {came:?}");
    confirmed(&world).await?;
    let before = came.len();
    drop(first);
    world.completed().await?;
    let _again = pushing(&world, &[&address]).await?;
    let came = all(&world, &kept).await?;
    let twice = came[before..].iter().filter(|id| came[..before].contains(id)).count();
    ensure!(twice == 0, "what was confirmed is not sent again: {came:?}");
    Ok(())
}

pub async fn one_that_shows_a_strangers_certificate_is_told_nothing_and_delays_no_other(
    world: World,
) -> anyhow::Result<()> {
    world.completed().await?;
    let (stranger, told) = repository(&world, "stranger", Vec::new()).await?;
    let (known, kept) = repository(&world, "known", Vec::new()).await?;
    let _pushing = pushing(&world, &[&stranger, &known]).await?;
    all(&world, &kept).await?;
    let name = format!("{stranger}?tenant={}", world.hospital);
    let words = async {
        loop {
            let words: Option<String> =
                sqlx::query_scalar("SELECT words FROM audit_repositories WHERE repository = ?")
                    .bind(name.clone())
                    .fetch_optional(world.database.pool())
                    .await?;
            if let Some(words) = words.filter(|words| !words.is_empty()) {
                return anyhow::Ok(words);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let words = tokio::time::timeout(PATIENCE, words).await??;
    ensure!(words.contains("no TLS with it"), "{words}");
    ensure!(told.messages().is_empty(), "a stranger was told");
    Ok(())
}
