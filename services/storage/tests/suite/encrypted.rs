//! Objects are kept encrypted, with a key for each patient, which goes with the last of their scans.

use std::fs;
use std::path::PathBuf;

use domain::ErrorKind;
use proto::storage::jobs_client::JobsClient;
use proto::storage::scans_client::ScansClient;
use proto::storage::*;
use service::claims::Role;
use service::topics;
use service::{Peer, Service};
use storage::{Config, Peers, Ports};
use tonic::Code;

use crate::erasing::{erase, naming, of, patient};
use crate::faults::objects;
use crate::reader::judged;
use crate::world::{Upload, World, collect, found, serve, until};

/// What every head has in its volume.
const VOXELS: &str = "one voxels";
/// What nothing is searched by.
const BIRTH_DATE: &str = "19470411";
/// A KMS where nobody listens.
const SILENT_RING: &str =
    "gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/k?endpoint=http://127.0.0.1:1";

/// The rows of that table, by one column.
async fn column(world: &World, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(world.ports.database.pool()).await.unwrap()
}

async fn keys_of(world: &World) -> Vec<String> {
    column(world, "SELECT id FROM data_keys ORDER BY id").await
}

pub async fn what_is_kept_shows_nothing_and_is_read_as_it_came(world: World) {
    let mut upload = of("one", "4711");
    let identity = upload.header.identity.as_mut().unwrap();
    identity.patient_birth_date = Some(BIRTH_DATE.into());
    let scan = world.accept(upload.clone()).await.unwrap();
    assert_eq!(naming(&world, BIRTH_DATE), Vec::<String>::new());
    let asked = world.by(world.hospital, ScanRef { id: scan.id.clone() });
    let told = world.scans.clone().get_identity(asked).await.unwrap().into_inner();
    assert_eq!(told.identity, upload.header.identity);
    assert_eq!(naming(&world, VOXELS), Vec::<String>::new());
    assert_eq!(naming(&world, "one file"), Vec::<String>::new());
    assert_eq!(world.read(&scan, "volume").await.unwrap(), upload.volume);
    assert_eq!(world.read(&scan, "original").await.unwrap(), upload.original);
    for from in [0, 3, upload.original.len(), upload.original.len() + 1] {
        let rest = ArtefactRest { id: scan.id.clone(), name: "original".into(), from: from as u64 };
        let rest = world.scans.clone().read_rest(world.by(world.hospital, rest)).await.unwrap();
        let expected = upload.original.get(from..).unwrap_or_default();
        assert_eq!(collect(rest.into_inner()).await.unwrap(), expected, "from {from}");
    }
    // What is made of it, too.
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let job = world.claim(&world.announced(&mut ready).await).await.unwrap();
    assert_eq!(world.volume(&job).await.unwrap(), upload.volume);
    world.complete(found(&job)).await.unwrap();
    assert_eq!(world.read(&scan, "mask.png").await.unwrap(), b"a mask");
    for path in objects(&world) {
        assert!(fs::read(&path).unwrap().starts_with(b"medseg\x00\x01"), "{}", path.display());
    }
    assert_eq!(
        column(&world, "SELECT DISTINCT data_key FROM artefacts").await,
        keys_of(&world).await
    );
}

pub async fn a_patient_has_one_key_which_goes_with_the_last_of_their_scans(world: World) {
    let mut scans = Vec::new();
    for upload in
        [of("one", "4711"), of("two", "4711"), of("three", "4712"), of("four", ""), of("five", "")]
    {
        scans.push(world.accept(upload).await.unwrap());
    }
    // Nobody's scans have nothing in common.
    assert_eq!(world.count("data_keys").await, 4);
    for (scan, left) in [(0, 4), (1, 3), (3, 2)] {
        let deleted = ScanRef { id: scans[scan].id.clone() };
        let request = world.by_role(world.hospital, Role::Admin, deleted);
        world.scans.clone().delete(request).await.unwrap();
        assert_eq!(world.count("data_keys").await, left, "after scan {scan}");
    }
    let elsewhere = world.accept_for(world.neighbour, of("six", "4712")).await.unwrap();
    assert_eq!((world.count("data_keys").await, world.count("tenant_keys").await), (3, 2));
    assert_eq!(world.read(&elsewhere, "volume").await.unwrap_err().code(), Code::NotFound);
}

pub async fn a_copy_of_an_erased_patients_objects_opens_no_more(world: World) {
    let (one, other) = (
        world.accept(of("one", "4711")).await.unwrap(),
        world.accept(of("two", "4712")).await.unwrap(),
    );
    let of_one: String =
        sqlx::query_scalar("SELECT DISTINCT data_key FROM artefacts WHERE scan_id = ?")
            .bind(one.id.clone())
            .fetch_one(world.ports.database.pool())
            .await
            .unwrap();
    let wrapped: String = sqlx::query_scalar("SELECT wrapped FROM data_keys WHERE id = ?")
        .bind(of_one.clone())
        .fetch_one(world.ports.database.pool())
        .await
        .unwrap();
    let backup: Vec<(PathBuf, Vec<u8>)> =
        objects(&world).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let pool = world.ports.database.pool();
    let rows: Vec<(String, String, String, i64, String)> = sqlx::query_as(
        "SELECT name, blob_key, sha256, size_bytes, data_key FROM artefacts WHERE scan_id = ?",
    )
    .bind(one.id.clone())
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(rows.iter().all(|row| row.4 == of_one));

    let by = (world.hospital, Role::Admin);
    let done = erase(&world, by, patient("4711"), "they ask for it").await.unwrap();
    assert!(done.left.is_empty() && done.keys.len() == 1, "{done:?}");
    let key = &done.keys[0];
    assert!(key.id == of_one && key.made_ms > 0 && key.destroyed_ms >= key.made_ms, "{key:?}");
    assert_eq!(naming(&world, &wrapped), Vec::<String>::new());

    // Whatever a backup has of the scan but the keys, which are kept apart.
    for (path, bytes) in backup {
        fs::write(path, bytes).unwrap();
    }
    for (name, blob_key, sha256, size_bytes, data_key) in rows {
        sqlx::query(
            "INSERT INTO artefacts (tenant_id, scan_id, name, blob_key, sha256, size_bytes, data_key)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(world.hospital.to_string())
        .bind(one.id.clone())
        .bind(name.clone())
        .bind(blob_key)
        .bind(sha256)
        .bind(size_bytes)
        .bind(data_key)
        .execute(pool)
        .await
        .unwrap();
        assert_eq!(world.read(&one, &name).await.unwrap_err().code(), Code::Internal, "{name}");
    }
    world.read(&other, "volume").await.unwrap();
    // What comes of the patient later has another key.
    let mut later = of("three", "4711");
    (later.header.study_uid, later.header.received_ms) = ("1.3".into(), done.begun_ms + 1);
    let later = world.accept(later).await.unwrap();
    assert!(!keys_of(&world).await.contains(&of_one));
    world.read(&later, "volume").await.unwrap();
}

pub async fn what_came_before_there_were_keys_stays_readable(world: World) {
    let upload = of("one", "4711");
    let scan = world.accept_at(world.without_keys(), world.hospital, upload.clone()).await.unwrap();
    assert!(!naming(&world, VOXELS).is_empty());
    assert_eq!(world.read(&scan, "volume").await.unwrap(), upload.volume);
    // What is made of it now is encrypted, and a further scan shares the key.
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let job = world.claim(&world.announced(&mut ready).await).await.unwrap();
    world.complete(found(&job)).await.unwrap();
    assert_eq!(naming(&world, "a mask"), Vec::<String>::new());
    assert_eq!(world.read(&scan, "mask.png").await.unwrap(), b"a mask");
    world.accept(of("two", "4711")).await.unwrap();
    assert_eq!(world.count("data_keys").await, 1);
}

pub async fn a_ring_that_opens_nothing_here_is_refused_at_the_start(world: World) {
    let scan = world.accept(Upload::of("a head")).await.unwrap();
    let other = world.data.path().join("other-keys");
    platform::keys::make(&other, &world.ports.random).unwrap();
    for data_keys_url in [None, Some(format!("file://{}", other.display()))] {
        let config = Config { data_keys_url, ..world.config.clone() };
        let opened = Ports::open(&config, world.clock.clock(), world.ports.random.clone()).await;
        let refused = opened.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains("DATA_KEYS_URL"), "{refused}");
    }
    // Whoever has them open all the same is told that it may pass, and no job ends for it.
    let asked = ArtefactRef { id: scan.id.clone(), name: "volume".into() };
    let asked = world.by(world.hospital, asked);
    let refused = world.without_keys().read(asked).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
}

pub async fn a_newer_key_of_the_ring_takes_over_and_the_older_one_is_needed_no_more(world: World) {
    let scan = judged(&world).await;
    let file = world.data.path().join("data-keys");
    let wrapped_by = "SELECT wrapped_by FROM tenant_keys";
    let (old, before) = (fs::read_to_string(&file).unwrap(), column(&world, wrapped_by).await);
    let new = "cd".repeat(32);
    fs::write(&file, format!("{new}\n{old}")).unwrap();
    let open = || Ports::open(&world.config, world.clock.clock(), world.ports.random.clone());
    let rotated = open().await.unwrap();
    let service = storage::build(world.rules.clone(), rotated, Peers::auth(world.auth()));
    let _rotated = serve(service).await;
    until(|| column(&world, wrapped_by), |now| *now != before).await;
    fs::write(&file, &new).unwrap();
    let alone = open().await.unwrap();
    let alone = storage::build(world.rules.clone(), alone, Peers::auth(world.auth()));
    let asked = ArtefactRef { id: scan.id.clone(), name: "mask.png".into() };
    let asked = world.by(world.hospital, asked);
    let read = ScansClient::new(Peer::within(&alone)).read(asked).await.unwrap();
    assert_eq!(collect(read.into_inner()).await.unwrap(), b"a mask");
}

/// Storage that is started anew on what there is, with that ring.
async fn renewed(world: &World, ring: &str) -> Service {
    let ring = platform::keys::connect(ring, world.ports.random.clone()).await.unwrap();
    let ports = Ports { keys: Some(ring), ..world.ports.clone() };
    storage::build(world.rules.clone(), ports, Peers::auth(world.auth()))
}

pub async fn while_kms_is_away_no_attempt_is_spent_and_nobody_else_waits(world: World) {
    let (scan, id) = world.ready().await;
    let upload = of("two", "4712");
    let plain = world.accept_at(world.without_keys(), world.neighbour, upload).await.unwrap();
    let renewed = renewed(&world, SILENT_RING).await;
    let (mut scans, mut jobs) =
        (ScansClient::new(Peer::within(&renewed)), JobsClient::new(Peer::within(&renewed)));
    let claim = |in_turn: bool| {
        let (job_id, worker) = (id.clone(), "worker-1".into());
        world.worker(ClaimJob { job_id, worker, alone: !in_turn, in_turn })
    };
    assert_eq!(jobs.claim(claim(false)).await.unwrap_err().code(), Code::Unavailable);
    // In its place the job of a hospital that has no key, and then none.
    let claimed = jobs.claim(claim(true)).await.unwrap().into_inner();
    assert_eq!(claimed.scan_id, plain.id);
    assert_eq!(jobs.claim(claim(true)).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(world.get(&scan).await.state(), State::Queued);

    let upload = of("three", "4713");
    let refused = world.accept_at(scans.clone(), world.hospital, upload).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let asked = world.by(world.hospital, ScanRef { id: scan.id.clone() });
    let untold = scans.get_identity(asked).await.unwrap_err();
    assert_eq!(untold.code(), Code::Unavailable);
    let told = column(&world, "SELECT action FROM audit WHERE action = 'scan.identity.read'").await;
    assert!(told.is_empty(), "what was not told is not noted");

    let job = world.claim(&id).await.unwrap();
    assert_eq!(job.attempt, 1);
    assert_eq!(world.volume(&job).await.unwrap(), Upload::of("a head").volume);
}

pub async fn where_the_keys_rows_are_gone_nothing_is_taken_and_no_start_makes_others(world: World) {
    world.accept(of("one", "4711")).await.unwrap();
    let pool = world.ports.database.pool();
    sqlx::query("DELETE FROM tenant_keys").execute(pool).await.unwrap();
    // Storage has the key in memory, and nobody would have it later.
    for patient in ["4711", "4712"] {
        let refused = world.accept(of("two", patient)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{patient}");
    }
    for data_keys_url in [None, world.config.data_keys_url.clone()] {
        let config = Config { data_keys_url, ..world.config.clone() };
        let opened = Ports::open(&config, world.clock.clock(), world.ports.random.clone()).await;
        let refused = opened.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains("storage-keys.sql"), "{refused}");
    }
    assert_eq!(world.count("tenant_keys").await, 0);
}

pub async fn one_hospitals_damaged_key_keeps_no_other_from_the_rings_newer_one(world: World) {
    for tenant in [world.hospital, world.neighbour] {
        world.accept_for(tenant, of("one", "4711")).await.unwrap();
    }
    let first = column(&world, "SELECT MIN(tenant_id) FROM tenant_keys").await.remove(0);
    sqlx::query("UPDATE tenant_keys SET wrapped = 'damaged' WHERE tenant_id = ?")
        .bind(first)
        .execute(world.ports.database.pool())
        .await
        .unwrap();
    let (file, new) = (world.data.path().join("data-keys"), "cd".repeat(32));
    fs::write(&file, format!("{new}\n{}", fs::read_to_string(&file).unwrap())).unwrap();
    let wrapped_by = "SELECT wrapped_by FROM tenant_keys ORDER BY tenant_id";
    let before = column(&world, wrapped_by).await;
    let ring = format!("file://{}", file.display());
    let _renewed = serve(renewed(&world, &ring).await).await;
    let now = until(|| column(&world, wrapped_by), |now| now[1] != before[1]).await;
    assert_eq!(now[0], before[0]);
}
