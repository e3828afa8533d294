//! How a verifier comes by auth's keys, and what it does without auth.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use domain::{ErrorKind, ManualClock, TenantId};
use futures::future::join_all;
use service::claims::testing::Issuer;
use service::claims::{Role, ServiceToken, Verifier};
use service::{Peer, Service};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Status, codegen::http};
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
    clock.advance(24 * 60 * 60 * 1000);
    verifier.verify(&issuer.token(tenant, &[Role::Clinician])).await.unwrap();
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
async fn a_wrong_service_secret_is_no_token() {
    let (clock, _, auth, _, _) = setting();
    let token = ServiceToken::new(auth.peer(), "guessed".into(), clock.clock());
    assert_eq!(token.get().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
}
