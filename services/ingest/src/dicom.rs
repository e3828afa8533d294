//! The door for scanners and archives: an SCP of the storage and verification services (PS3.4, annexes A and B).
//!
//! Of an instance nothing is read here but what its command set says: it is acknowledged once it is durable, the jail says of which
//! series it is, and a series that has been quiet for a while goes the way of every upload.

mod association;
mod contexts;
mod dimse;
mod inbox;
mod line;
mod listener;
mod outcome;
mod part10;
mod senders;
mod series;
mod telling;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, ErrorKind, Result};
use service::{Peer, Shares, Worker};

use crate::Config;
use crate::reserve::Reserve;
use crate::upload::Uploads;

use inbox::{Inbox, Most};
use senders::Senders;

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

    /// What instances may take of that disk, in MiB: half of it those of one sender.
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
        }
    }
}

/// What all associations share, and those who gather what they bring.
struct Door {
    senders: Senders,
    inbox: Inbox,
    uploads: Uploads,
    clock: Clock,
    upload_bytes: u64,
    quiet_ms: i64,
    kept_ms: i64,
    /// Associations under way, by sender.
    under_way: Shares<String>,
    associations: usize,
    pdu_bytes: u32,
    idle: Duration,
    association: Duration,
}

/// Those who listen and gather; none where nobody is to be listened to. Fails where the table of senders, the inbox or the port
/// cannot be used.
pub fn door(config: &Config, uploads: &Uploads, auth: &Peer, clock: &Clock) -> Result<Vec<Worker>> {
    const HOUR_MS: i64 = 3_600_000;
    let settings = &config.dicom;
    let Some(address) = settings.dicom_listen else { return Ok(Vec::new()) };
    let table = settings.dicom_senders.as_ref().ok_or_else(|| {
        ErrorKind::Invalid.error("DICOM_LISTEN is set and DICOM_SENDERS is not: nobody could send")
    })?;
    let senders = Senders::read(table, auth, clock)?;
    let each = senders.of_folders();
    let inbox = inbox(config, each.iter().map(|sender| sender.folder.clone()).collect())?;
    let door = Arc::new(Door {
        senders,
        inbox,
        uploads: uploads.clone(),
        clock: clock.clone(),
        upload_bytes: (config.upload_mib as u64) << 20,
        quiet_ms: i64::from(settings.dicom_quiet_s) * 1000,
        kept_ms: i64::from(settings.dicom_kept_hours) * HOUR_MS,
        under_way: Shares::default(),
        associations: usize::from(settings.dicom_associations),
        pdu_bytes: settings.dicom_pdu_bytes,
        idle: Duration::from_secs(settings.dicom_idle_s),
        association: Duration::from_secs(settings.dicom_association_s),
    });
    let listener = listener::bound(address)?;
    telling::describe();
    tracing::info!(%address, senders = each.len(), "DICOM is listened to");
    let mut workers = vec![listener::listen(door.clone(), listener)];
    workers.extend(each.into_iter().map(|sender| series::gather(door.clone(), sender)));
    Ok(workers)
}

fn inbox(config: &Config, senders: Vec<String>) -> Result<Inbox> {
    let folder = config.dicom.dicom_inbox.clone().unwrap_or_else(|| config.spool.join("inbox"));
    let most = Most {
        bytes: config.dicom.dicom_inbox_mib.saturating_mul(1 << 20),
        instance_bytes: (config.upload_mib as u64) << 20,
        least_bytes: INSTANCE_BYTES_LEAST,
    };
    let reserve = Reserve::of_disk(&folder, config.disk_reserve_mib);
    Inbox::open(&folder, &senders, most, reserve)
}

/// Does what waits for the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ErrorKind::Internal.error("keeping instances panicked").because(error))?
}
