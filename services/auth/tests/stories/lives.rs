//! What becomes of accounts after they were made.

use auth::Config;
use domain::{Error, ErrorKind};
use futures::future::join_all;
use proto::auth::*;
use service::claims::{Role, authorised};

use crate::setting::*;

const PASSWORD: &str = "a long enough sentence";
const OTHER: &str = "another long enough sentence";

on_each_database! {
    whoever_is_disabled_is_refused_at_once_by_auth_and_within_a_minute_everywhere
    whoever_is_demoted_goes_on_with_what_is_left
    whoever_is_deleted_is_gone
    the_last_administrator_stays
    of_two_administrators_who_delete_one_another_one_stays
    an_invitation_works_once_and_for_three_days
    a_link_takes_the_place_of_the_one_before_and_of_the_old_password
    one_changes_ones_own_password_and_all_else_ends
    sessions_are_listed_and_ended_one_by_one
    a_clients_secret_is_rotated_without_a_gap
    a_client_that_is_disabled_or_expired_or_deleted_is_refused
    a_client_is_who_its_row_says_however_it_is_spelled
    whoever_is_given_a_password_needs_no_link_any_more
    what_is_anothers_is_as_if_it_were_not
    a_confined_client_manages_no_accounts
}

/// A clinician of the first hospital, signed in; their id and their tokens.
async fn ada(setting: &Setting, admin: &str) -> (String, Tokens) {
    let roles = vec!["clinician".into(), "scientist".into()];
    let new = NewUser { user_name: "ada".into(), password: PASSWORD.into(), roles };
    let made = plain(setting.auth.clone().create_user(authorised(new, admin)).await).unwrap();
    (made.id, setting.sign_in("ada", PASSWORD).await.unwrap())
}

async fn change(setting: &Setting, admin: &str, change: UserChange) -> Result<User, Error> {
    plain(setting.lives().change_user(authorised(change, admin)).await)
}

async fn disable(setting: &Setting, admin: &str, id: &str, disabled: bool) -> Result<User, Error> {
    let user_id = id.to_owned();
    let wish = UserChange { user_id, disabled: Some(disabled), ..Default::default() };
    change(setting, admin, wish).await
}

async fn use_link(setting: &Setting, token: &str, password: &str) -> Result<String, Error> {
    let (token, password) = (token.to_owned(), password.to_owned());
    let used = setting.auth.clone().use_link(UseLinkRequest { token, password }).await;
    plain(used).map(|used| used.user_name)
}

async fn invite(setting: &Setting, admin: &str, user_name: &str) -> Result<Link, Error> {
    let (user_name, roles) = (user_name.to_owned(), vec!["clinician".into()]);
    plain(setting.lives().invite(authorised(NewInvitation { user_name, roles }, admin)).await)
}

async fn whoever_is_disabled_is_refused_at_once_by_auth_and_within_a_minute_everywhere(
    setting: Setting,
) {
    let admin = setting.admin().await.access_token;
    let (id, tokens) = ada(&setting, &admin).await;
    setting.claims(&tokens).await;
    let disabled = disable(&setting, &admin, &id, true).await.unwrap();
    assert_eq!(disabled.state, "disabled");

    let me = setting.lives().me(authorised(MeRequest {}, &tokens.access_token)).await;
    assert_eq!(refusal(plain(me)).0, ErrorKind::Unauthenticated);
    let later = setting.minutes_later(&tokens).await;
    assert_eq!(refusal(later).0, ErrorKind::Unauthenticated);
    let ended = refusal(setting.refresh(&tokens.refresh_token).await);
    assert_eq!(ended.0, ErrorKind::Unauthenticated);
    // The right password of somebody who is disabled is as wrong as one of nobody.
    let right = refusal(setting.sign_in("ada", PASSWORD).await);
    assert_eq!(right, refusal(setting.sign_in("nobody", PASSWORD).await));

    assert_eq!(disable(&setting, &admin, &id, false).await.unwrap().state, "active");
    let again = setting.sign_in("ada", PASSWORD).await.unwrap();
    setting.minutes_later(&again).await.unwrap();
    // What ended stays so.
    assert_eq!(refusal(setting.refresh(&tokens.refresh_token).await), ended);
}

async fn whoever_is_demoted_goes_on_with_what_is_left(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let (user_id, tokens) = ada(&setting, &admin).await;
    setting.claims(&tokens).await;
    let roles = vec!["clinician".to_owned()];
    let wish = UserChange { user_id, roles: roles.clone(), ..Default::default() };
    assert_eq!(change(&setting, &admin, wish.clone()).await.unwrap().roles, roles);
    assert_eq!(refusal(setting.minutes_later(&tokens).await).0, ErrorKind::Unauthenticated);
    let renewed = setting.refresh(&tokens.refresh_token).await.unwrap();
    assert_eq!(setting.claims(&renewed).await.roles, [Role::Clinician]);
    // What changes nothing refuses nothing.
    change(&setting, &admin, wish.clone()).await.unwrap();
    setting.minutes_later(&renewed).await.unwrap();
    for roles in [vec!["service".into()], vec!["operator".into()], vec!["king".into()]] {
        let refused = change(&setting, &admin, UserChange { roles, ..wish.clone() }).await;
        assert_eq!(refusal(refused).0, ErrorKind::Invalid);
    }
}

async fn whoever_is_deleted_is_gone(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let (user_id, tokens) = ada(&setting, &admin).await;
    setting.claims(&tokens).await;
    let delete = async || {
        let user = UserRef { user_id: user_id.clone() };
        plain(setting.lives().delete_user(authorised(user, &admin)).await)
    };
    delete().await.unwrap();
    assert_eq!(refusal(delete().await), (ErrorKind::NotFound, "no such user".into()));
    assert_eq!(refusal(setting.minutes_later(&tokens).await).0, ErrorKind::Unauthenticated);
    let refused = setting.refresh(&tokens.refresh_token).await;
    assert_eq!(refusal(refused).0, ErrorKind::Unauthenticated);
    assert_eq!(refusal(setting.sign_in("ada", PASSWORD).await).0, ErrorKind::Unauthenticated);
    // The name is free again, for somebody else.
    let admin = setting.admin().await.access_token;
    assert_ne!(ada(&setting, &admin).await.0, user_id);
}

async fn the_last_administrator_stays(setting: Setting) {
    let tokens = setting.admin().await;
    let (id, admin) = (setting.claims(&tokens).await.subject, tokens.access_token);
    let roles = vec!["clinician".to_owned()];
    let demote = UserChange { user_id: id.clone(), roles, ..Default::default() };
    assert_eq!(refusal(change(&setting, &admin, demote.clone()).await).0, ErrorKind::Conflict);
    assert_eq!(refusal(disable(&setting, &admin, &id, true).await).0, ErrorKind::Conflict);
    let delete = UserRef { user_id: id.clone() };
    let deleted = plain(setting.lives().delete_user(authorised(delete, &admin)).await);
    assert_eq!(refusal(deleted).0, ErrorKind::Conflict);
    // Somebody who is only invited cannot administer yet.
    let (user_name, roles) = ("bob".to_owned(), vec!["admin".to_owned()]);
    let bob = NewInvitation { user_name, roles };
    let link = plain(setting.lives().invite(authorised(bob, &admin)).await).unwrap();
    assert_eq!(refusal(change(&setting, &admin, demote.clone()).await).0, ErrorKind::Conflict);
    use_link(&setting, &link.token, OTHER).await.unwrap();
    change(&setting, &admin, demote).await.unwrap();
}

async fn of_two_administrators_who_delete_one_another_one_stays(setting: Setting) {
    let tenant = setting.other_hospital("rudolf", PASSWORD, &[Role::Admin]).await;
    setting.accounts.create_user(tenant, "robert", PASSWORD, &[Role::Admin]).await.unwrap();
    let (rudolf, robert) = (
        setting.sign_in("rudolf", PASSWORD).await.unwrap(),
        setting.sign_in("robert", PASSWORD).await.unwrap(),
    );
    let ids = (setting.claims(&rudolf).await.subject, setting.claims(&robert).await.subject);
    let delete = async |tokens: &Tokens, user_id: &str| {
        let user = UserRef { user_id: user_id.to_owned() };
        plain(setting.lives().delete_user(authorised(user, &tokens.access_token)).await)
    };
    let (one, other) = tokio::join!(delete(&rudolf, &ids.1), delete(&robert, &ids.0));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert_eq!(setting.accounts.users(tenant).await.unwrap().len(), 1);
}

async fn an_invitation_works_once_and_for_three_days(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let link = invite(&setting, &admin, "Bob").await.unwrap();
    let bob = link.user.unwrap();
    assert_eq!(
        (bob.user_name.as_str(), bob.state.as_str(), bob.signed_in_ms),
        ("bob", "invited", 0)
    );
    assert_eq!((link.token.len(), link.expires_ms), (43, NOW_MS + 72 * 3_600_000));
    assert_eq!(refusal(invite(&setting, &admin, "bob").await).0, ErrorKind::Conflict);
    // Nobody signs in without a password, nor with none.
    for guess in ["", PASSWORD] {
        assert_eq!(refusal(setting.sign_in("bob", guess).await).0, ErrorKind::Unauthenticated);
    }
    // A password that will not do leaves the link as it is.
    let weak = use_link(&setting, &link.token, "password1234").await;
    assert_eq!(refusal(weak).0, ErrorKind::Invalid);
    let uses = join_all((0..8).map(|_| use_link(&setting, &link.token, PASSWORD))).await;
    assert_eq!(uses.iter().filter(|used| used.is_ok()).count(), 1);
    setting.sign_in("bob", PASSWORD).await.unwrap();

    let used = refusal(use_link(&setting, &link.token, OTHER).await);
    let never = refusal(use_link(&setting, "a guess", OTHER).await);
    let late = invite(&setting, &admin, "eve").await.unwrap();
    setting.clock.advance(72 * 3_600_000);
    let late = refusal(use_link(&setting, &late.token, OTHER).await);
    assert_eq!((used.0, &used, &used), (ErrorKind::NotFound, &never, &late));
}

async fn a_link_takes_the_place_of_the_one_before_and_of_the_old_password(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let (user_id, tokens) = ada(&setting, &admin).await;
    setting.claims(&tokens).await;
    let reset = async || {
        let user = UserRef { user_id: user_id.clone() };
        plain(setting.lives().reset_password(authorised(user, &admin)).await)
    };
    let (first, second) = (reset().await.unwrap(), reset().await.unwrap());
    // Until it is used, nothing has happened.
    setting.refresh(&tokens.refresh_token).await.unwrap();
    assert_eq!(refusal(use_link(&setting, &first.token, OTHER).await).0, ErrorKind::NotFound);
    assert_eq!(use_link(&setting, &second.token, OTHER).await.unwrap(), "ada");
    assert_eq!(refusal(setting.minutes_later(&tokens).await).0, ErrorKind::Unauthenticated);
    assert_eq!(refusal(setting.sign_in("ada", PASSWORD).await).0, ErrorKind::Unauthenticated);
    setting.sign_in("ada", OTHER).await.unwrap();

    let third = reset().await.unwrap();
    disable(&setting, &admin, &user_id, true).await.unwrap();
    assert_eq!(refusal(use_link(&setting, &third.token, PASSWORD).await).0, ErrorKind::NotFound);
    assert_eq!(refusal(reset().await).0, ErrorKind::Conflict);
}

async fn one_changes_ones_own_password_and_all_else_ends(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let (_, here) = ada(&setting, &admin).await;
    let there = setting.sign_in("ada", PASSWORD).await.unwrap();
    setting.claims(&there).await;
    let wish = |password: &str, new_password: &str| ChangePasswordRequest {
        password: password.into(),
        new_password: new_password.into(),
        ..Default::default()
    };
    for (old, new, kind) in [
        ("a guess", OTHER, ErrorKind::Forbidden),
        (PASSWORD, "short", ErrorKind::Invalid),
        (PASSWORD, PASSWORD, ErrorKind::Invalid),
    ] {
        let change = authorised(wish(old, new), &here.access_token);
        assert_eq!(refusal(plain(setting.lives().change_password(change).await)).0, kind, "{new}");
    }
    let change = authorised(wish(PASSWORD, OTHER), &here.access_token);
    let new = plain(setting.lives().change_password(change).await).unwrap();
    for old in [&here, &there] {
        let refused = setting.refresh(&old.refresh_token).await;
        assert_eq!(refusal(refused).0, ErrorKind::Unauthenticated);
    }
    assert_eq!(refusal(setting.minutes_later(&there).await).0, ErrorKind::Unauthenticated);
    setting.claims(&new).await;
    setting.sign_in("ada", OTHER).await.unwrap();
    // Whoever guesses with a stolen token is slowed down as at the door.
    for _ in 0..5 {
        let guess = authorised(wish("a guess", PASSWORD), &new.access_token);
        setting.lives().change_password(guess).await.unwrap_err();
    }
    let guess = authorised(wish("a guess", PASSWORD), &new.access_token);
    let guess = plain(setting.lives().change_password(guess).await);
    assert_eq!(refusal(guess).0, ErrorKind::Exhausted);
}

async fn sessions_are_listed_and_ended_one_by_one(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let (user_id, here) = ada(&setting, &admin).await;
    setting.clock.advance(1);
    let there = setting.sign_in_from("192.0.2.7", "ada", PASSWORD).await.unwrap();
    let list = async |token: &str, user_id: &str| {
        let request = ListSessionsRequest { user_id: user_id.to_owned() };
        plain(setting.lives().list_sessions(authorised(request, token)).await)
    };
    let [newest, _] = list(&here.access_token, "").await.unwrap().sessions.try_into().unwrap();
    assert_eq!((newest.place.as_str(), newest.begun_ms), ("192.0.2.7", NOW_MS + 1));
    assert_eq!(newest.expires_ms, NOW_MS + 1 + 12 * 3_600_000);
    assert_eq!(list(&admin, &user_id).await.unwrap().sessions.len(), 2);
    let own_id = setting.claims(&here).await.subject;
    let refused = list(&here.access_token, &own_id).await;
    assert_eq!(refusal(refused).0, ErrorKind::Forbidden, "by id is for administrators");

    let end = async |token: &str, user_id: &str| {
        let (user_id, session_id) = (user_id.to_owned(), newest.id.clone());
        let session = SessionRef { user_id, session_id };
        plain(setting.lives().end_session(authorised(session, token)).await)
    };
    // Nobody's but one's own.
    assert_eq!(refusal(end(&admin, "").await).0, ErrorKind::NotFound);
    end(&admin, &user_id).await.unwrap();
    assert_eq!(refusal(end(&admin, &user_id).await).0, ErrorKind::NotFound);
    assert_eq!(refusal(setting.minutes_later(&there).await).0, ErrorKind::Unauthenticated);
    assert_eq!(refusal(setting.refresh(&there.refresh_token).await).0, ErrorKind::Unauthenticated);
    // The other one goes on, with another token.
    let renewed = setting.refresh(&here.refresh_token).await.unwrap();
    assert_eq!(list(&renewed.access_token, "").await.unwrap().sessions.len(), 1);
}

async fn client(setting: &Setting, admin: &str, expires_ms: i64) -> Client {
    let (name, roles) = ("PACS".to_owned(), vec!["integrator".to_owned()]);
    let new = NewClient { name, roles, expires_ms, ..Default::default() };
    plain(setting.auth.clone().create_client(authorised(new, admin)).await).unwrap()
}

async fn a_clients_secret_is_rotated_without_a_gap(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let Client { client_id: id, client_secret: old, .. } = client(&setting, &admin, 0).await;
    let one = || ClientRef { client_id: id.clone() };
    let rotate = async || plain(setting.lives().rotate_client(authorised(one(), &admin)).await);
    let new = rotate().await.unwrap().client_secret;
    assert_eq!(refusal(rotate().await).0, ErrorKind::Conflict, "a third would end the first");
    let by_old = setting.client(&id, &old).await.unwrap();
    setting.claims(&by_old).await;
    setting.client(&id, &new).await.unwrap();
    let list = async || {
        let listed = setting.lives().list_clients(authorised(ListClientsRequest {}, &admin)).await;
        let [only] = plain(listed).unwrap().clients.try_into().unwrap();
        only
    };
    let listed: ClientAccount = list().await;
    assert_eq!((listed.rotating, listed.used_ms, listed.client_id.as_str()), (true, NOW_MS, &*id));

    let ended = plain(setting.lives().end_rotation(authorised(one(), &admin)).await).unwrap();
    assert!(!ended.rotating);
    assert_eq!(refusal(setting.client(&id, &old).await).0, ErrorKind::Unauthenticated);
    assert_eq!(refusal(setting.client(&id, "").await).0, ErrorKind::Unauthenticated);
    assert_eq!(refusal(setting.minutes_later(&by_old).await).0, ErrorKind::Unauthenticated);
    let by_new = setting.client(&id, &new).await.unwrap();
    setting.minutes_later(&by_new).await.unwrap();
}

async fn a_client_that_is_disabled_or_expired_or_deleted_is_refused(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let expires_ms = NOW_MS + 3_600_000;
    let Client { client_id, client_secret: secret, .. } =
        client(&setting, &admin, expires_ms).await;
    let tokens = setting.client(&client_id, &secret).await.unwrap();
    setting.claims(&tokens).await;
    let wrong = refusal(setting.client(&client_id, "guess").await);
    let set = async |disabled: bool| {
        let client_id = client_id.clone();
        let wish = ClientChange { client_id, disabled: Some(disabled), ..Default::default() };
        plain(setting.lives().change_client(authorised(wish, &admin)).await).unwrap()
    };
    assert!(set(true).await.disabled);
    assert_eq!(refusal(setting.client(&client_id, &secret).await), wrong);
    assert_eq!(refusal(setting.minutes_later(&tokens).await).0, ErrorKind::Unauthenticated);
    assert!(!set(false).await.disabled);
    setting.client(&client_id, &secret).await.unwrap();
    setting.clock.advance(3_600_000);
    assert_eq!(refusal(setting.client(&client_id, &secret).await), wrong);

    // Another one, for this one is refused already.
    let admin = setting.admin().await.access_token;
    let Client { client_id, client_secret: secret, .. } = client(&setting, &admin, 0).await;
    let tokens = setting.client(&client_id, &secret).await.unwrap();
    setting.claims(&tokens).await;
    let delete = ClientRef { client_id: client_id.clone() };
    plain(setting.lives().delete_client(authorised(delete, &admin)).await).unwrap();
    assert_eq!(refusal(setting.client(&client_id, &secret).await), wrong);
    assert_eq!(refusal(setting.minutes_later(&tokens).await).0, ErrorKind::Unauthenticated);
}

async fn a_client_is_who_its_row_says_however_it_is_spelled(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let Client { client_id, client_secret: secret, .. } = client(&setting, &admin, 0).await;
    let tokens = setting.client(&client_id.to_uppercase(), &secret).await.unwrap();
    assert_eq!(setting.claims(&tokens).await.subject, client_id);
    let disable =
        ClientChange { client_id: client_id.clone(), disabled: Some(true), ..Default::default() };
    plain(setting.lives().change_client(authorised(disable, &admin)).await).unwrap();
    assert_eq!(refusal(setting.minutes_later(&tokens).await).0, ErrorKind::Unauthenticated);
    for no_id in ["", " ", "no id", "medseg-service "] {
        let refused = setting.client(no_id, &secret).await;
        assert_eq!(refusal(refused).0, ErrorKind::Unauthenticated, "{no_id:?}");
    }
}

async fn whoever_is_given_a_password_needs_no_link_any_more(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let link = invite(&setting, &admin, "bob").await.unwrap();
    // As where the link of a hospital's one administrator has expired: whoever has the database helps.
    setting.accounts.reset_password("bob", OTHER).await.unwrap();
    setting.sign_in("bob", OTHER).await.unwrap();
    assert_eq!(refusal(use_link(&setting, &link.token, PASSWORD).await).0, ErrorKind::NotFound);
    // It lets nobody in whom an administrator keeps out.
    disable(&setting, &admin, &link.user.unwrap().id, true).await.unwrap();
    setting.accounts.reset_password("bob", PASSWORD).await.unwrap();
    assert_eq!(refusal(setting.sign_in("bob", PASSWORD).await).0, ErrorKind::Unauthenticated);
}

/// What an administrator says to each call about that user, that client and that session.
async fn said(
    setting: &Setting,
    token: &str,
    user: &str,
    client: &str,
) -> Vec<(ErrorKind, String)> {
    let user_ref = || authorised(UserRef { user_id: user.into() }, token);
    let client_ref = || authorised(ClientRef { client_id: client.into() }, token);
    let user_change =
        UserChange { user_id: user.into(), disabled: Some(true), ..Default::default() };
    let client_change =
        ClientChange { client_id: client.into(), disabled: Some(true), ..Default::default() };
    let sessions = ListSessionsRequest { user_id: user.into() };
    let session = SessionRef { user_id: user.into(), session_id: client.into() };
    let mut lives = setting.lives();
    vec![
        refusal(plain(lives.reset_password(user_ref()).await)),
        refusal(plain(lives.change_user(authorised(user_change, token)).await)),
        refusal(plain(lives.delete_user(user_ref()).await)),
        refusal(plain(lives.list_sessions(authorised(sessions, token)).await)),
        refusal(plain(lives.end_session(authorised(session, token)).await)),
        refusal(plain(lives.change_client(authorised(client_change, token)).await)),
        refusal(plain(lives.rotate_client(client_ref()).await)),
        refusal(plain(lives.end_rotation(client_ref()).await)),
        refusal(plain(lives.delete_client(client_ref()).await)),
    ]
}

async fn what_is_anothers_is_as_if_it_were_not(setting: Setting) {
    setting.other_hospital("rudolf", PASSWORD, &[Role::Admin]).await;
    let theirs = setting.sign_in("rudolf", PASSWORD).await.unwrap();
    let ours = setting.admin().await.access_token;
    let rudolf = setting.claims(&theirs).await.subject;
    let client = client(&setting, &theirs.access_token, 0).await;
    let foreign = said(&setting, &ours, &rudolf, &client.client_id).await;
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    assert_eq!(foreign, said(&setting, &ours, unknown, unknown).await);
    assert_eq!(foreign, said(&setting, &ours, "no id", "no id").await);
    assert!(foreign.iter().all(|(kind, _)| *kind == ErrorKind::NotFound), "{foreign:?}");
    // And nothing has happened to them.
    setting.refresh(&theirs.refresh_token).await.unwrap();
    setting.client(&client.client_id, &client.client_secret).await.unwrap();

    let (_, clinician) = ada(&setting, &ours).await;
    for (token, kind) in
        [(clinician.access_token.as_str(), ErrorKind::Forbidden), ("", ErrorKind::Unauthenticated)]
    {
        let refused = said(&setting, token, &rudolf, &client.client_id).await;
        assert!(refused.iter().all(|(refused, _)| *refused == kind), "{refused:?}");
        assert_eq!(refusal(invite(&setting, token, "eve").await).0, kind);
    }
}

async fn a_confined_client_manages_no_accounts(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let new = |scopes: &[&str]| NewClient {
        name: "PACS".into(),
        roles: vec!["admin".into()],
        scopes: scopes.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    let make = authorised(new(&["scans"]), &admin);
    let made = plain(setting.auth.clone().create_client(make).await).unwrap();
    let tokens = setting.client(&made.client_id, &made.client_secret).await.unwrap();
    assert_eq!(setting.claims(&tokens).await.scopes, ["scans"]);
    let another = authorised(new(&[]), &tokens.access_token);
    let another = plain(setting.auth.clone().create_client(another).await);
    assert_eq!(refusal(another).0, ErrorKind::Forbidden);
    let bad = plain(setting.auth.clone().create_client(authorised(new(&["a b"]), &admin)).await);
    assert_eq!(refusal(bad).0, ErrorKind::Invalid);
}

#[tokio::test]
async fn a_password_that_was_printed_opens_nothing_but_its_change() {
    let setting = Setting::on_sqlite().await;
    let url = format!("sqlite://{}/printed.db", setting.folder.path().display());
    let config =
        Config { database_url: url.into(), first_password: None, ..setting.config.clone() };
    let (peer, first) = start(&config, &setting.clock).await;
    let shown = first.unwrap().to_string();
    let (_, password) = shown.split_once(" the password ").unwrap();
    let password = password.lines().next().unwrap().to_owned();
    let mut auth = auth_client::AuthClient::new(peer);
    let mut sign_in = async |password: &str, new_password: &str| {
        let (user_name, password) = ("admin".to_owned(), password.to_owned());
        let new_password = new_password.to_owned();
        plain(
            auth.sign_in(SignInRequest { user_name, password, new_password, ..Default::default() })
                .await,
        )
    };
    let told = sign_in(&password, "").await.unwrap();
    assert_eq!(told, Tokens { must_change_password: true, ..Default::default() });
    assert_eq!(refusal(sign_in("guess", OTHER).await).0, ErrorKind::Unauthenticated);
    assert_eq!(refusal(sign_in(&password, "short").await).0, ErrorKind::Invalid);
    assert_eq!(refusal(sign_in(&password, &password).await).0, ErrorKind::Invalid);
    let tokens = sign_in(&password, OTHER).await.unwrap();
    assert!(!tokens.must_change_password && !tokens.access_token.is_empty());
    assert!(!sign_in(OTHER, "").await.unwrap().must_change_password);
    assert_eq!(refusal(sign_in(&password, "").await).0, ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_password_that_was_chosen_is_not_printed_and_a_bad_one_refuses_the_start() {
    let setting = Setting::on_sqlite().await;
    let shown = setting.first.to_string();
    assert!(shown.starts_with("First start") && !shown.contains(FIRST_PASSWORD), "{shown}");
    for (bad, starts) in [("short", false), ("", true)] {
        let url = format!("sqlite://{}/{starts}.db", setting.folder.path().display());
        let first_password = Some(bad.into());
        let config = Config { database_url: url.into(), first_password, ..setting.config.clone() };
        let opened = auth::open(&config, setting.clock.clock(), service::system_random()).await;
        match opened.map(drop) {
            Ok(()) => assert!(starts, "{bad:?}"),
            Err(error) => assert!(!starts && error.to_string().starts_with("FIRST_PASSWORD")),
        }
    }
}
