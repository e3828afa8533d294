//! The doors by which instances come one by one: for scanners and archives an SCP of the storage, verification and storage commitment
//! services (PS3.4, annexes A, B and J), and for programs what STOW-RS brings.
//!
//! Of an instance nothing is read here but what its command set says: it is acknowledged once it is durable, the jail says of which
//! series it is, and a series that has been quiet for a while goes the way of every upload.

mod association;
mod callers;
mod commitment;
pub mod conformance;
mod contexts;
mod dimse;
mod inbox;
mod line;
mod listener;
mod outcome;
mod part10;
mod pending;
mod reception;
mod report;
mod senders;
mod series;
mod stow;
mod studies;
mod telling;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Clock, ErrorKind, Result};
use rustls::ServerConfig;
use service::claims::Verifier;
use service::{Peer, Shares, Turns, Worker};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::reserve::Reserve;
use crate::upload::Uploads;

use callers::Callers;
use inbox::{Inbox, Most};
use pending::Pending;
pub use reception::Reception;
use report::{ReportTo, later};
use senders::{Sender, Senders};
pub use stow::store;

/// What instances may take of the disk, in MiB: a day of ten thousand large slices.
const INBOX_MIB: u64 = 16 * 1024;
/// What an instance counts for at least: real ones are larger, and a million small ones are a burden, too.
const INSTANCE_BYTES_LEAST: u64 = 16 * 1024;
/// Scanners pause between the images of a series for seconds; an archive sends them at once.
const QUIET_S: u32 = 30;
const KEPT_HOURS: u32 = 24;
const ASSOCIATIONS: u16 = 32;
const PDU_BYTES: u32 = 128 * 1024;
const IDLE_S: u64 = 30;
const ASSOCIATION_S: u64 = 3600;
/// So many requests put instances into the inbox at a time, some of theirs together.
const KEEPING: usize = 8;

/// The door for scanners and archives.
#[derive(Clone, Debug, clap::Args)]
pub struct DicomSettings {
    /// The address at which scanners and archives may send (C-STORE), such as `0.0.0.0:11112`; without it nobody is listened to.
    #[arg(long, env)]
    pub dicom_listen: Option<SocketAddr>,

    /// The file that says who may send: a table of AE titles, each with the API client in whose name it sends.
    #[arg(long, env)]
    pub dicom_senders: Option<PathBuf>,

    /// The folder of instances that are no scan yet: on a disk that outlives this process, and its own. Without it `inbox` in the
    /// spool.
    #[arg(long, env)]
    pub dicom_inbox: Option<PathBuf>,

    /// What instances may take of that disk, in MiB: half of it those of one sender, and two thirds those of one hospital, or less
    /// where others have some.
    #[arg(long, env, default_value_t = INBOX_MIB)]
    pub dicom_inbox_mib: u64,

    /// A series is complete when nothing of it has come for so long, in seconds.
    #[arg(long, env, default_value_t = QUIET_S)]
    pub dicom_quiet_s: u32,

    /// For how long the instances of a complete series are kept, in hours: what comes late makes a new version with them.
    #[arg(long, env, default_value_t = KEPT_HOURS)]
    pub dicom_kept_hours: u32,

    /// How many associations there may be at a time: half of them of one sender.
    #[arg(long, env, default_value_t = ASSOCIATIONS, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub dicom_associations: u16,

    /// The largest PDU that is taken, in bytes.
    #[arg(long, env, default_value_t = PDU_BYTES, value_parser = clap::value_parser!(u32).range(4096..=1_048_576))]
    pub dicom_pdu_bytes: u32,

    /// An association on which nothing has come for so long is aborted, in seconds.
    #[arg(long, env, default_value_t = IDLE_S)]
    pub dicom_idle_s: u64,

    /// How long one association may take, in seconds.
    #[arg(long, env, default_value_t = ASSOCIATION_S)]
    pub dicom_association_s: u64,

    /// The certificate that the door shows (PEM, with what leads to its authority): with it associations come by TLS, and no others.
    #[arg(long, env, requires = "dicom_tls_key")]
    pub dicom_tls_certificate: Option<PathBuf>,

    /// That certificate's private key (PEM).
    #[arg(long, env, requires = "dicom_tls_certificate")]
    pub dicom_tls_key: Option<PathBuf>,

    /// The authority that has signed the certificates of those who may connect (PEM): with it each must show one.
    #[arg(long, env, requires = "dicom_tls_certificate")]
    pub dicom_tls_authority: Option<PathBuf>,
}

impl Default for DicomSettings {
    fn default() -> DicomSettings {
        DicomSettings {
            dicom_listen: None,
            dicom_senders: None,
            dicom_inbox: None,
            dicom_inbox_mib: INBOX_MIB,
            dicom_quiet_s: QUIET_S,
            dicom_kept_hours: KEPT_HOURS,
            dicom_associations: ASSOCIATIONS,
            dicom_pdu_bytes: PDU_BYTES,
            dicom_idle_s: IDLE_S,
            dicom_association_s: ASSOCIATION_S,
            dicom_tls_certificate: None,
            dicom_tls_key: None,
            dicom_tls_authority: None,
        }
    }
}

/// What all associations share.
struct Door {
    reception: Arc<Reception>,
    senders: Senders,
    /// Associations under way, by sender.
    under_way: Shares<String>,
    /// Requests for commitments that are not decided, by sender.
    asked: Shares<String>,
    /// Those who tell what is decided once an association has ended; with the door they end.
    tellers: Mutex<JoinSet<()>>,
    associations: usize,
    pdu_bytes: u32,
    idle: Duration,
    association: Duration,
    tls: Option<Arc<ServerConfig>>,
}

impl Door {
    /// Has something told for as long as the door is there.
    fn telling(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tellers = self.tellers.lock().unwrap_or_else(PoisonError::into_inner);
        while tellers.try_join_next().is_some() {}
        tellers.spawn(work);
    }

    /// Has whoever has asked told on an association of our own, once it is decided.
    fn tell_later(&self, pending: Pending, to: Option<ReportTo>, stop: &CancellationToken) {
        let to = (to, pending.titles().clone());
        self.telling(later(self.reception.clone(), pending, to, self.idle, stop.clone()));
    }
}

/// Where instances come in, and those who listen and gather. Scanners are listened to where an address is set. Fails where the table
/// of senders, the inbox, the certificate or the port cannot be used.
pub fn doors(
    config: &Config,
    uploads: &Uploads,
    auth: &Peer,
    clock: &Clock,
) -> Result<(Arc<Reception>, Vec<Worker>)> {
    let settings = &config.dicom;
    let senders = match (settings.dicom_listen, &settings.dicom_senders) {
        (None, _) => None,
        (Some(_), Some(table)) => Some(Senders::read(table, auth, clock)?),
        (Some(_), None) => {
            return Err(ErrorKind::Invalid
                .error("DICOM_LISTEN is set and DICOM_SENDERS is not: nobody could send"));
        }
    };
    let table = senders.as_ref().map(Senders::of_folders).unwrap_or_default();
    telling::describe();
    let verifier = Verifier::new(auth.clone(), clock.clone());
    let reception = Arc::new(reception(config, uploads, table, verifier, clock)?);
    let mut workers = callers::gather_table(&reception);
    workers.push(callers::gather(reception.clone()));
    if let (Some(address), Some(senders)) = (settings.dicom_listen, senders) {
        workers.push(listening(settings, &reception, senders, address)?);
    }
    Ok((reception, workers))
}

fn listening(
    settings: &DicomSettings,
    reception: &Arc<Reception>,
    senders: Senders,
    address: SocketAddr,
) -> Result<Worker> {
    let tls = tls::server(settings)?;
    if let (None, Some(title)) = (&settings.dicom_tls_authority, senders.certified()) {
        return Err(ErrorKind::Invalid.error(format!(
            "DICOM_SENDERS names certificates for {title}, and without DICOM_TLS_AUTHORITY nobody has to show one"
        )));
    }
    let listener = listener::bound(address)?;
    let asked = Shares::default();
    let mut left = Vec::new();
    for sender in &reception.table {
        left.extend(Pending::left(&reception.inbox, &sender.folder, &asked)?);
    }
    let (known, secure) = (reception.table.len(), tls.is_some());
    tracing::info!(%address, senders = known, tls = secure, "DICOM is listened to");
    let door = Door {
        reception: reception.clone(),
        senders,
        under_way: Shares::default(),
        asked,
        tellers: Mutex::default(),
        associations: usize::from(settings.dicom_associations),
        pdu_bytes: settings.dicom_pdu_bytes,
        idle: Duration::from_secs(settings.dicom_idle_s),
        association: Duration::from_secs(settings.dicom_association_s),
        tls,
    };
    Ok(listener::listen(Arc::new(door), listener, left))
}

fn reception(
    config: &Config,
    uploads: &Uploads,
    table: Vec<Arc<Sender>>,
    verifier: Verifier,
    clock: &Clock,
) -> Result<Reception> {
    const HOUR_MS: i64 = 3_600_000;
    let settings = &config.dicom;
    let folder = settings.dicom_inbox.clone().unwrap_or_else(|| config.spool.join("inbox"));
    let callers = Callers::left(&folder)?;
    let mut senders: Vec<String> = table.iter().map(|sender| sender.folder.clone()).collect();
    senders.extend(callers.folders());
    let most = Most {
        bytes: settings.dicom_inbox_mib.saturating_mul(1 << 20),
        instance_bytes: (config.upload_mib as u64) << 20,
        least_bytes: INSTANCE_BYTES_LEAST,
    };
    let reserve = Reserve::of_disk(&folder, config.disk_reserve_mib);
    Ok(Reception {
        inbox: Inbox::open(&folder, &senders, most, reserve)?,
        uploads: uploads.clone(),
        verifier,
        clock: clock.clone(),
        upload_bytes: (config.upload_mib as u64) << 20,
        quiet_ms: i64::from(settings.dicom_quiet_s) * 1000,
        kept_ms: i64::from(settings.dicom_kept_hours) * HOUR_MS,
        table,
        callers,
        keeping: Turns::of(KEEPING),
    })
}

/// Does what waits for the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ErrorKind::Internal.error("keeping instances panicked").because(error))?
}

/// Reads those bytes as a command set, and as a request for a commitment: what is read here of what strangers send.
pub fn read_of_strangers(bytes: &[u8]) {
    let _ = dimse::Command::read(bytes);
    let _ = commitment::Asked::read(bytes);
}
