//! Guesses at several instances of auth that stand for one another, on one database.

use domain::{Error, ErrorKind};
use futures::future::join_all;
use platform::db;
use proto::auth::auth_client::AuthClient;
use proto::auth::second_factors_client::SecondFactorsClient;
use proto::auth::*;
use secrecy::ExposeSecret;
use service::claims::{ORIGIN, authorised};
use service::{Peer, serve, system_random};
use sqlx::AnyPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Request;

use crate::setting::*;

on_each_database! {
    instances_count_guesses_together_and_a_new_one_goes_on
    an_address_is_taken_from_the_gateway_alone
    of_parallel_guesses_at_two_instances_one_is_let_in
    instances_at_one_new_name_at_once_wait_for_nobody_in_a_circle
    what_is_kept_names_nobody_is_bounded_and_goes
}

const STRANGER: &str = "192.0.2.9";
const HOME: &str = "203.0.113.1";

/// An attempt at the first administrator's account, by way of that instance.
async fn attempt(
    setting: &Setting,
    instance: &AuthClient<Peer>,
    place: &str,
    password: &str,
) -> Result<Tokens, Error> {
    let (user_name, password) = (setting.first.user_name.clone(), password.to_owned());
    let mut request = Request::new(SignInRequest { user_name, password, ..Default::default() });
    request.metadata_mut().insert(ORIGIN, place.parse().unwrap());
    plain(instance.clone().sign_in(request).await)
}

async fn another(setting: &Setting) -> AuthClient<Peer> {
    AuthClient::new(start(&setting.config, &setting.clock).await.0)
}

async fn pool(setting: &Setting) -> AnyPool {
    let database = db::existing(setting.config.database_url.expose_secret()).await.unwrap();
    database.pool().clone()
}

async fn count(pool: &AnyPool, rows: &'static str) -> i64 {
    sqlx::query_scalar(rows).fetch_one(pool).await.unwrap()
}

async fn instances_count_guesses_together_and_a_new_one_goes_on(setting: Setting) {
    let (one, two) = (setting.auth.clone(), another(&setting).await);
    attempt(&setting, &one, HOME, setting.password()).await.unwrap();
    for instance in [&one, &two, &one, &two, &two] {
        let wrong = attempt(&setting, instance, STRANGER, "a guess").await;
        assert_eq!(refusal(wrong).0, ErrorKind::Unauthenticated);
    }
    let three = another(&setting).await;
    for instance in [&one, &two, &three] {
        let refused = refusal(attempt(&setting, instance, STRANGER, "a guess").await);
        let words = "too many failed attempts, try again in 2 s";
        assert_eq!(refused, (ErrorKind::Exhausted, words.into()));
    }
    // The owner is known at home to all of them, whatever strangers do.
    let many = sqlx::query("UPDATE guesses SET failures = 50 WHERE place = ''");
    many.execute(&pool(&setting).await).await.unwrap();
    let elsewhere = attempt(&setting, &one, "198.51.100.200", setting.password()).await;
    assert_eq!(refusal(elsewhere).0, ErrorKind::Exhausted);
    attempt(&setting, &three, HOME, setting.password()).await.unwrap();
    // Once it has waited, the right password is right, and forgives at that place, for all.
    setting.clock.advance(5000);
    attempt(&setting, &three, STRANGER, setting.password()).await.unwrap();
    let wrong = attempt(&setting, &one, STRANGER, "a guess").await;
    assert_eq!(refusal(wrong).0, ErrorKind::Unauthenticated);
}

/// Whoever reaches auth could claim a new address for each guess, or that of somebody whom it wants locked out.
async fn an_address_is_taken_from_the_gateway_alone(setting: Setting) {
    attempt(&setting, &setting.auth, HOME, setting.password()).await.unwrap();
    let ports = auth::open(&setting.config, setting.clock.clock(), system_random()).await;
    let service = auth::build(setting.config.clone(), ports.unwrap().0);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer::connect(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(serve(service, listener, CancellationToken::new()));

    let showing = |secret: &str| AuthClient::new(peer.clone().shown(&secret.into()).unwrap());
    let (stranger, forger) = (AuthClient::new(peer.clone()), showing("what nobody has told us"));
    for (nth, way) in [&stranger, &forger, &stranger, &forger, &stranger].into_iter().enumerate() {
        let wrong = attempt(&setting, way, &format!("198.51.100.{nth}"), "a guess").await;
        assert_eq!(refusal(wrong).0, ErrorKind::Unauthenticated, "{nth}");
    }
    for way in [&stranger, &forger] {
        let refused = refusal(attempt(&setting, way, HOME, setting.password()).await);
        assert_eq!(refused.0, ErrorKind::Exhausted);
    }
    let gateway = showing(GATEWAY_SECRET);
    attempt(&setting, &gateway, HOME, setting.password()).await.unwrap();
}

async fn of_parallel_guesses_at_two_instances_one_is_let_in(setting: Setting) {
    let instances = [setting.auth.clone(), another(&setting).await];
    for _ in 0..5 {
        attempt(&setting, &instances[0], STRANGER, "a guess").await.unwrap_err();
    }
    setting.clock.advance(1000);
    let guesses = (0..12).map(|nth| attempt(&setting, &instances[nth % 2], STRANGER, "a guess"));
    let kinds = join_all(guesses).await.into_iter().map(|guess| refusal(guess).0);
    let (looked_at, others): (Vec<_>, Vec<_>) =
        kinds.partition(|kind| *kind == ErrorKind::Unauthenticated);
    assert_eq!((looked_at.len(), others), (1, vec![ErrorKind::Exhausted; 11]));
}

async fn instances_at_one_new_name_at_once_wait_for_nobody_in_a_circle(setting: Setting) {
    let mut instances = vec![setting.peer.clone()];
    while instances.len() < 5 {
        instances.push(start(&setting.config, &setting.clock).await.0);
    }
    // At codes, which cost no time: so they meet at the database.
    let token = setting.admin().await.access_token;
    let password = setting.password().to_owned();
    let begin = BeginSecondFactor { password, ..Default::default() };
    let mut factors = SecondFactorsClient::new(setting.peer.clone());
    plain(factors.begin(authorised(begin, &token)).await).unwrap();
    let pool = pool(&setting).await;
    for round in 0..10 {
        sqlx::query("DELETE FROM guesses").execute(&pool).await.unwrap();
        let guesses = instances.iter().map(|instance| {
            let confirm = ConfirmSecondFactor { code: "abcdef".into() };
            let mut request = authorised(confirm, &token);
            request.metadata_mut().insert(ORIGIN, STRANGER.parse().unwrap());
            let mut factors = SecondFactorsClient::new(instance.clone());
            async move { plain(factors.confirm(request).await) }
        });
        let refused = join_all(guesses).await.into_iter().map(|guess| refusal(guess).0);
        let refused: Vec<_> = refused.collect();
        assert_eq!(refused, [ErrorKind::Forbidden; 5], "round {round}");
        let counted = "SELECT COUNT(*) FROM guesses WHERE failures = 5";
        assert_eq!(count(&pool, counted).await, 2, "the account as a whole, and the place");
    }
}

async fn what_is_kept_names_nobody_is_bounded_and_goes(setting: Setting) {
    let pool = pool(&setting).await;
    let auth = setting.auth.clone();
    attempt(&setting, &auth, HOME, setting.password()).await.unwrap();
    attempt(&setting, &auth, STRANGER, "a guess").await.unwrap_err();
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT account, place FROM guesses").fetch_all(&pool).await.unwrap();
    assert_eq!(rows.len(), 3, "the account as a whole, and two places");
    let said = format!("{rows:?}");
    for name in [setting.first.user_name.as_str(), HOME, STRANGER] {
        assert!(!said.contains(name), "{said}");
    }

    // As many places of that account as nobody has, and a flood of names.
    let now_ms = setting.clock.clock().now_ms();
    for (statement, of) in [
        ("INSERT INTO guesses (account, place, failures, last_ms, trusted)
          SELECT ?, 10 * a.n + b.n, 1, ?, 0 FROM digits a, digits b", rows[0].0.as_str()),
        ("INSERT INTO guesses (account, place, failures, last_ms, trusted)
          SELECT 1000 * a.n + 100 * b.n + 10 * c.n + d.n, ?, 2, ?, 0 FROM digits a, digits b, digits c, digits d", ""),
    ] {
        let digits = "(SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4
             UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)";
        let statement = sqlx::AssertSqlSafe(statement.replace("digits", digits));
        sqlx::query(statement).bind(of.to_owned()).bind(now_ms).execute(&pool).await.unwrap();
    }
    attempt(&setting, &auth, "192.0.2.10", "a guess").await.unwrap_err();
    let places = "SELECT COUNT(*) FROM guesses WHERE LENGTH(account) = 64";
    assert_eq!(count(&pool, places).await, 65, "64 places, and the account as a whole");
    let all = count(&pool, "SELECT COUNT(*) FROM guesses WHERE trusted = 0").await;
    assert!((9_000..=10_000).contains(&all), "{all}");
    assert_eq!(count(&pool, "SELECT COUNT(*) FROM guesses WHERE trusted = 1").await, 1);

    // What nobody has tried for a day is gone with the next failure; where the owner signs in is known for longer.
    setting.clock.advance(25 * 3_600_000);
    attempt(&setting, &auth, "192.0.2.11", "a guess").await.unwrap_err();
    assert_eq!(count(&pool, "SELECT COUNT(*) FROM guesses").await, 3);
    setting.clock.advance(91 * 24 * 3_600_000);
    attempt(&setting, &auth, "192.0.2.12", "a guess").await.unwrap_err();
    assert_eq!(count(&pool, "SELECT COUNT(*) FROM guesses").await, 2);
}
