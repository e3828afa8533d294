use domain::{Error, ErrorKind};
use proto::auth::{Client, ListUsersRequest, NewClient, NewUser, User};
use service::claims::{Role, authorised};

use crate::setting::*;

const PASSWORD: &str = "a long enough sentence";

on_each_database! {
    an_administrator_makes_users_who_can_sign_in
    only_an_administrator_manages_accounts
    two_hospitals_never_see_each_others_users
    an_api_client_signs_in_with_the_secret_shown_once
    what_will_not_do_is_refused_in_words
}

async fn create_user(
    setting: &Setting,
    token: &str,
    user_name: &str,
    roles: &[&str],
) -> Result<User, Error> {
    let new = NewUser {
        user_name: user_name.into(),
        password: PASSWORD.into(),
        roles: roles.iter().map(ToString::to_string).collect(),
    };
    plain(setting.auth.clone().create_user(authorised(new, token)).await)
}

async fn users(setting: &Setting, token: &str) -> Result<Vec<String>, Error> {
    let users = setting.auth.clone().list_users(authorised(ListUsersRequest {}, token)).await;
    Ok(plain(users)?.users.into_iter().map(|user| user.user_name).collect())
}

async fn create_client(setting: &Setting, token: &str, roles: &[&str]) -> Result<Client, Error> {
    let roles = roles.iter().map(ToString::to_string).collect();
    let new = NewClient { name: "PACS".into(), roles, ..Default::default() };
    plain(setting.auth.clone().create_client(authorised(new, token)).await)
}

async fn an_administrator_makes_users_who_can_sign_in(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let user = create_user(&setting, &admin, "Ada", &["clinician", "scientist"]).await.unwrap();
    assert_eq!((user.user_name.as_str(), user.roles.len()), ("ada", 2));
    let claims = setting.claims(&setting.sign_in("ada", PASSWORD).await.unwrap()).await;
    assert_eq!((claims.subject, claims.roles), (user.id, vec![Role::Clinician, Role::Scientist]));
    assert_eq!(claims.name, "ada");
    assert_eq!(users(&setting, &admin).await.unwrap(), ["ada", "admin"]);
}

async fn only_an_administrator_manages_accounts(setting: Setting) {
    let admin = setting.admin().await.access_token;
    create_user(&setting, &admin, "ada", &["clinician", "integrator", "scientist"]).await.unwrap();
    let ada = setting.sign_in("ada", PASSWORD).await.unwrap().access_token;
    let worker = setting.client("medseg-service", SERVICE_SECRET).await.unwrap().access_token;
    for (token, kind) in [
        (ada.as_str(), ErrorKind::Forbidden),
        (worker.as_str(), ErrorKind::Forbidden),
        ("", ErrorKind::Unauthenticated),
        ("a.b.c", ErrorKind::Unauthenticated),
    ] {
        assert_eq!(refusal(create_user(&setting, token, "eve", &["admin"]).await).0, kind);
        assert_eq!(refusal(create_client(&setting, token, &["admin"]).await).0, kind);
        assert_eq!(refusal(users(&setting, token).await).0, kind);
    }
    assert_eq!(users(&setting, &admin).await.unwrap(), ["ada", "admin"]);
}

async fn two_hospitals_never_see_each_others_users(setting: Setting) {
    let other = setting.other_hospital("rudolf", PASSWORD, &[Role::Admin]).await;
    let theirs = setting.sign_in("rudolf", PASSWORD).await.unwrap();
    assert_eq!(setting.claims(&theirs).await.tenant().id(), other);
    let ours = setting.admin().await.access_token;
    create_user(&setting, &theirs.access_token, "virchow", &["clinician"]).await.unwrap();
    assert_eq!(users(&setting, &ours).await.unwrap(), ["admin"]);
    assert_eq!(users(&setting, &theirs.access_token).await.unwrap(), ["rudolf", "virchow"]);
    let virchow = setting.sign_in("virchow", PASSWORD).await.unwrap();
    assert_eq!(setting.claims(&virchow).await.tenant().id(), other);
    let client = create_client(&setting, &theirs.access_token, &["integrator"]).await.unwrap();
    let tokens = setting.client(&client.client_id, &client.client_secret).await.unwrap();
    assert_eq!(setting.claims(&tokens).await.tenant().id(), other);
}

async fn an_api_client_signs_in_with_the_secret_shown_once(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let client = create_client(&setting, &admin, &["integrator"]).await.unwrap();
    assert_eq!(client.client_secret.len(), 43, "256 bits in base64url");
    let tokens = setting.client(&client.client_id, &client.client_secret).await.unwrap();
    let claims = setting.claims(&tokens).await;
    assert_eq!(
        (claims.subject.as_str(), claims.roles.as_slice()),
        (client.client_id.as_str(), &[Role::Integrator][..])
    );
    assert_eq!(tokens.refresh_token, "");

    let wrong = refusal(setting.client(&client.client_id, "guess").await);
    let unknown = refusal(setting.client("guess", &client.client_secret).await);
    assert_eq!((wrong.0, &unknown), (ErrorKind::Unauthenticated, &wrong));
}

async fn what_will_not_do_is_refused_in_words(setting: Setting) {
    let admin = setting.admin().await.access_token;
    for (name, roles) in [
        ("eve", &["service"][..]),
        ("eve", &["admin", "root"]),
        ("eve", &[]),
        ("", &["clinician"]),
        ("eve\nadmin", &["clinician"]),
        ("<script>", &["clinician"]),
        (&"e".repeat(129), &["clinician"]),
    ] {
        let (kind, _) = refusal(create_user(&setting, &admin, name, roles).await);
        assert_eq!(kind, ErrorKind::Invalid, "{name:?} {roles:?}");
    }
    assert_eq!(refusal(create_client(&setting, &admin, &["service"]).await).0, ErrorKind::Invalid);
    let taken = refusal(create_user(&setting, &admin, "ADMIN", &["clinician"]).await);
    assert_eq!(taken, (ErrorKind::Conflict, "the user name is taken".into()));
    let accounts = &setting.accounts;
    let [(tenant, name)] = accounts.tenants().await.unwrap().try_into().unwrap();
    let weak = accounts.create_user(tenant, "eve", "password1234", &[Role::Admin]).await;
    assert_eq!(refusal(weak).0, ErrorKind::Invalid);
    let worker = accounts.create_user(tenant, "eve", PASSWORD, &[Role::Service]).await;
    assert_eq!(refusal(worker).0, ErrorKind::Invalid);
    assert_eq!(refusal(accounts.create_tenant(&name).await).0, ErrorKind::Conflict);
}
