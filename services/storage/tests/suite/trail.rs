use platform::trail::{self, Head};
use proto::audit::{Entry, HeadsRef, Note, Search, Stretch};
use proto::storage::audit_trail_client::AuditTrailClient;
use proto::storage::*;
use service::Peer;
use service::claims::{ORIGIN, REASON, Role, authorised};
use storage::{Peers, Rules};
use tonic::{Code, Request, Status};

use crate::world::{Upload, World};

fn client(world: &World) -> AuditTrailClient<Peer> {
    let peers = Peers::auth(world.auth());
    AuditTrailClient::new(Peer::within(&storage::build(
        world.rules.clone(),
        world.ports.clone(),
        peers,
    )))
}

fn by_delivery<T>(world: &World, message: T) -> Request<T> {
    authorised(message, &world.issuer.delivery_token())
}

/// What the trail of that hospital says, newest first.
async fn read(world: &World, search: Search) -> Result<Vec<Entry>, Status> {
    let search = Search { limit: 100, ..search };
    let asked = world.by_role(world.hospital, Role::Admin, search);
    Ok(client(world).list(asked).await?.into_inner().entries)
}

fn told<T>(mut request: Request<T>, origin: &'static str, reason: &'static str) -> Request<T> {
    request.metadata_mut().insert(ORIGIN, origin.parse().unwrap());
    request.metadata_mut().insert(REASON, reason.parse().unwrap());
    request
}

pub async fn an_entry_says_who_from_where_and_why(world: World) {
    let scan = world.accept(Upload::of("a head")).await.unwrap();
    let ask = world.by(world.hospital, ScanRef { id: scan.id.clone() });
    world.scans.clone().get_identity(told(ask, "10.0.0.7", "appel%C3%A9")).await.unwrap();
    let entries = read(&world, Search::default()).await.unwrap();
    let entry = entries.iter().find(|entry| entry.action == "scan.identity.read").unwrap();
    assert_eq!((entry.origin.as_str(), entry.reason.as_str()), ("10.0.0.7", "appelé"));
    assert_eq!((entry.roles.as_str(), &entry.object_id), ("clinician", &scan.id));
    // The upload came without either, and as earlier versions have written it.
    let upload = entries.iter().find(|entry| entry.action == "scan.accepted").unwrap();
    assert_eq!((upload.origin.as_str(), upload.reason.as_str()), ("", ""));
}

pub async fn delivery_alone_is_handed_a_chain_as_it_is_and_that_is_no_entry(world: World) {
    world.accept(Upload::of("a head")).await.unwrap();
    let heads = by_delivery(&world, HeadsRef {});
    let heads = client(&world).heads(heads).await.unwrap().into_inner().heads;
    let tenant_id = world.hospital.to_string();
    let head = heads.iter().find(|head| head.tenant_id == tenant_id).unwrap().clone();
    let mut newest_first = read(&world, Search::default()).await.unwrap();
    let stretch = |from, limit| Stretch { tenant_id: tenant_id.clone(), from, limit };
    let handed = async |from, limit| {
        let asked = by_delivery(&world, stretch(from, limit));
        client(&world).read(asked).await.unwrap().into_inner().entries
    };
    newest_first.reverse();
    assert_eq!(handed(1, 100).await, newest_first);
    assert_eq!(handed(2, 1).await, newest_first[1..2]);
    // What is in it since is that an admin has read it.
    assert_eq!(handed(head.position + 1, 100).await.len(), 1);
    for role in [Role::Admin, Role::Integrator, Role::Clinician] {
        let asked = world.by_role(world.hospital, role, stretch(1, 1));
        assert_eq!(client(&world).read(asked).await.unwrap_err().code(), Code::PermissionDenied);
        let asked = world.by_role(world.hospital, role, HeadsRef {});
        assert_eq!(client(&world).heads(asked).await.unwrap_err().code(), Code::PermissionDenied);
    }
}

pub async fn readings_of_pixels_are_entries_and_the_same_one_is_one(world: World) {
    let scan = world.accept(Upload::of("a head")).await.unwrap();
    let of = Search { action: "scan.pixels.read".into(), ..Search::default() };
    for name in ["volume", "volume", "original", "volume", "image.png"] {
        world.read(&scan, name).await.unwrap();
    }
    let entries = read(&world, of.clone()).await.unwrap();
    let read_of: Vec<_> = entries.iter().map(|entry| entry.detail.as_str()).collect();
    assert_eq!(read_of, ["image.png", "original", "volume"]);
    let last_ms = world.clock.clock().now_ms();
    world.clock.advance(6 * 60_000);
    world.read(&scan, "volume").await.unwrap();
    // What was one reading is noted once it is over: how often it was done again, by whom and when.
    let noted = || async { read(&world, of.clone()).await.unwrap() };
    let noted = crate::world::until(noted, |noted| noted.len() == 5).await;
    let again: Vec<_> = noted.iter().filter(|entry| entry.detail.starts_with("again ")).collect();
    let [again] = again[..] else { panic!("{noted:?}") };
    assert_eq!((again.detail.as_str(), again.at_ms), ("again 2 times: volume", last_ms));
    let first = noted.iter().find(|entry| entry.detail == "original").unwrap();
    assert_eq!((&again.subject, &again.roles), (&first.subject, &first.roles));
    assert_eq!(noted.iter().filter(|entry| entry.detail == "volume").count(), 2);
    assert_eq!(broken(&world).await, None);
}

pub async fn the_trail_is_its_hospitals_admins_and_reading_it_is_an_entry(world: World) {
    world.accept(Upload::of("a head")).await.unwrap();
    for role in [Role::Clinician, Role::Integrator, Role::Scientist] {
        let asked = world.by_role(world.hospital, role, Search::default());
        let refused = client(&world).list(asked).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{role:?}");
    }
    let asked = world.by_role(world.neighbour, Role::Admin, Search::default());
    let theirs = client(&world).list(asked).await.unwrap().into_inner().entries;
    assert!(theirs.iter().all(|entry| entry.action == "audit.read"), "{theirs:?}");

    let first = Search { first: true, action: "audit.read".into(), ..Search::default() };
    for seen in 1..3 {
        let entries = read(&world, first.clone()).await.unwrap();
        assert_eq!((entries.len(), entries[0].detail.as_str()), (seen, "action=audit.read"));
    }
    let of = Search { to_ms: Some(0), ..Search::default() };
    assert!(read(&world, of).await.unwrap().is_empty());
    let of = Search { before: Some(2), ..Search::default() };
    assert_eq!(read(&world, of).await.unwrap().len(), 1);
}

pub async fn whoever_begins_to_read_in_the_middle_is_noted_and_whoever_goes_on_is_not_again(
    world: World,
) {
    world.accept(Upload::of("a head")).await.unwrap();
    let mut client = client(&world);
    let mut pages = async |first: bool, before: Option<i64>, action: &str| {
        let search = Search { limit: 1, first, before, action: action.into(), ..Search::default() };
        let asked = world.by_role(world.hospital, Role::Admin, search);
        client.list(asked).await.unwrap().into_inner().entries
    };
    let middle = pages(false, Some(2), "").await;
    assert_eq!(middle[0].action, "scan.accepted");
    let noted = async || -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE action = 'audit.read'")
            .fetch_one(world.ports.database.pool())
            .await
            .unwrap()
    };
    assert_eq!(noted().await, 1);
    pages(true, None, "scan.accepted").await;
    pages(false, Some(1), "scan.accepted").await;
    assert_eq!(noted().await, 2);
}

pub async fn what_is_told_in_ones_own_name_is_no_entry_of_storages_own(world: World) {
    let note = |action: &str| Note { action: action.into(), ..Note::default() };
    let own = |action| world.by_role(world.hospital, Role::Scientist, note(action));
    for _ in 0..2 {
        client(&world).note_own(own("access.refused")).await.unwrap();
    }
    let refused = client(&world).note_own(own("scan.deleted")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let of = Search { action: "access.refused".into(), ..Search::default() };
    let entries = read(&world, of).await.unwrap();
    // Each `client` is another instance: what one has noted, another notes anew.
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| entry.roles == "scientist"));
}

pub async fn a_role_that_must_say_why_is_told_nothing_without(world: World) {
    let scan = world.accept(Upload::of("a head")).await.unwrap();
    let identity_reason_roles = vec![Role::Clinician];
    let rules = Rules { identity_reason_roles, ..world.rules.clone() };
    let peers = Peers::auth(world.auth());
    let service = storage::build(rules, world.ports.clone(), peers);
    let scans = scans_client::ScansClient::new(Peer::within(&service));
    let ask = |role| world.by_role(world.hospital, role, ScanRef { id: scan.id.clone() });
    let refused = scans.clone().get_identity(ask(Role::Clinician)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("Medseg-Reason"), "{refused}");
    // Nor whose it is by the patient's number; all scans need no reason.
    let list = |patient_id: &str| {
        let list = ListScans { patient_id: patient_id.into(), ..ListScans::default() };
        world.by_role(world.hospital, Role::Clinician, list)
    };
    let refused = scans.clone().list(list("4711")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    scans.clone().list(told(list("4711"), "", "on call")).await.unwrap();
    scans.clone().list(list("")).await.unwrap();
    scans.clone().get_identity(told(ask(Role::Clinician), "", "on call")).await.unwrap();
    scans.clone().get_identity(ask(Role::Integrator)).await.unwrap();
    let of = Search { action: "scan.identity.read".into(), ..Search::default() };
    let entries = read(&world, of).await.unwrap();
    let why: Vec<_> = entries.iter().map(|entry| entry.reason.as_str()).collect();
    assert_eq!(why, ["", "on call"]);
}

/// The first broken position of the hospital's chain.
async fn broken(world: &World) -> Option<i64> {
    let chains = trail::verify(&world.ports.database, &[]).await.unwrap();
    let own = world.hospital.to_string();
    let chain = chains.into_iter().find(|chain| chain.tenant_id == own).unwrap();
    chain.broken.map(|broken| broken.position)
}

pub async fn a_row_that_was_tampered_with_is_found_and_named(world: World) {
    for number in 0..6 {
        world.accept(Upload::of(&format!("head {number}"))).await.unwrap();
    }
    world.accept_for(world.neighbour, Upload::of("another")).await.unwrap();
    assert_eq!(broken(&world).await, None);
    let pool = world.ports.database.pool();
    let own = world.hospital.to_string();
    for (harm, heal, position) in [
        (
            "UPDATE audit SET at_ms = at_ms + 1 WHERE tenant_id = ? AND position = 3",
            "UPDATE audit SET at_ms = at_ms - 1 WHERE tenant_id = ? AND position = 3",
            3,
        ),
        (
            "UPDATE audit SET reason = 'of later' WHERE tenant_id = ? AND position = 5",
            "UPDATE audit SET reason = '' WHERE tenant_id = ? AND position = 5",
            5,
        ),
        (
            "UPDATE audit SET position = 99 WHERE tenant_id = ? AND position = 2",
            "UPDATE audit SET position = 2 WHERE tenant_id = ? AND position = 99",
            2,
        ),
        (
            "INSERT INTO audit (tenant_id, position, at_ms, subject, action, object_id, previous, sha256)
             VALUES (?, 0, 1, 'nobody', 'scan.identity.read', '', '', '')",
            "DELETE FROM audit WHERE tenant_id = ? AND position = 0",
            1,
        ),
        (
            "UPDATE audit_heads SET sha256 = UPPER(sha256) WHERE tenant_id = ?",
            "UPDATE audit_heads SET sha256 = LOWER(sha256) WHERE tenant_id = ?",
            6,
        ),
        (
            "UPDATE audit_heads SET position = 7 WHERE tenant_id = ?",
            "UPDATE audit_heads SET position = 6 WHERE tenant_id = ?",
            7,
        ),
    ] {
        sqlx::query(harm).bind(own.clone()).execute(pool).await.unwrap();
        assert_eq!(broken(&world).await, Some(position), "{harm}");
        sqlx::query(heal).bind(own.clone()).execute(pool).await.unwrap();
        assert_eq!(broken(&world).await, None, "{heal}");
    }
    // Without its head, nothing of a chain counts.
    sqlx::query("DELETE FROM audit_heads WHERE tenant_id = ?")
        .bind(own)
        .execute(pool)
        .await
        .unwrap();
    assert_eq!(broken(&world).await, Some(1));
}

pub async fn a_tail_that_was_cut_off_is_found_by_what_was_anchored(world: World) {
    for number in 0..3 {
        world.accept(Upload::of(&format!("head {number}"))).await.unwrap();
    }
    let own = world.hospital.to_string();
    let anchored: Vec<Head> = trail::heads(&world.ports.database).await.unwrap();
    let pool = world.ports.database.pool();
    let before: (String,) =
        sqlx::query_as("SELECT previous FROM audit WHERE tenant_id = ? AND position = 3")
            .bind(own.clone())
            .fetch_one(pool)
            .await
            .unwrap();
    sqlx::query("DELETE FROM audit WHERE tenant_id = ? AND position = 3")
        .bind(own.clone())
        .execute(pool)
        .await
        .unwrap();
    sqlx::query("UPDATE audit_heads SET position = 2, sha256 = ? WHERE tenant_id = ?")
        .bind(before.0)
        .bind(own.clone())
        .execute(pool)
        .await
        .unwrap();
    assert_eq!(broken(&world).await, None, "nothing that is left shows it");
    let lost = async |anchored: &[Head]| {
        let chains = trail::verify(&world.ports.database, anchored).await.unwrap();
        let chain = chains.into_iter().find(|chain| chain.tenant_id == own).unwrap();
        chain.lost.into_iter().map(|head| head.position).collect::<Vec<_>>()
    };
    assert_eq!(lost(&anchored).await, [3]);
    // And where it goes on from there as if nothing had been.
    world.accept(Upload::of("head 4")).await.unwrap();
    assert_eq!(lost(&anchored).await, [3]);
}

pub async fn an_anchor_is_read_from_the_object_store_as_it_was_written(world: World) {
    world.accept(Upload::of("a head")).await.unwrap();
    let heads = trail::heads(&world.ports.database).await.unwrap();
    let unsigned =
        trail::Anchor { at_ms: 7, storage: heads.clone(), accounts: vec![], signature: None };
    let signature = trail::AnchorSignature { key_id: "k".into(), value: "ab".into() };
    let anchor = trail::Anchor { signature: Some(signature), ..unsigned.clone() };
    // What is signed does not change by being signed; and as versions before have written it, it is read.
    assert_eq!(anchor.sha256().unwrap(), unsigned.sha256().unwrap());
    let earlier = unsigned.to_json().unwrap();
    assert!(!String::from_utf8_lossy(&earlier).contains("signature"));
    assert_eq!(serde_json::from_slice::<trail::Anchor>(&earlier).unwrap(), unsigned);
    let blobs = &world.ports.blobs;
    let mut staging = blobs.stage().await.unwrap();
    staging.write(anchor.to_json().unwrap().into()).await.unwrap();
    let staged = staging.finish().await.unwrap();
    let key = trail::anchor_key(7, &staged.sha256);
    blobs.keep(vec![(key, staged)]).await.unwrap();
    assert_eq!(trail::anchors(blobs).await.unwrap(), [anchor]);
    let chains = trail::verify(&world.ports.database, &heads).await.unwrap();
    assert!(chains.iter().all(|chain| chain.broken.is_none() && chain.lost.is_empty()));
}
