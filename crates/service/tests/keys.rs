//! How a verifier comes by auth's keys, and what it does without auth.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use domain::{ErrorKind, ManualClock, TenantId};
use futures::future::join_all;
use proto::auth::{Revocation, RevocationList};
use service::claims::testing::Issuer;
use service::claims::{Epochs, Role, ServiceToken, Verifier, vouched};
use service::{Peer, Service};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Request, Status, codegen::http};
use tower::ServiceExt;

const NOW_MS: i64 = 1_790_000_000_000;

/// An auth that can go away and can change its key.
#[derive(Clone)]
struct Auth {
    issuer: Arc<Mutex<Issuer>>,
    away: Arc<AtomicBool>,
}

impl Auth {
    fn new(issuer: &Issuer) -> Auth {
        Auth { issuer: Arc::new(Mutex::new(issuer.clone())), away: Arc::default() }
    }

    fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn rotate_to(&self, issuer: &Issuer) {
        *self.issuer.lock().unwrap() = issuer.clone();
    }

    fn peer(&self) -> Peer {
        let grpc = Routes::new(Named(self.clone()));
        Peer::within(&Service { grpc, ..Service::default() })
    }
}

/// [`Auth`] as a gRPC service.
#[derive(Clone)]
struct Named(Auth);

impl tonic::server::NamedService for Named {
    const NAME: &'static str = "medseg.auth.v1.Auth";
}

impl tower::Service<http::Request<Body>> for Named {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = futures::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Auth { issuer, away } = self.0.clone();
        Box::pin(async move {
            if away.load(Ordering::SeqCst) {
                return Ok(Status::unavailable("away").into_http());
            }
            let peer = issuer.lock().unwrap().peer();
            let answer = peer.oneshot(request).await;
            Ok(answer.unwrap_or_else(|_| Status::internal("broken").into_http()))
        })
    }
}

/// An auth that tells its keys, and answers with that code when it is asked who is revoked.
#[derive(Clone)]
struct Listless(Named, tonic::Code);

impl tonic::server::NamedService for Listless {
    const NAME: &'static str = "medseg.auth.v1.Auth";
}

impl tower::Service<http::Request<Body>> for Listless {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = futures::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path().ends_with("/Revocations") {
            let answer = Status::new(self.1, "no list").into_http();
            return Box::pin(async move { Ok(answer) });
        }
        tower::Service::call(&mut self.0, request)
    }
}

fn setting() -> (ManualClock, Issuer, Auth, Verifier, TenantId) {
    let clock = ManualClock::at(NOW_MS);
    let issuer = Issuer::at(clock.clock());
    let auth = Auth::new(&issuer);
    let verifier = Verifier::new(auth.peer(), clock.clock());
    let tenant = TenantId::new(&clock.clock(), &service::system_random());
    (clock, issuer, auth, verifier, tenant)
}

#[tokio::test]
async fn a_thousand_calls_ask_for_the_keys_once() {
    let (_, issuer, _, verifier, tenant) = setting();
    let token = issuer.token(tenant, &[Role::Clinician]);
    let verified = join_all((0..1000).map(|_| verifier.verify(&token))).await;
    assert!(verified.iter().all(|claims| claims.as_ref().unwrap().tenant().id() == tenant));
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn tokens_are_verified_while_auth_is_away() {
    let (clock, issuer, auth, verifier, tenant) = setting();
    verifier.verify(&issuer.token(tenant, &[Role::Clinician])).await.unwrap();
    auth.set_away(true);
    // Once as old as it may be without being asked for anew, and then as old as a token can get.
    for minutes in [1, 3] {
        clock.advance(minutes * 60_000);
        verifier.verify(&issuer.token(tenant, &[Role::Clinician])).await.unwrap();
    }
    // Whoever was let in by then would be let in on a list that may miss them.
    clock.advance(60_000);
    let late = verifier.verify(&issuer.token(tenant, &[Role::Clinician])).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Unavailable);
    auth.set_away(false);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    verifier.verify(&issuer.token(tenant, &[Role::Clinician])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_revoked_is_refused_within_a_minute_and_nothing_else() {
    let (clock, issuer, _, verifier, tenant) = setting();
    let elsewhere = TenantId::new(&clock.clock(), &service::system_random());
    let token = |subject: &str, tenant, account, hospital| {
        let epochs = Epochs { subject: account, tenant: hospital };
        issuer.token_in(subject, tenant, &[Role::Clinician], epochs)
    };
    let revoked = |id: String, epoch| vec![Revocation { id, epoch }];
    let all = [
        (token("ada", tenant, 1, 0), true),
        (token("ada", tenant, 2, 0), false),
        (token("bob", tenant, 0, 0), false),
        (token("rudolf", elsewhere, 0, 6), true),
        (token("rudolf", elsewhere, 0, 7), false),
    ];
    for (token, _) in &all {
        verifier.verify(token).await.unwrap();
    }
    let (subjects, tenants) = (revoked("ada".into(), 2), revoked(elsewhere.to_string(), 7));
    issuer.revoke(RevocationList { subjects, tenants, ..Default::default() });
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    clock.advance(60_000);
    // Many at once: whoever does not ask waits for the answer, and nobody goes on with the list of before.
    let verified = join_all((0..100).flat_map(|_| &all).map(|(token, is_revoked)| {
        let verifier = &verifier;
        async move { (verifier.verify(token).await.err(), *is_revoked) }
    }));
    for (refused, is_revoked) in verified.await {
        let kind = refused.map(|error| error.kind());
        assert_eq!(kind, is_revoked.then_some(ErrorKind::Unauthenticated));
    }
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hospital_that_is_not_active_is_known_within_a_minute_and_not_guessed_at() {
    let (clock, issuer, auth, verifier, tenant) = setting();
    let elsewhere = TenantId::new(&clock.clock(), &service::system_random());
    assert!(verifier.is_active(tenant).await.unwrap(), "nobody has asked auth for anything before");
    let stopped_tenants = vec![tenant.to_string()];
    issuer.revoke(RevocationList { stopped_tenants, ..Default::default() });
    clock.advance(60_000);
    assert!(!verifier.is_active(tenant).await.unwrap());
    assert!(verifier.is_active(elsewhere).await.unwrap());
    auth.set_away(true);
    clock.advance(60_000);
    assert!(!verifier.is_active(tenant).await.unwrap(), "the last word is believed for a while");
    clock.advance(600_000);
    let unknown = verifier.is_active(elsewhere).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unavailable);
    issuer.revoke(RevocationList::default());
    auth.set_away(false);
    assert!(verifier.is_active(tenant).await.unwrap(), "active again");
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_ends_with_a_revocation_and_not_with_its_token() {
    let (clock, issuer, _, verifier, tenant) = setting();
    let token =
        issuer.token_in("ada", tenant, &[Role::Clinician], Epochs { subject: 1, tenant: 0 });
    verifier.verify(&token).await.unwrap();
    clock.advance(600_000);
    let ended = verifier.verify(&token).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Unauthenticated);
    verifier.still(&token).await.unwrap();
    let subjects = vec![Revocation { id: "ada".into(), epoch: 2 }];
    issuer.revoke(RevocationList { subjects, ..Default::default() });
    clock.advance(60_000);
    let refused = verifier.still(&token).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn without_a_list_nobody_is_let_in_and_an_auth_that_has_none_revokes_nobody() {
    let (_, issuer, _, _, tenant) = setting();
    let token = issuer.token(tenant, &[Role::Clinician]);
    for (code, kind) in
        [(tonic::Code::Internal, Some(ErrorKind::Unavailable)), (tonic::Code::Unimplemented, None)]
    {
        let grpc = Routes::new(Listless(Named(Auth::new(&issuer)), code));
        let peer = Peer::within(&Service { grpc, ..Service::default() });
        let verifier = Verifier::new(peer, ManualClock::at(NOW_MS).clock());
        let refused = verifier.verify(&token).await.err().map(|error| error.kind());
        assert_eq!(refused, kind, "{code:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_any_key_the_answer_is_try_later_and_then_it_heals() {
    let (_, issuer, auth, verifier, tenant) = setting();
    let token = issuer.token(tenant, &[Role::Clinician]);
    auth.set_away(true);
    assert_eq!(verifier.verify(&token).await.unwrap_err().kind(), ErrorKind::Unavailable);
    auth.set_away(false);
    verifier.verify(&token).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_call_fails_when_the_key_changes() {
    let (_, issuer, auth, verifier, tenant) = setting();
    verifier.verify(&issuer.token(tenant, &[Role::Clinician])).await.unwrap();
    let next = Issuer::at(ManualClock::at(NOW_MS).clock());
    auth.rotate_to(&next);
    let token = next.token(tenant, &[Role::Clinician]);
    let verified = join_all((0..100).map(|_| verifier.verify(&token))).await;
    assert!(verified.iter().all(Result::is_ok));
    assert_eq!(next.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retired_key_is_refused_a_minute_later() {
    let (clock, issuer, auth, verifier, tenant) = setting();
    let token = issuer.token(tenant, &[Role::Clinician]);
    verifier.verify(&token).await.unwrap();
    auth.rotate_to(&Issuer::at(clock.clock()));
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    clock.advance(61_000);
    assert_eq!(verifier.verify(&token).await.unwrap_err().kind(), ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_keys_asks_auth_once_a_second() {
    let (clock, issuer, _, verifier, tenant) = setting();
    verifier.verify(&issuer.token(tenant, &[Role::Clinician])).await.unwrap();
    let strangers: Vec<String> =
        (0..200).map(|_| Issuer::at(clock.clock()).token(tenant, &[Role::Admin])).collect();
    let start = tokio::time::Instant::now();
    for _ in 0..5 {
        let refused = join_all(strangers.iter().map(|token| verifier.verify(token))).await;
        assert!(refused.into_iter().all(|r| r.unwrap_err().kind() == ErrorKind::Unauthenticated));
    }
    let asked = issuer.asked() as u64;
    assert!(asked <= start.elapsed().as_secs() + 1, "{asked} times in {:?}", start.elapsed());
}

#[tokio::test]
async fn the_workers_token_is_renewed_before_it_expires_and_not_before() {
    let (clock, _, auth, verifier, _) = setting();
    let token = ServiceToken::new(auth.peer(), Issuer::SERVICE_SECRET.into(), clock.clock());
    let first = token.get().await.unwrap();
    assert_eq!(verifier.verify(&first).await.unwrap().roles, [Role::Service]);
    clock.advance(200_000);
    assert_eq!(token.get().await.unwrap(), first);
    clock.advance(50_000);
    auth.set_away(true);
    assert_eq!(token.get().await.unwrap(), first, "it is still valid, if not for long");
    auth.set_away(false);
    let second = token.get().await.unwrap();
    assert_ne!(second, first);
    auth.set_away(true);
    clock.advance(301_000);
    assert_eq!(token.get().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_token_that_is_for_one_service_is_taken_by_no_other() {
    let clock = ManualClock::at(NOW_MS);
    let issuer = Issuer::at(clock.clock());
    let for_storage = issuer.service_token_for("storage");
    for (service, takes) in
        [("storage", true), ("registry", false), ("storage2", false), ("", false)]
    {
        let verifier = issuer.verifier(clock.clock()).of(service);
        let vouched = vouched(Request::new(()), &for_storage);
        let taken = [
            verifier.verify(&for_storage).await.map(drop),
            verifier.require_service(vouched.metadata()).await,
        ];
        for taken in taken {
            let refused = taken.err().map(|error| error.kind());
            let expected = (!takes).then_some(ErrorKind::Unauthenticated);
            assert_eq!(refused, expected, "{service:?}");
        }
        // What names no service, as the version before signs it, is for all.
        assert!(verifier.verify(&issuer.service_token()).await.is_ok(), "{service:?}");
    }
}

#[tokio::test]
async fn a_wrong_service_secret_is_no_token() {
    let (clock, _, auth, _, _) = setting();
    let token = ServiceToken::new(auth.peer(), "guessed".into(), clock.clock());
    assert_eq!(token.get().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
}
