//! Takes uploads: spools them, has them decoded in a jail, splits identity from pixels, and hands what may be
//! analysed to storage.
//!
//! No byte of an upload is parsed in this process.

mod batch;
mod decoder;
mod dicom;
mod erased;
mod export;
mod feedback;
mod image;
mod kinds;
mod outline;
mod pack;
mod partial;
mod process;
mod refusals;
mod reserve;
mod rpc;
mod segmentation;
mod series_choice;
mod spool;
mod upload;

use std::path::PathBuf;

use domain::limits::UPLOAD_MIB_DEFAULT;
use domain::{Clock, Random, Result};
use imaging::Modality;
pub use jail::Demand;
use platform::disk::RESERVE_MIB;
use proto::inference::v1::kinds_client::KindsClient;
use proto::ingest::ingest_server::IngestServer;
use proto::storage::erasures_client::ErasuresClient;
use proto::storage::feedback_client::FeedbackClient;
use proto::storage::learning_client::LearningClient;
use proto::storage::scans_client::ScansClient;
use proto::storage::series_rules_client::SeriesRulesClient;
use secrecy::SecretString;
use service::claims::{ServiceToken, Verifier};
use service::{Check, Peer, Service, Turns, check};
use tonic::service::Routes;

use decoder::Decoder;
#[doc(hidden)]
pub use dicom::read_of_strangers;
pub use dicom::{DicomSettings, conformance};
use partial::{Most, Partials, Shelf};
use reserve::Reserve;
use spool::Spool;
use upload::Uploads;

/// The files of one archive unpack to so many times the largest upload at most: DICOM files shrink to a half or a third.
const UNPACKED_TIMES: u64 = 4;

/// What uploads that are not whole yet may take of the disk, of all hospitals together, in MiB: 32 of the largest.
const UNFINISHED_MIB: u64 = 32 * UPLOAD_MIB_DEFAULT as u64;

/// How many there may be of them.
const UNFINISHED_UPLOADS: u64 = 1024;

/// For how long they are kept after their last byte, in hours: over a night.
const UNFINISHED_HOURS: u32 = 24;

/// Address space for one decoder, in MiB: the largest file that is taken by default (512) and its pixels twice, as they
/// are turned, in the widest form that is read (64 Mi pixels of 8 bytes: 512), or that file unpacked (512) and its voxels
/// twice (256 each); and 64 for the program.
const DECODE_MIB: u64 = 512 + 2 * 512 + 64;

/// Where uploads wait, and what they may cost.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// The folder where uploads lie while they are decoded. Its own: what a crash left in it is deleted at start, but for unfinished
    /// uploads.
    #[arg(long, env)]
    pub spool: PathBuf,

    /// The folder where uploads lie that come in several requests, until they are whole: on a disk that outlives this process, and
    /// one for all instances where there are several. Without it `unfinished` in the spool.
    #[arg(long, env)]
    pub unfinished: Option<PathBuf>,

    /// What unfinished uploads may take, of all hospitals together, in MiB: half of it one hospital's, and a quarter one sender's.
    #[arg(long, env, default_value_t = UNFINISHED_MIB)]
    pub unfinished_mib: u64,

    /// How many uploads may be unfinished at a time, shared out alike.
    #[arg(long, env, default_value_t = UNFINISHED_UPLOADS)]
    pub unfinished_uploads: u64,

    /// For how long an unfinished upload is kept after its last byte, in hours.
    #[arg(long, env, default_value_t = UNFINISHED_HOURS)]
    pub unfinished_hours: u32,

    /// The program `medseg-decode`; without it the one beside this program is taken.
    #[arg(long, env)]
    pub decoder: Option<PathBuf>,

    /// What the registered models can judge: `MR`, `CT` or both.
    #[arg(long, env, value_delimiter = ',', default_value = "MR", value_parser = modality)]
    pub modalities: Vec<Modality>,

    /// The largest upload, in MiB.
    #[arg(long, env, default_value_t = UPLOAD_MIB_DEFAULT as usize)]
    pub upload_mib: usize,

    /// Uploads are refused when the disk of the spool has less room than this, in MiB.
    #[arg(long, env, default_value_t = RESERVE_MIB)]
    pub disk_reserve_mib: u64,

    /// How many uploads are decoded at a time; 0 stands for one per processor. Two more may be, each of a hospital that has none
    /// in hand.
    #[arg(long, env, default_value_t = 0)]
    pub decoders: usize,

    /// How long decoding one upload may take, in seconds.
    #[arg(long, env, default_value_t = 20)]
    pub decode_s: u64,

    /// How much address space decoding one upload may take, in MiB.
    #[arg(long, env, default_value_t = DECODE_MIB)]
    pub decode_mib: u64,

    /// The jail that uploads are decoded in: `required` refuses to start where the kernel has no landlock or no seccomp,
    /// `best-effort` goes on within what there is.
    #[arg(long, env, value_enum, default_value_t = Demand::Required)]
    pub decode_jail: Demand,

    /// What medseg's own services sign in with: storage takes scans from no one else.
    #[arg(long, env, hide_env_values = true)]
    pub service_secret: SecretString,

    #[command(flatten)]
    pub dicom: DicomSettings,
}

/// The modality that a setting names.
pub fn modality(term: &str) -> Result<Modality, String> {
    Modality::of_term(term).ok_or_else(|| format!("`{term}` is neither `MR` nor `CT`"))
}

impl Config {
    /// The defaults, with uploads spooled at `spool`.
    pub fn at(spool: impl Into<PathBuf>, service_secret: SecretString) -> Config {
        Config {
            service_secret,
            spool: spool.into(),
            unfinished: None,
            unfinished_mib: UNFINISHED_MIB,
            unfinished_uploads: UNFINISHED_UPLOADS,
            unfinished_hours: UNFINISHED_HOURS,
            decoder: None,
            modalities: vec![Modality::MagneticResonance],
            upload_mib: UPLOAD_MIB_DEFAULT as usize,
            disk_reserve_mib: RESERVE_MIB,
            decoders: 0,
            decode_s: 20,
            decode_mib: DECODE_MIB,
            decode_jail: Demand::Required,
            dicom: DicomSettings::default(),
        }
    }
}

/// What this service needs of the outside world.
pub struct Ports {
    pub clock: Clock,
    pub random: Random,
}

/// Where the services that this one calls answer, when it is a process of its own.
#[derive(Debug, clap::Args)]
pub struct PeerUrls {
    /// Where the storage service answers.
    #[arg(long, env)]
    storage_url: String,

    /// Where the auth service answers.
    #[arg(long, env)]
    auth_url: String,

    /// Where the inference service answers, which says what series of a study look like where nothing but their descriptions tells of
    /// which kind they are. Without it descriptions do.
    #[arg(long, env)]
    inference_url: Option<String>,
}

impl PeerUrls {
    /// Connects when the first call is made.
    pub fn connect(&self) -> Result<Peers> {
        let [storage, auth] = [&self.storage_url, &self.auth_url].map(|url| Peer::connect(url));
        let inference = self.inference_url.as_deref().map(Peer::connect).transpose()?;
        Ok(Peers { storage: storage?, auth: auth?, inference })
    }
}

/// Whom this service asks.
pub struct Peers {
    /// Takes what has been accepted.
    pub storage: Peer,
    /// For the public keys that tokens are verified with.
    pub auth: Peer,
    /// Says what series look like, where nothing but somebody's words tells their kind; without it words do.
    pub inference: Option<Peer>,
}

/// The service, assembled. Fails when the spool cannot be written, or the decoder is not there or not in the jail
/// that is demanded.
pub fn build(config: Config, ports: Ports, peers: Peers) -> Result<Service> {
    let Ports { clock, random } = ports;
    let reserve = Reserve::of_disk(&config.spool, config.disk_reserve_mib);
    let spool = Spool::open(&config.spool, config.upload_mib << 20, reserve)?;
    let partials = Partials::new(shelf(&config)?, clock.clone(), random);
    let decoder = Decoder::new(&config)?;
    let readiness =
        vec![("spool".into(), spool_check(&spool)), ("decoder".into(), decoder_check(&decoder))];
    let storage = ScansClient::new(peers.storage.clone());
    let feedback = FeedbackClient::new(peers.storage.clone());
    let learning = LearningClient::new(peers.storage.clone());
    let series_rules = SeriesRulesClient::new(peers.storage.clone());
    let kinds = peers.inference.map(KindsClient::new);
    let erasures = ErasuresClient::new(peers.storage);
    let unpacked_max = UNPACKED_TIMES * ((config.upload_mib as u64) << 20);
    let own = ServiceToken::new(peers.auth.clone(), config.service_secret.clone(), clock.clone());
    let (own, shown_to_models) = (own.towards("storage"), own.towards("inference"));
    let comparing = Turns::of(decoder.at_a_time());
    refusals::describe();
    let modalities = config.modalities.clone();
    let uploads = Uploads {
        spool,
        decoder,
        storage,
        feedback,
        learning,
        series_rules,
        kinds,
        erasures,
        own,
        shown_to_models,
        comparing,
        unpacked_max,
        modalities,
    };
    let mut workers = vec![partial::sweep(partials.clone())];
    let (reception, doors) = dicom::doors(&config, &uploads, &peers.auth, &clock)?;
    workers.extend(doors);
    let verifier = Verifier::new(peers.auth, clock).of("ingest");
    let rpc = rpc::Ingest::new(uploads, partials, reception, verifier);
    Ok(Service {
        name: "ingest",
        grpc: Routes::new(IngestServer::new(rpc)),
        workers,
        readiness,
        ..Service::default()
    })
}

/// Where unfinished uploads lie. A folder of their own is made at once, so that one that cannot be is told at start.
fn shelf(config: &Config) -> Result<Shelf> {
    const HOUR_MS: i64 = 3_600_000;
    let folder = config.unfinished.clone().unwrap_or_else(|| config.spool.join("unfinished"));
    let disk = config.unfinished.as_ref().unwrap_or(&config.spool);
    std::fs::create_dir_all(disk).map_err(spool::unusable)?;
    let most = Most {
        uploads: config.unfinished_uploads,
        bytes: config.unfinished_mib.saturating_mul(1 << 20),
        upload_bytes: (config.upload_mib as u64) << 20,
    };
    let reserve = Reserve::of_disk(disk, config.disk_reserve_mib);
    Ok(Shelf { folder, most, lifetime_ms: i64::from(config.unfinished_hours) * HOUR_MS, reserve })
}

fn spool_check(spool: &Spool) -> Check {
    let spool = spool.clone();
    check(move || {
        let spool = spool.clone();
        async move { spool.create().map(drop) }
    })
}

fn decoder_check(decoder: &Decoder) -> Check {
    let decoder = decoder.clone();
    check(move || {
        let decoder = decoder.clone();
        async move { decoder.answers().await }
    })
}
