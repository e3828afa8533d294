use domain::UserId;
use futures::future::join_all;
use futures::stream;
use proto::auth::RevocationList;
use proto::storage::scans_client::ScansClient;
use proto::storage::*;
use service::claims::{Role, authorised, operator_tenant, vouched};
use service::{Peer, topics};
use storage::{Peers, Rules};
use tonic::{Code, Request};

use crate::world::{Upload, World, found, serve, until};

const DAY_MS: i64 = 24 * 3_600_000;

fn by_operator<T>(world: &World, message: T) -> Request<T> {
    authorised(message, &world.issuer.token(operator_tenant(), &[Role::Operator]))
}

fn of_hospital(world: &World, most: Amounts) -> NewTenantLimit {
    NewTenantLimit { tenant_id: world.hospital.to_string(), most: Some(most) }
}

async fn set(world: &World, most: Amounts) -> Limit {
    let new = by_operator(world, of_hospital(world, most));
    world.limits.clone().set_of_tenant(new).await.unwrap().into_inner()
}

/// What is stored of it when it is accepted.
fn size_of(upload: &Upload) -> u64 {
    (upload.volume.len() + upload.original.len() + upload.preview.len()) as u64
}

pub async fn instances_that_accept_at_once_never_accept_more_than_a_limit(world: World) {
    set(&world, Amounts { scans: 5, ..Amounts::default() }).await;
    let peers = Peers::auth(world.auth());
    let other = storage::build(world.rules.clone(), world.ports.clone(), peers);
    let other = ScansClient::new(Peer::within(&other));
    let names: Vec<_> = (0..16).map(|number| format!("head {number}")).collect();
    let uploads = names.iter().enumerate().map(|(number, name)| {
        let scans = if number % 2 == 0 { world.scans.clone() } else { other.clone() };
        world.accept_at(scans, world.hospital, Upload::of(name))
    });
    let (kept, refused): (Vec<_>, Vec<_>) =
        join_all(uploads).await.into_iter().partition(Result::is_ok);
    assert_eq!((kept.len(), refused.len()), (5, 11));
    for refused in refused {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        assert!(refused.message().contains("of the hospital, 5 scans a day"), "{refused}");
    }
    assert_eq!((world.count("scans").await, world.count("artefacts").await), (5, 15));
    assert_eq!((world.count("jobs").await, world.count("limit_usage").await), (5, 1));
}

pub async fn what_is_refused_or_repeated_does_not_count_and_the_next_day_there_is_room(
    world: World,
) {
    let bytes = 2 * Upload::of("a head").original.len() as u64;
    set(&world, Amounts { scans: 2, bytes, ..Amounts::default() }).await;
    let first = Upload::of("a head").with_key("k1");
    world.accept(first.clone()).await.unwrap();
    assert!(world.accept(first.clone()).await.unwrap().repeated);
    let refused = world.accept(Upload::of("another head")).await.unwrap_err();
    assert!(refused.message().contains(&format!("{bytes} bytes a day")), "{refused}");
    world.accept(Upload::of("b head")).await.unwrap();
    let refused = world.accept(Upload::of("c head")).await.unwrap_err();
    assert!(refused.message().contains("2 scans a day"), "{refused}");
    assert!(refused.message().contains("try again in "), "{refused}");
    // Also now it finds its scan.
    assert!(world.accept(first).await.unwrap().repeated);
    world.accept_for(world.neighbour, Upload::of("c head")).await.unwrap();

    let left = async || {
        let asked = world.by(world.hospital, QuotasRef {});
        let quotas = world.limits.clone().list_quotas(asked).await.unwrap().into_inner().quotas;
        quotas.into_iter().map(|quota| (quota.name, quota.remaining)).collect::<Vec<_>>()
    };
    assert_eq!(left().await, [("scans".to_owned(), 0), ("bytes".to_owned(), 0)]);
    world.clock.advance(DAY_MS);
    assert_eq!(left().await, [("scans".to_owned(), 2), ("bytes".to_owned(), bytes)]);
    world.accept(Upload::of("c head")).await.unwrap();
}

pub async fn an_api_client_has_limits_of_its_own_and_at_most_its_hospitals(world: World) {
    set(&world, Amounts { jobs: 2, ..Amounts::default() }).await;
    let client = UserId::new(&world.clock.clock(), &service::system_random()).to_string();
    let limit = async |jobs: u64| {
        let most = Some(Amounts { jobs, ..Amounts::default() });
        let new = NewClientLimit { client_id: client.clone(), most };
        world.limits.clone().set_of_client(world.by_role(world.hospital, Role::Admin, new)).await
    };
    assert_eq!(limit(3).await.unwrap_err().code(), Code::InvalidArgument);
    limit(1).await.unwrap();
    let said: Vec<(String, String)> = sqlx::query_as(
        "SELECT object_id, detail FROM audit WHERE action = 'limit.set' ORDER BY position",
    )
    .fetch_all(world.ports.database.pool())
    .await
    .unwrap();
    let hospital = (world.hospital.to_string(), "scans 0 bytes 0 jobs 2 stored 0".to_owned());
    assert_eq!(said, [hospital, (client.clone(), "scans 0 bytes 0 jobs 1 stored 0".to_owned())]);
    let stored = NewClientLimit {
        client_id: client.clone(),
        most: Some(Amounts { stored: 1, ..Amounts::default() }),
    };
    let stored = world.by_role(world.hospital, Role::Admin, stored);
    let refused = world.limits.clone().set_of_client(stored).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");

    let send = async |head: &str| {
        let parts = stream::iter(Upload::of(head).parts());
        let token = world.issuer.token_of(&client, world.hospital, &[Role::Integrator]);
        let request = vouched(authorised(parts, &token), &world.issuer.service_token());
        world.scans.clone().accept(request).await
    };
    send("a head").await.unwrap();
    let refused = send("another head").await.unwrap_err();
    assert!(refused.message().contains("of this API client, 1 jobs"), "{refused}");
    world.accept(Upload::of("another head")).await.unwrap();
    let refused = world.accept(Upload::of("a third head")).await.unwrap_err();
    assert!(refused.message().contains("of the hospital, 2 jobs"), "{refused}");

    // What is done, or failed, leaves room, and what is to be analysed anew needs some.
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let done = world.claim(&world.announced(&mut ready).await).await.unwrap();
    world.complete(found(&done)).await.unwrap();
    let failed = world.claim(&world.announced(&mut ready).await).await.unwrap();
    world.fail(&failed, "it broke", false).await.unwrap();
    for head in ["a third head", "a fourth head"] {
        world.accept(Upload::of(head)).await.unwrap();
    }
    let again = world.by(world.hospital, ScanRef { id: failed.scan_id });
    let refused = world.scans.clone().retry(again).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    set(&world, Amounts::default()).await;
    world.accept(Upload::of("a fifth head")).await.unwrap();
}

pub async fn limits_are_set_by_those_who_decide_and_shown_to_nobody_else(world: World) {
    let set_by = async |role| {
        let new = of_hospital(&world, Amounts { scans: 1, ..Amounts::default() });
        world.limits.clone().set_of_tenant(world.by_role(world.hospital, role, new)).await
    };
    for role in [Role::Admin, Role::Clinician, Role::Integrator] {
        assert_eq!(set_by(role).await.unwrap_err().code(), Code::PermissionDenied);
    }
    let limit = set(&world, Amounts { scans: 3, ..Amounts::default() }).await;
    world.accept(Upload::of("a head")).await.unwrap();
    let list = async |tenant, role| {
        let asked = world.by_role(tenant, role, LimitsRef {});
        Ok::<_, tonic::Status>(world.limits.clone().list(asked).await?.into_inner().limits)
    };
    let refused = list(world.hospital, Role::Clinician).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let (bytes, stored) = ("a head file".len() as u64, size_of(&Upload::of("a head")));
    let used = Some(Amounts { scans: 1, bytes, jobs: 1, stored });
    assert_eq!(list(world.hospital, Role::Admin).await.unwrap(), [Limit { used, ..limit }]);
    let theirs = list(world.neighbour, Role::Admin).await.unwrap();
    let nothing = || Some(Amounts::default());
    assert_eq!(theirs, [Limit { most: nothing(), used: nothing(), ..Limit::default() }]);
}

pub async fn what_a_hospital_stores_has_a_limit_and_what_is_deleted_leaves_room(world: World) {
    let stored = 2 * size_of(&Upload::of("a head"));
    set(&world, Amounts { stored, ..Amounts::default() }).await;
    let heads = ["a head", "b head", "c head", "d head"];
    let uploads = heads.map(|head| world.accept(Upload::of(head)));
    let (kept, refused): (Vec<_>, Vec<_>) =
        join_all(uploads).await.into_iter().partition(Result::is_ok);
    assert_eq!((kept.len(), refused.len()), (2, 2));
    for refused in refused {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        let limit = format!("of the hospital, {stored} stored bytes at a time");
        assert!(refused.message().contains(&limit), "{refused}");
        let what_to_do = "delete scans, keep them for a shorter time or ask the operator for more, and try again in 600 s";
        assert!(refused.message().ends_with(what_to_do), "{refused}");
    }
    world.accept_for(world.neighbour, Upload::of("a head")).await.unwrap();

    // What was accepted gets its result also where that is beyond the limit.
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let job = world.claim(&world.announced(&mut ready).await).await.unwrap();
    world.complete(found(&job)).await.unwrap();
    let quotas = async || {
        let asked = world.by(world.hospital, QuotasRef {});
        world.limits.clone().list_quotas(asked).await.unwrap().into_inner().quotas
    };
    let quota = Quota {
        name: "stored".into(),
        quota: stored,
        unit: "content-bytes".into(),
        ..Quota::default()
    };
    assert_eq!(quotas().await, std::slice::from_ref(&quota));
    world.require_counted().await;

    for scan in kept {
        let of = ScanRef { id: scan.unwrap().id };
        world.scans.clone().delete(world.by_role(world.hospital, Role::Admin, of)).await.unwrap();
    }
    assert_eq!(quotas().await, [Quota { remaining: stored, ..quota }]);
    world.require_counted().await;
    world.accept(Upload::of("e head")).await.unwrap();
}

pub async fn a_hospital_has_its_share_of_a_disk_once_there_is_another(world: World) {
    let rules = Rules { disk_share_percent: 0, ..world.rules.clone() };
    let strict = storage::build(rules, world.ports.clone(), Peers::auth(world.auth()));
    let strict = ScansClient::new(Peer::within(&strict));
    let accept = |tenant, upload| world.accept_at(strict.clone(), tenant, upload);
    let first = Upload::of("a head").with_key("k1");
    accept(world.hospital, first.clone()).await.unwrap();
    for tenant in [world.neighbour, world.hospital] {
        let refused = accept(tenant, Upload::of("b head")).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        assert!(refused.message().contains("share of the disk leaves no room"), "{refused}");
        assert!(refused.message().ends_with("try again in 600 s"), "{refused}");
    }
    assert_eq!((world.count("scans").await, world.count("artefacts").await), (1, 3));
    // Also now it finds its scan; and of four fifths it has used next to nothing.
    assert!(accept(world.hospital, first).await.unwrap().repeated);
    world.accept(Upload::of("b head")).await.unwrap();

    // One that is suspended comes back, and one that is closed does not.
    let stopped = vec![world.neighbour.to_string()];
    for (closed_tenants, is_taken) in [(Vec::new(), false), (stopped.clone(), true)] {
        let stopped_tenants = stopped.clone();
        let list = RevocationList { stopped_tenants, closed_tenants, ..Default::default() };
        world.issuer.revoke(list);
        world.clock.advance(60_000);
        let accepted = accept(world.hospital, Upload::of("c head")).await;
        assert_eq!(accepted.is_ok(), is_taken, "{accepted:?}");
    }
}

/// Instances of a version before this one count nothing.
pub async fn what_was_stored_or_deleted_uncounted_is_counted_anew(world: World) {
    world.accept(Upload::of("a head")).await.unwrap();
    world.accept_for(world.neighbour, Upload::of("a head")).await.unwrap();
    let uncounted = [
        "DELETE FROM stored_bytes WHERE tenant_id = ?",
        "UPDATE stored_bytes SET bytes = 7 WHERE tenant_id <> ?",
    ];
    for statement in uncounted {
        let statement = sqlx::query(statement).bind(world.hospital.to_string());
        statement.execute(world.ports.database.pool()).await.unwrap();
    }
    let (rules, ports) = (world.rules.clone(), world.ports.clone());
    let _again = serve(storage::build(rules, ports, Peers::auth(world.auth()))).await;
    let counted = async || -> Vec<i64> {
        sqlx::query_scalar("SELECT bytes FROM stored_bytes")
            .fetch_all(world.ports.database.pool())
            .await
            .unwrap()
    };
    let bytes = size_of(&Upload::of("a head")) as i64;
    until(counted, |counted| *counted == [bytes, bytes]).await;
}
