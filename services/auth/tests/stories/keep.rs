use std::fs;

use auth::{Accounts, Config};
use domain::ErrorKind;
use proto::auth::NewClient;
use secrecy::ExposeSecret;
use service::claims::{Role, authorised};
use service::system_random;

use crate::setting::*;

const PASSWORD: &str = "a long enough sentence";

on_each_database! {
    what_a_user_leaves_behind_is_swept_at_the_next_sign_in_and_nobody_elses
    an_api_clients_name_is_for_people_to_read
    the_roles_of_a_refreshed_session_are_the_users_own
}

/// How many rows two tables have: sessions and their refresh tokens.
async fn rows(setting: &Setting) -> [i64; 2] {
    sqlx::any::install_default_drivers();
    let url = setting.config.database_url.expose_secret();
    let database = sqlx::AnyPool::connect(url).await.unwrap();
    let mut counts = [0; 2];
    let queries = ["SELECT COUNT(*) FROM sessions", "SELECT COUNT(*) FROM refresh_tokens"];
    for (count, query) in counts.iter_mut().zip(queries) {
        *count = sqlx::query_scalar(query).fetch_one(&database).await.unwrap();
    }
    counts
}

async fn what_a_user_leaves_behind_is_swept_at_the_next_sign_in_and_nobody_elses(setting: Setting) {
    setting.other_hospital("ada", PASSWORD, &[Role::Clinician]).await;
    setting.sign_in("ada", PASSWORD).await.unwrap();
    let tokens = setting.admin().await;
    setting.refresh(&tokens.refresh_token).await.unwrap();
    assert_eq!(rows(&setting).await, [2, 3]);
    // A session that has just ended is kept for one moment more.
    setting.clock.advance(12 * 60 * 60 * 1000);
    setting.admin().await;
    assert_eq!(rows(&setting).await, [3, 4]);
    setting.clock.advance(1);
    setting.admin().await;
    // Two of the administrator's that go on, and the one that the other user has not come back to.
    assert_eq!(rows(&setting).await, [3, 3]);
}

async fn an_api_clients_name_is_for_people_to_read(setting: Setting) {
    let admin = setting.admin().await.access_token;
    let create = async |name: &str| {
        let roles = vec!["integrator".into()];
        let new = NewClient { name: name.into(), roles, ..Default::default() };
        plain(setting.auth.clone().create_client(authorised(new, &admin)).await)
    };
    assert_eq!(create(" PACS süd ").await.unwrap().name, "PACS süd");
    for name in ["", " ", "PACS\nsecond line", &"ü".repeat(129)] {
        let words = "a client's name has 1 to 128 characters".to_owned();
        assert_eq!(refusal(create(name).await), (ErrorKind::Invalid, words), "{name:?}");
    }
}

async fn the_roles_of_a_refreshed_session_are_the_users_own(setting: Setting) {
    let tenant = setting.other_hospital("ada", PASSWORD, &[Role::Clinician]).await;
    setting.accounts.create_user(tenant, "bob", PASSWORD, &[Role::Admin]).await.unwrap();
    let (ada, bob) =
        (setting.sign_in("ada", PASSWORD).await, setting.sign_in("bob", PASSWORD).await);
    for (tokens, role) in [(bob, Role::Admin), (ada, Role::Clinician)] {
        let tokens = tokens.unwrap();
        let again = setting.refresh(&tokens.refresh_token).await.unwrap();
        let (before, after) = (setting.claims(&tokens).await, setting.claims(&again).await);
        assert_eq!((after.subject, after.roles), (before.subject, vec![role]));
        assert_eq!(setting.claims(&again).await.tenant().id(), tenant);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_database_holds_nothing_to_sign_in_with() {
    let setting = Setting::on_sqlite().await;
    let tokens = setting.admin().await;
    let again = setting.refresh(&tokens.refresh_token).await.unwrap();
    let roles = vec!["integrator".into()];
    let new = NewClient { name: "PACS".into(), roles, ..Default::default() };
    let client = setting.auth.clone().create_client(authorised(new, &tokens.access_token)).await;
    let client = plain(client).unwrap();
    let mut copy = Vec::new();
    for file in fs::read_dir(setting.folder.path()).unwrap().map(|file| file.unwrap().path()) {
        if file.file_name().unwrap().to_string_lossy().starts_with("auth.db") {
            copy.extend(fs::read(file).unwrap());
        }
    }
    let holds = |text: &str| copy.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(holds(&client.client_id) && holds("St. Mary's"), "the copy is of this database");
    let key = fs::read_to_string(&setting.config.signing_key).unwrap();
    for secret in [
        setting.password(),
        SERVICE_SECRET,
        &tokens.refresh_token,
        &again.refresh_token,
        &again.access_token,
        &client.client_secret,
        key.lines().nth(1).unwrap(),
    ] {
        assert!(!holds(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_first_start_that_was_cut_off_is_finished_by_the_next() {
    let setting = Setting::on_sqlite().await;
    let empty = |name: &str| {
        let url = format!("sqlite://{}/{name}.db", setting.folder.path().display());
        Config { database_url: url.into(), ..setting.config.clone() }
    };
    let accounts = async |config: &Config| {
        let url = config.database_url.expose_secret();
        Accounts::open(url, setting.clock.clock(), system_random()).await.unwrap()
    };
    let half = empty("half");
    let tenant = accounts(&half).await.create_tenant("Charité").await.unwrap();
    let (_, first) = start(&half, &setting.clock).await;
    assert_eq!(first.unwrap().user_name, "admin");
    let after = accounts(&half).await;
    assert_eq!(after.tenants().await.unwrap(), [(tenant, "Charité".to_owned())]);
    assert_eq!(after.users(tenant).await.unwrap().len(), 1);

    // Of two hospitals, neither is the first start's: whoever made them makes their users.
    let two = empty("two");
    let accounts = accounts(&two).await;
    for name in ["Charité", "St. Mary's"] {
        accounts.create_tenant(name).await.unwrap();
    }
    assert!(start(&two, &setting.clock).await.1.is_none());
}
