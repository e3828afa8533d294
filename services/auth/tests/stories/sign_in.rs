use auth::Rules;
use domain::{ErrorKind, hex};
use futures::future::join_all;
use proto::auth::auth_client::AuthClient;
use proto::auth::{NewUser, SignInRequest};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use service::claims::{Role, SERVICE_CLIENT, ServiceToken, authorised, service_tenant};

use crate::setting::*;

on_each_database! {
    the_first_start_makes_one_administrator_who_can_sign_in
    a_wrong_password_and_an_unknown_name_get_the_same_answer
    guessing_is_slowed_down_for_names_that_exist_and_names_that_do_not
    parallel_guesses_are_counted_one_by_one
    the_workers_sign_in_with_the_configured_secret_only
    another_password_ends_the_sessions_of_the_old_one
    a_password_that_others_have_lost_is_nobodys_new_one
}

async fn the_first_start_makes_one_administrator_who_can_sign_in(setting: Setting) {
    let tokens = setting.admin().await;
    let claims = setting.claims(&tokens).await;
    let [(tenant, name)] = setting.accounts.tenants().await.unwrap().try_into().unwrap();
    assert_eq!((claims.tenant().id(), name.as_str()), (tenant, "St. Mary's"));
    assert!(claims.require(&[Role::Admin]).is_ok());
    assert_eq!(claims.require(&[Role::Service]).unwrap_err().kind(), ErrorKind::Forbidden);
    assert_eq!(tokens.expires_in_s, 300);

    let (_, second_start) = start(&setting.config, &setting.clock).await;
    assert!(second_start.is_none());
}

async fn a_wrong_password_and_an_unknown_name_get_the_same_answer(setting: Setting) {
    let name = &setting.first.user_name;
    let wrong = refusal(setting.sign_in(name, "not the password").await);
    let unknown = refusal(setting.sign_in("nobody", "not the password").await);
    let empty = refusal(setting.sign_in("", "").await);
    let long = refusal(setting.sign_in(name, &"x".repeat(10_000)).await);
    assert_eq!(
        wrong,
        (ErrorKind::Unauthenticated, "the user name or the password is wrong".into())
    );
    assert_eq!((&unknown, &empty, &long), (&wrong, &wrong, &wrong));
    // The name is the same in any case and spacing; the password is not.
    assert_eq!(refusal(setting.sign_in("ádmin", setting.password()).await), wrong);
    let upper = setting.password().to_uppercase();
    assert_eq!(refusal(setting.sign_in(name, &upper).await), wrong);
    setting.sign_in(" ADMIN ", setting.password()).await.unwrap();
}

async fn guessing_is_slowed_down_for_names_that_exist_and_names_that_do_not(setting: Setting) {
    for name in ["admin", "nobody"] {
        for _ in 0..5 {
            let (kind, _) = refusal(setting.sign_in_from("192.0.2.9", name, "guess").await);
            assert_eq!(kind, ErrorKind::Unauthenticated);
        }
        let throttled = refusal(setting.sign_in_from("192.0.2.9", name, "guess").await);
        let words = "too many failed attempts, try again in 2 s";
        assert_eq!(throttled, (ErrorKind::Exhausted, words.into()), "{name}");
    }
    // Even the right password waits there, but not elsewhere, and not for ever.
    let password = setting.password();
    let there = setting.sign_in_from("192.0.2.9", "admin", password).await;
    assert_eq!(refusal(there).0, ErrorKind::Exhausted);
    setting.sign_in_from("203.0.113.1", "admin", password).await.unwrap();
    setting.clock.advance(1000);
    setting.sign_in_from("192.0.2.9", "admin", password).await.unwrap();
}

async fn parallel_guesses_are_counted_one_by_one(setting: Setting) {
    let guesses = join_all((0..40).map(|_| setting.sign_in("admin", "guess"))).await;
    let judged = guesses.into_iter().map(|guess| refusal(guess).0);
    assert_eq!(judged.filter(|kind| *kind == ErrorKind::Unauthenticated).count(), 5);
}

async fn the_workers_sign_in_with_the_configured_secret_only(setting: Setting) {
    let token =
        ServiceToken::new(setting.peer.clone(), SERVICE_SECRET.into(), setting.clock.clock());
    let claims = setting.verifier.verify(&token.get().await.unwrap()).await.unwrap();
    assert_eq!(claims.roles, [Role::Service]);
    assert_eq!(claims.tenant().id(), service_tenant());
    let for_storage = token.towards("storage").get().await.unwrap();
    let at = |service| setting.verifier.clone().of(service);
    assert_eq!(at("storage").verify(&for_storage).await.unwrap().roles, [Role::Service]);
    for other in ["registry", "auth", ""] {
        let refused = at(other).verify(&for_storage).await;
        assert_eq!(refusal(refused).0, ErrorKind::Unauthenticated, "{other:?}");
    }
    let nowhere = token.towards("storage\n").get().await;
    assert_eq!(refusal(nowhere).0, ErrorKind::Invalid);
    for secret in ["", "guess", &SERVICE_SECRET[1..]] {
        let (kind, _) = refusal(setting.client(SERVICE_CLIENT, secret).await);
        assert_eq!(kind, ErrorKind::Unauthenticated, "{secret:?}");
    }
}

async fn another_password_ends_the_sessions_of_the_old_one(setting: Setting) {
    let tokens = setting.admin().await;
    setting.accounts.reset_password("Admin", "a password that is new").await.unwrap();
    let (kind, _) = refusal(setting.refresh(&tokens.refresh_token).await);
    assert_eq!(kind, ErrorKind::Unauthenticated);
    let old = setting.sign_in("admin", setting.password()).await;
    assert_eq!(refusal(old).0, ErrorKind::Unauthenticated);
    setting.sign_in("admin", "a password that is new").await.unwrap();
    let (kind, _) =
        refusal(setting.accounts.reset_password("nobody", "a password that is new").await);
    assert_eq!(kind, ErrorKind::NotFound);
}

async fn a_password_that_others_have_lost_is_nobodys_new_one(setting: Setting) {
    let lost = "a whole sentence that was lost elsewhere";
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, lost.as_bytes());
    let path = setting.folder.path().join("breached");
    std::fs::write(&path, format!("{}:7\r\n", hex(digest.as_ref()))).unwrap();
    let rules = Rules { breached_passwords: Some(path.clone()), ..Rules::default() };
    let config = auth::Config { rules, ..setting.config.clone() };
    let auth = AuthClient::new(start(&config, &setting.clock).await.0);

    let admin = setting.admin().await.access_token;
    let roles = vec!["clinician".to_owned()];
    let ada = NewUser { user_name: "ada".into(), password: lost.into(), roles };
    let made = auth.clone().create_user(authorised(ada.clone(), &admin)).await;
    let (kind, words) = refusal(plain(made));
    assert!(kind == ErrorKind::Invalid && words.contains("known from a breach"), "{words}");
    let change = SignInRequest {
        user_name: setting.first.user_name.clone(),
        password: setting.password().to_owned(),
        new_password: lost.to_owned(),
        ..Default::default()
    };
    let changed = plain(auth.clone().sign_in(change).await);
    assert_eq!(refusal(changed).0, ErrorKind::Invalid);
    let by_hand = setting.accounts.clone().without_breached(Some(&path)).unwrap();
    assert_eq!(refusal(by_hand.reset_password("admin", lost).await).0, ErrorKind::Invalid);
    let config = auth::Config { first_password: Some(lost.into()), ..config };
    let opened = auth::open(&config, setting.clock.clock(), service::system_random()).await;
    assert_eq!(refusal(opened.map(drop)).0, ErrorKind::Invalid);
    // Nothing but the list is against it.
    plain(setting.auth.clone().create_user(authorised(ada, &admin)).await).unwrap();
}

#[tokio::test]
async fn auth_refuses_to_start_on_a_secret_that_could_be_guessed() {
    let setting = Setting::on_sqlite().await;
    let config = auth::Config { service_secret: Some("short".into()), ..setting.config.clone() };
    let opened = auth::open(&config, setting.clock.clock(), service::system_random()).await;
    assert_eq!(refusal(opened.map(drop)).0, ErrorKind::Invalid);

    // What may join pixels and identity is nobody else's secret.
    for secret in ["short", SERVICE_SECRET] {
        let config =
            auth::Config { delivery_secret: Some(secret.into()), ..setting.config.clone() };
        let opened = auth::open(&config, setting.clock.clock(), service::system_random()).await;
        assert_eq!(refusal(opened.map(drop)).0, ErrorKind::Invalid, "{secret}");
    }
    // What vouches for everybody's address is nobody else's secret either.
    for secret in ["short", SERVICE_SECRET] {
        let config = auth::Config { gateway_secret: Some(secret.into()), ..setting.config.clone() };
        let opened = auth::open(&config, setting.clock.clock(), service::system_random()).await;
        assert_eq!(refusal(opened.map(drop)).0, ErrorKind::Invalid, "{secret}");
    }
    let secret = "the secret that delivery alone signs in with";
    let config = auth::Config { delivery_secret: Some(secret.into()), ..setting.config.clone() };
    let (peer, _) = start(&config, &setting.clock).await;
    let token = ServiceToken::of_delivery(peer.clone(), secret.into(), setting.clock.clock());
    assert!(token.get().await.is_ok());
    let worker = ServiceToken::new(peer.clone(), secret.into(), setting.clock.clock());
    assert_eq!(refusal(worker.get().await).0, ErrorKind::Unauthenticated);
    let other = ServiceToken::of_delivery(peer, SERVICE_SECRET.into(), setting.clock.clock());
    assert_eq!(refusal(other.get().await).0, ErrorKind::Unauthenticated);

    let config = auth::Config { service_secret: None, ..setting.config.clone() };
    let (peer, _) = start(&config, &setting.clock).await;
    let none = ServiceToken::new(peer, "".into(), setting.clock.clock());
    assert_eq!(refusal(none.get().await).0, ErrorKind::Unauthenticated);
}
