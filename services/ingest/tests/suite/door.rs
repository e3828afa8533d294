//! Scanners and archives send over the network, by a real client of the upper layer.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dicom_ul::association::Error as Failed;
use dicom_ul::pdu::{AssociationRJSource, PDataValue, PDataValueType, Pdu};
use dicom_ul::{ClientAssociation, ClientAssociationOptions};
use domain::TenantId;
use imaging::encode::{Series, zip};
use ingest::{Config, DicomSettings, Peers, Ports, build};
use proto::auth::{Revocation, RevocationList};
use proto::ingest::ingest_client::IngestClient;
use proto::storage::{Answer, ListScans, Scan, State};
use service::claims::testing::Issuer;
use service::claims::{Role, operator_tenant};
use service::{Peer, run_workers, system_clock, system_random};
use storage::Rules;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::files;
use crate::storage::Storage;
use crate::world::World;

pub const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
const REPORT: &str = "1.2.840.10008.5.1.4.1.1.88.33";
const VERIFICATION: &str = "1.2.840.10008.1.1";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";
pub const COMMITMENT: &str = "1.2.840.10008.1.20.1";
/// Beyond it a test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ingest with its door open, for two hospitals.
pub struct Hospitals {
    pub storage: Storage,
    issuer: Issuer,
    folder: TempDir,
    pub tokens: [String; 2],
    /// Of an administrator of the first.
    pub admin: String,
    pub address: SocketAddr,
    change: fn(&mut DicomSettings, &Path),
    /// Another program than the decoder.
    decoder: Option<PathBuf>,
    /// What it answers besides; none while it does not run.
    pub ingest: Option<IngestClient<Peer>>,
    running: Option<JoinHandle<()>>,
}

/// Who calls whom.
#[derive(Clone, Copy)]
pub struct Titles(&'static str, &'static str);

pub const NORTH: Titles = Titles("NORTH_MR", "MEDSEG");
pub const SOUTH: Titles = Titles("SOUTH_MR", "MEDSEG");

impl Hospitals {
    pub async fn open() -> Hospitals {
        Hospitals::with(|_, _| ()).await
    }

    /// With other settings; files that they name lie in the folder.
    pub async fn with(change: fn(&mut DicomSettings, &Path)) -> Hospitals {
        Hospitals::begun(change, None).await
    }

    /// With that program as its decoder.
    pub async fn decoded_by(decoder: PathBuf) -> Hospitals {
        Hospitals::begun(|_, _| (), Some(decoder)).await
    }

    async fn begun(change: fn(&mut DicomSettings, &Path), decoder: Option<PathBuf>) -> Hospitals {
        let (clock, random) = (system_clock(), system_random());
        let issuer = Issuer::at(clock.clone());
        let token = |name: &str, role| {
            let tenant = TenantId::new(&clock, &random);
            let admin = issuer.token(tenant, &[Role::Admin]);
            (
                issuer.token(tenant, &[Role::Clinician]),
                issuer.token_of(name, tenant, &[role]),
                admin,
            )
        };
        let (north, north_door, admin) = token("north", Role::Integrator);
        let (south, south_door, _) = token("south", Role::Integrator);
        issuer.admit_client("north", "open sesame", north_door);
        issuer.admit_client("south", "open sesame", south_door);
        let (_, reads_only, _) = token("scientist", Role::Scientist);
        issuer.admit_client("scientist", "open sesame", reads_only);
        let storage =
            Storage::open(Rules::default(), &issuer, north.clone(), (clock, random)).await;
        // Taken and let go: nobody else is given it so soon.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (folder, tokens) = (tempfile::tempdir().unwrap(), [north, south]);
        let (ingest, running) = (None, None);
        let mut hospitals = Hospitals {
            storage,
            issuer,
            folder,
            tokens,
            admin,
            address,
            change,
            decoder,
            ingest,
            running,
        };
        hospitals.start().await;
        hospitals
    }

    fn config(&self) -> Config {
        let table = self.folder.path().join("senders.json");
        let sender = |title: &str, client: &str, site: &str| {
            format!(
                r#"{{"ae_title": "{title}", "called_ae_title": "MEDSEG", "client_id": "{client}",
                    "client_secret": "open sesame", "site": "{site}"}}"#
            )
        };
        let all = [
            sender("NORTH_MR", "north", ""),
            sender("NORTH_CT", "north", "next door"),
            sender("SOUTH_MR", "south", ""),
            sender("SCIENTIST", "scientist", ""),
            sender("FORGOTTEN", "of nobody", ""),
        ];
        std::fs::write(&table, format!(r#"{{"senders": [{}]}}"#, all.join(","))).unwrap();
        let mut dicom = DicomSettings {
            dicom_listen: Some(self.address),
            dicom_senders: Some(table),
            dicom_quiet_s: 1,
            ..DicomSettings::default()
        };
        (self.change)(&mut dicom, self.folder.path());
        let spool = self.folder.path().join("spool");
        Config {
            disk_reserve_mib: 1,
            decoder: self.decoder.clone(),
            dicom,
            ..Config::at(spool, Issuer::SERVICE_SECRET.into())
        }
    }

    pub async fn start(&mut self) {
        let service = until(async || {
            let ports = Ports { clock: system_clock(), random: system_random() };
            let (storage, auth) = (self.storage.peer.clone(), self.issuer.peer());
            let peers = Peers { storage, auth, inference: None };
            // A process that was killed gives its port and its folder up a moment later.
            build(self.config(), ports, peers).ok()
        })
        .await;
        self.ingest = Some(IngestClient::new(Peer::within(&service)));
        let running = run_workers(service.workers, Duration::ZERO, CancellationToken::new());
        self.running = Some(tokio::spawn(async { running.await.unwrap() }));
    }

    /// From now on the tokens of the hospitals' users serve no more, as whoever asks again is told.
    pub fn bar_users(&self) {
        let user = Revocation { id: "tester".into(), epoch: 1 };
        self.issuer.revoke(RevocationList { subjects: vec![user], ..RevocationList::default() });
    }

    /// As a crash ends it: nothing is finished.
    pub async fn kill(&mut self) {
        // It has a hold of the folder, too.
        self.ingest = None;
        let Some(running) = self.running.take() else { return };
        running.abort();
        let _ = running.await;
    }

    pub async fn store(&self, titles: Titles, files: &[Vec<u8>]) -> Vec<u16> {
        let (address, files) = (self.address, files.to_vec());
        tokio::task::spawn_blocking(move || store(address, titles, &files)).await.unwrap()
    }

    pub async fn scans(&self) -> Vec<Scan> {
        self.storage.scans(ListScans::default()).await
    }

    /// Where its files lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// That many scans of the first hospital, once there are.
    pub async fn scans_when(&self, count: usize) -> Vec<Scan> {
        until(async || Some(self.scans().await).filter(|scans| scans.len() == count)).await
    }

    /// Waits until nothing is on its way into a series, and long enough for a scan that should not be.
    pub async fn quiet(&self) {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

/// What `look` finds in the end.
pub async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it does not come")
}

pub fn options(titles: Titles) -> ClientAssociationOptions<'static> {
    ClientAssociationOptions::new()
        .calling_ae_title(titles.0)
        .called_ae_title(titles.1)
        .with_presentation_context(VERIFICATION, vec![EXPLICIT])
        .with_presentation_context(MR, vec![EXPLICIT])
        .with_presentation_context(REPORT, vec![EXPLICIT])
        .with_presentation_context(COMMITMENT, vec![IMPLICIT])
}

/// Sends each file in one association, and says how each was answered.
fn store(address: SocketAddr, titles: Titles, files: &[Vec<u8>]) -> Vec<u16> {
    let mut association = options(titles).establish(address).unwrap();
    let context = context(&association, MR);
    let statuses = files.iter().map(|file| {
        let (instance, data_set) = parts(file);
        let command = command(0x0001, MR, &instance, 1);
        let value = |value_type, is_last, data: &[u8]| PDataValue {
            presentation_context_id: context,
            value_type,
            is_last,
            data: data.to_vec(),
        };
        let mut pieces = data_set.chunks(10_000).peekable();
        let begun = value(PDataValueType::Command, true, &command);
        association.send(&Pdu::PData { data: vec![begun] }).unwrap();
        while let Some(piece) = pieces.next() {
            let piece = value(PDataValueType::Data, pieces.peek().is_none(), piece);
            association.send(&Pdu::PData { data: vec![piece] }).unwrap();
        }
        status(&association.receive().unwrap())
    });
    let statuses = statuses.collect();
    association.release().unwrap();
    statuses
}

/// The context that was accepted for that class.
pub fn context(association: &ClientAssociation<TcpStream>, class: &str) -> u8 {
    let mut contexts = association.presentation_contexts().iter();
    contexts.find(|one| one.abstract_syntax == class).unwrap().id
}

/// A command set (PS3.7, annex E), with the elements in any order but the right ones.
fn command(field: u16, class: &str, instance: &str, data_set: u16) -> Vec<u8> {
    let element = |element: u16, value: &[u8]| {
        let mut value = value.to_vec();
        if value.len() % 2 == 1 {
            value.push(0);
        }
        let length = (value.len() as u32).to_le_bytes();
        [&[0u8, 0][..], &element.to_le_bytes(), &length, &value[..]].concat()
    };
    [
        element(0x0002, class.as_bytes()),
        element(0x0100, &field.to_le_bytes()),
        element(0x0110, &9u16.to_le_bytes()),
        element(0x0800, &data_set.to_le_bytes()),
        element(0x1000, instance.as_bytes()),
    ]
    .concat()
}

pub fn status(pdu: &Pdu) -> u16 {
    let Pdu::PData { data } = pdu else { panic!("{pdu:?}") };
    let bytes = &data[0].data;
    let head: [u8; 8] = [0, 0, 0, 9, 2, 0, 0, 0];
    let at = bytes.windows(head.len()).position(|window| window == head).unwrap() + head.len();
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The UID of the instance in a DICOM file, and its data set.
pub fn parts(file: &[u8]) -> (String, &[u8]) {
    let head = b"\x02\0\x03\0UI";
    let at = file.windows(head.len()).position(|window| window == head).unwrap() + head.len();
    let length = usize::from(u16::from_le_bytes([file[at], file[at + 1]]));
    let uid = String::from_utf8(file[at + 2..at + 2 + length].to_vec()).unwrap();
    let meta = u32::from_le_bytes(file[140..144].try_into().unwrap()) as usize;
    (uid.trim_end_matches('\0').to_owned(), &file[144 + meta..])
}

/// Eight slices from one end to the other.
pub fn series(seed: u64) -> Vec<Vec<u8>> {
    let mut slices = files::dicom_slices(&[Series::of_seed(seed)]);
    slices.sort();
    slices.into_iter().map(|(_, bytes)| bytes).collect()
}

#[tokio::test]
async fn a_series_by_the_door_is_the_scan_that_its_zip_is() {
    let hospitals = Hospitals::open().await;
    assert_eq!(hospitals.store(NORTH, &series(7)).await, [0; 8]);
    let scan = hospitals.scans_when(1).await.remove(0);
    let kept = hospitals.storage.kept(&scan).await;

    let world = World::new().await;
    let zipped = world.upload(&zip(&files::dicom_slices(&[Series::of_seed(7)])).unwrap()).await;
    let uploaded = world.storage.kept(&zipped.unwrap().unwrap()).await;
    assert!(kept.volume == uploaded.volume, "another volume than by the other door");
    assert_eq!(scan.shape, uploaded.scan.shape);
}

#[tokio::test]
async fn what_comes_again_makes_nothing_and_what_comes_late_makes_a_new_scan() {
    let hospitals = Hospitals::open().await;
    let mut all = series(8);
    let late = all.pop().unwrap();
    hospitals.store(NORTH, &all[..4]).await;
    // Another association, another order, some of it once more: one series.
    all.reverse();
    hospitals.store(NORTH, &all).await;
    let first = hospitals.scans_when(1).await.remove(0);
    hospitals.store(NORTH, &all).await;
    hospitals.quiet().await;
    assert_eq!(hospitals.scans().await.len(), 1);
    hospitals.store(NORTH, &[late]).await;
    let both = hospitals.scans_when(2).await;
    assert!(both.iter().any(|scan| scan.id == first.id), "what was there stays");
    let slices = |scan: &Scan| scan.shape[0];
    let newer = both.iter().find(|scan| scan.id != first.id).unwrap();
    assert_eq!((slices(&first), slices(newer)), (7, 8));
}

#[tokio::test]
async fn a_series_of_one_instance_that_never_fits_is_kept_and_not_analysed() {
    let hospitals = Hospitals::open().await;
    let middle = |series: Series| {
        let mut slices = files::dicom_slices(&[series]);
        slices.sort();
        slices.remove(4).1
    };
    let flair = Series::of_seed(9);
    let projection = flair.beside(10).described("MIP", "DERIVED\\SECONDARY\\MIP");
    hospitals.store(NORTH, &[middle(flair), middle(projection)]).await;
    let scans = hospitals.scans_when(2).await;
    let of = |state: State| scans.iter().find(|scan| scan.state() == state).unwrap();
    assert_eq!(of(State::Queued).answer(), Answer::Unspecified);
    let kept = of(State::Done);
    assert_eq!(kept.answer(), Answer::NotAnalysable);
    assert!(kept.reason.contains("kept and not analysed"), "{}", kept.reason);
}

#[tokio::test]
async fn what_a_limit_leaves_no_room_for_is_kept_in_the_inbox_and_goes_on_later() {
    let mut hospitals = Hospitals::open().await;
    hospitals.store(NORTH, &series(14)).await;
    hospitals.scans_when(1).await;
    let operator = hospitals.issuer.token(operator_tenant(), &[Role::Operator]);
    hospitals.storage.limit_jobs(1, &operator).await;
    // Its sender is told nothing of it: what was taken is safe.
    assert_eq!(hospitals.store(NORTH, &series(15)).await, [0; 8]);
    hospitals.quiet().await;
    assert_eq!(hospitals.scans().await.len(), 1);
    hospitals.storage.limit_jobs(0, &operator).await;
    // Whoever begins anew asks at once, and not after a pause.
    hospitals.kill().await;
    hospitals.start().await;
    hospitals.scans_when(2).await;
}

#[tokio::test]
async fn a_hospital_whose_share_of_the_inbox_is_full_is_told_so_and_keeps_no_other_out() {
    let with = |dicom: &mut DicomSettings, _: &Path| {
        dicom.dicom_inbox_mib = 1;
        dicom.dicom_quiet_s = 3600;
    };
    let hospitals = Hospitals::with(with).await;
    // Each instance counts for 16 KiB at least: those of either sender would be half of the inbox, or more.
    let sent = async |titles: Titles, seeds: std::ops::Range<u64>| {
        let files: Vec<_> = seeds.flat_map(series).collect();
        let answers = hospitals.store(titles, &files).await;
        let of = |status: u16| answers.iter().filter(|answer| **answer == status).count();
        assert_eq!(of(0) + of(0xa700), answers.len(), "{answers:?}");
        (of(0), of(0xa700))
    };
    let (kept, refused) = sent(NORTH, 70..75).await;
    assert!(kept > 0 && refused > 0, "{kept} {refused}");
    let (fewer, refused) = sent(Titles("NORTH_CT", "MEDSEG"), 75..80).await;
    assert!(fewer < kept && refused > 0, "{fewer} {refused}");
    let south = series(80).remove(0);
    assert_eq!(hospitals.store(SOUTH, &[south]).await, [0]);
}

#[tokio::test]
async fn a_series_that_is_refused_is_told_of_once_however_often_it_comes() {
    let hospitals = Hospitals::open().await;
    let mut gap = series(13);
    gap.remove(3);
    hospitals.store(NORTH, &gap).await;
    let told = async || Some(hospitals.storage.refused().await).filter(|told| !told.is_empty());
    let told = until(told).await;
    assert_eq!(told[0].problem, "uneven-slices");
    hospitals.store(NORTH, &gap).await;
    hospitals.quiet().await;
    assert_eq!(hospitals.storage.refused().await, told);
    assert!(hospitals.scans().await.is_empty());
}

#[tokio::test]
async fn what_is_acknowledged_survives_whoever_took_it_and_is_one_scan() {
    let mut hospitals = Hospitals::open().await;
    assert_eq!(hospitals.store(NORTH, &series(9)[..6]).await, [0; 6]);
    hospitals.kill().await;
    hospitals.start().await;
    assert_eq!(hospitals.store(NORTH, &series(9)[6..]).await, [0; 2]);
    let scan = hospitals.scans_when(1).await.remove(0);
    assert_eq!(scan.shape[0], 8);
    // Once more, when all is done: it is known that it is.
    hospitals.kill().await;
    hospitals.start().await;
    hospitals.quiet().await;
    assert_eq!(hospitals.scans().await.len(), 1);
}

#[tokio::test]
async fn each_hospital_has_what_its_own_scanners_send() {
    let hospitals = Hospitals::open().await;
    hospitals.store(SOUTH, &series(10)).await;
    hospitals.store(NORTH, &series(11)).await;
    let north = hospitals.scans_when(1).await.remove(0);
    assert!(hospitals.storage.get_as(&north, &hospitals.tokens[1]).await.is_err());
    until(async || (hospitals.storage.count("scans").await == 2).then_some(())).await;
    assert_eq!(hospitals.scans().await.len(), 1);
}

#[tokio::test]
async fn who_is_not_in_the_table_or_may_not_send_is_rejected_with_the_reason() {
    let hospitals = Hospitals::open().await;
    let address = hospitals.address;
    let rejected = async |titles: Titles| {
        let asked = move || options(titles).establish(address).err().unwrap();
        let failed = tokio::task::spawn_blocking(asked).await.unwrap();
        let Failed::Rejected { association_rj, .. } = failed else { panic!("{failed:?}") };
        let AssociationRJSource::ServiceUser(reason) = association_rj.source else { panic!() };
        reason.to_string()
    };
    let calling = "calling AE title not recognized";
    assert_eq!(rejected(Titles("STRANGER", "MEDSEG")).await, calling);
    assert_eq!(rejected(Titles("NORTH_MR", "PACS")).await, "called AE title not recognized");
    // A client that may look and not send, and one that there is not.
    assert_eq!(rejected(Titles("SCIENTIST", "MEDSEG")).await, calling);
    assert_eq!(rejected(Titles("FORGOTTEN", "MEDSEG")).await, calling);
}

#[tokio::test]
async fn an_echo_is_answered_and_what_holds_no_slice_is_not_negotiated() {
    let hospitals = Hospitals::open().await;
    let address = hospitals.address;
    let asked = tokio::task::spawn_blocking(move || {
        let mut association = options(NORTH).establish(address).unwrap();
        let contexts = association.presentation_contexts().to_vec();
        let echo = PDataValue {
            presentation_context_id: context(&association, VERIFICATION),
            value_type: PDataValueType::Command,
            is_last: true,
            data: command(0x0030, VERIFICATION, "", 0x0101),
        };
        association.send(&Pdu::PData { data: vec![echo] }).unwrap();
        let answered = status(&association.receive().unwrap());
        association.release().unwrap();
        (answered, contexts.iter().any(|context| context.abstract_syntax == REPORT))
    });
    assert_eq!(asked.await.unwrap(), (0, false));
}

#[tokio::test]
async fn of_an_association_that_is_cut_what_was_acknowledged_stays_and_the_rest_is_gone() {
    let hospitals = Hospitals::open().await;
    let slices = series(12);
    hospitals.store(NORTH, &slices[..7]).await;
    let (address, last) = (hospitals.address, slices[7].clone());
    let half = tokio::task::spawn_blocking(move || {
        let mut association = options(NORTH).establish(address).unwrap();
        let (instance, data_set) = parts(&last);
        let context = context(&association, MR);
        let value = |value_type, is_last, data| PDataValue {
            presentation_context_id: context,
            value_type,
            is_last,
            data,
        };
        let begun = value(PDataValueType::Command, true, command(0x0001, MR, &instance, 1));
        let some = value(PDataValueType::Data, false, data_set[..5000].to_vec());
        association.send(&Pdu::PData { data: vec![begun] }).unwrap();
        association.send(&Pdu::PData { data: vec![some] }).unwrap();
        association.abort().unwrap();
    });
    half.await.unwrap();
    let scan = hospitals.scans_when(1).await.remove(0);
    assert_eq!(scan.shape[0], 7);
    let inbox = hospitals.folder.path().join("spool/inbox");
    let names = std::fs::read_dir(inbox).unwrap().flatten().map(|entry| entry.file_name());
    let half = names.filter(|name| name.to_string_lossy().starts_with("arriving-")).count();
    assert_eq!(half, 0);
}
