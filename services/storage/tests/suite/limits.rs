use domain::UserId;
use futures::future::join_all;
use futures::stream;
use proto::storage::scans_client::ScansClient;
use proto::storage::*;
use service::claims::{Role, authorised, operator_tenant, vouched};
use service::{Peer, topics};
use storage::Peers;
use tonic::{Code, Request};

use crate::world::{Upload, World, found};

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

pub async fn instances_that_accept_at_once_never_accept_more_than_a_limit(world: World) {
    set(&world, Amounts { scans: 5, ..Amounts::default() }).await;
    let peers = Peers { auth: world.auth() };
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
    set(&world, Amounts { scans: 2, bytes, jobs: 0 }).await;
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
    let hospital = (world.hospital.to_string(), "scans 0 bytes 0 jobs 2".to_owned());
    assert_eq!(said, [hospital, (client.clone(), "scans 0 bytes 0 jobs 1".to_owned())]);

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
    let used = Some(Amounts { scans: 1, bytes: "a head file".len() as u64, jobs: 1 });
    assert_eq!(list(world.hospital, Role::Admin).await.unwrap(), [Limit { used, ..limit }]);
    let theirs = list(world.neighbour, Role::Admin).await.unwrap();
    let nothing = || Some(Amounts::default());
    assert_eq!(theirs, [Limit { most: nothing(), used: nothing(), ..Limit::default() }]);
}
