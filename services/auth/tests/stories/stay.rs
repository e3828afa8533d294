use std::collections::HashSet;

use domain::ErrorKind;
use futures::future::join_all;
use proto::auth::RefreshRequest;
use proto::auth::auth_client::AuthClient;
use service::claims::Verifier;

use crate::setting::*;

on_each_database! {
    a_session_goes_on_through_a_chain_of_tokens
    fifty_parallel_uses_have_one_successor_and_accuse_nobody
    a_use_after_the_grace_ends_the_session_for_everyone
    a_session_ends_twelve_hours_after_its_sign_in
    signing_out_ends_one_session_and_asking_twice_is_fine
    sessions_survive_a_restart
    a_changed_key_verifies_old_tokens_while_it_is_named
}

async fn a_session_goes_on_through_a_chain_of_tokens(setting: Setting) {
    let mut tokens = setting.admin().await;
    let mut seen = HashSet::from([tokens.refresh_token.clone()]);
    for _ in 0..5 {
        setting.clock.advance(299_000);
        tokens = setting.refresh(&tokens.refresh_token).await.unwrap();
        assert!(seen.insert(tokens.refresh_token.clone()), "a refresh token came twice");
        setting.claims(&tokens).await;
    }
    for nonsense in ["", "guess", tokens.access_token.as_str()] {
        assert_eq!(refusal(setting.refresh(nonsense).await).0, ErrorKind::Unauthenticated);
    }
    let as_access = setting.verifier.verify(&tokens.refresh_token).await;
    assert_eq!(refusal(as_access).0, ErrorKind::Unauthenticated);
}

async fn fifty_parallel_uses_have_one_successor_and_accuse_nobody(setting: Setting) {
    let mut token = setting.admin().await.refresh_token;
    for _ in 0..4 {
        let answers = join_all((0..50).map(|_| setting.refresh(&token))).await;
        let next: HashSet<String> =
            answers.into_iter().map(|tokens| tokens.unwrap().refresh_token).collect();
        let [successor] = Vec::from_iter(next).try_into().expect("one successor");
        token = successor;
    }
    setting.clock.advance(60_000);
    setting.refresh(&token).await.unwrap();
}

async fn a_use_after_the_grace_ends_the_session_for_everyone(setting: Setting) {
    let other = setting.admin().await;
    let stolen = setting.admin().await.refresh_token;
    let next = setting.refresh(&stolen).await.unwrap().refresh_token;
    setting.clock.advance(10_000);
    assert_eq!(setting.refresh(&stolen).await.unwrap().refresh_token, next);
    setting.clock.advance(1);
    let ended = (ErrorKind::Unauthenticated, "the session has ended, sign in again".to_owned());
    assert_eq!(refusal(setting.refresh(&stolen).await), ended);
    assert_eq!(refusal(setting.refresh(&next).await), ended);
    setting.refresh(&other.refresh_token).await.unwrap();
}

async fn a_session_ends_twelve_hours_after_its_sign_in(setting: Setting) {
    let mut token = setting.admin().await.refresh_token;
    for _ in 0..11 {
        setting.clock.advance(60 * 60 * 1000);
        token = setting.refresh(&token).await.unwrap().refresh_token;
    }
    setting.clock.advance(60 * 60 * 1000 - 1);
    token = setting.refresh(&token).await.unwrap().refresh_token;
    setting.clock.advance(1);
    assert_eq!(refusal(setting.refresh(&token).await).0, ErrorKind::Unauthenticated);
    // Signing in again sweeps the old session away, and still works.
    setting.clock.advance(1000);
    setting.admin().await;
    assert_eq!(refusal(setting.refresh(&token).await).0, ErrorKind::Unauthenticated);
}

async fn signing_out_ends_one_session_and_asking_twice_is_fine(setting: Setting) {
    let (mine, other) = (setting.admin().await, setting.admin().await);
    for refresh_token in [&mine.refresh_token, &mine.refresh_token, "unknown"] {
        let request = RefreshRequest { refresh_token: refresh_token.to_string() };
        setting.auth.clone().sign_out(request).await.unwrap();
    }
    assert_eq!(refusal(setting.refresh(&mine.refresh_token).await).0, ErrorKind::Unauthenticated);
    setting.refresh(&other.refresh_token).await.unwrap();
}

async fn sessions_survive_a_restart(setting: Setting) {
    let tokens = setting.admin().await;
    let (peer, _) = start(&setting.config, &setting.clock).await;
    let refresh_token = tokens.refresh_token.clone();
    plain(AuthClient::new(peer.clone()).refresh(RefreshRequest { refresh_token }).await).unwrap();
    let verifier = Verifier::new(peer, setting.clock.clock());
    verifier.verify(&tokens.access_token).await.unwrap();
}

async fn a_changed_key_verifies_old_tokens_while_it_is_named(setting: Setting) {
    let tokens = setting.admin().await;
    let old_key = setting.config.signing_key.clone();
    let mut config = setting.config.clone();
    config.signing_key = setting.folder.path().join("next.pem");
    config.previous_key = Some(old_key);
    let (rotated, _) = start(&config, &setting.clock).await;
    config.previous_key = None;
    let (retired, _) = start(&config, &setting.clock).await;

    let refresh_token = tokens.refresh_token.clone();
    let refreshed =
        AuthClient::new(rotated.clone()).refresh(RefreshRequest { refresh_token }).await;
    let new = plain(refreshed).unwrap();
    let clock = setting.clock.clock();
    let verify = async |peer, token: &str| Verifier::new(peer, clock.clone()).verify(token).await;
    verify(rotated.clone(), &tokens.access_token).await.unwrap();
    verify(rotated, &new.access_token).await.unwrap();
    verify(retired.clone(), &new.access_token).await.unwrap();
    let refused = refusal(verify(retired, &tokens.access_token).await);
    assert_eq!(refused.0, ErrorKind::Unauthenticated);
}
