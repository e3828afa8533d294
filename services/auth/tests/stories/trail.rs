use platform::{db, trail};
use proto::audit::{Entry, HeadsRef, Search};
use proto::auth::audit_trail_client::AuditTrailClient;
use proto::auth::{NewUser, RefreshRequest};
use secrecy::ExposeSecret;
use service::claims::{Role, authorised};

use crate::setting::*;

const PASSWORD: &str = "a long enough sentence";

on_each_database! {
    sign_ins_are_noted_with_where_they_come_from_and_those_that_failed_too
    changes_of_accounts_are_noted_with_who_made_them
    a_session_is_said_to_have_ended_once
    no_other_hospital_and_no_other_role_reads_the_trail
}

pub async fn read(setting: &Setting, token: &str) -> Result<Vec<Entry>, domain::Error> {
    let search = Search { limit: 100, ..Search::default() };
    let mut trail = AuditTrailClient::new(setting.peer.clone());
    Ok(plain(trail.list(authorised(search, token)).await)?.entries)
}

async fn sign_ins_are_noted_with_where_they_come_from_and_those_that_failed_too(setting: Setting) {
    let name = setting.first.user_name.clone();
    for (user_name, password) in [(name.as_str(), "wrong"), ("nobody-at-all", "wrong")] {
        setting.sign_in_from("10.0.0.9", user_name, password).await.unwrap_err();
    }
    let admin = setting.sign_in_from("10.0.0.7", &name, setting.password()).await.unwrap();
    let entries = read(&setting, &admin.access_token).await.unwrap();
    let said = |entry: &Entry| {
        [&entry.action, &entry.name, &entry.origin, &entry.detail].map(String::clone)
    };
    assert_eq!(said(&entries[0]), ["sign_in.succeeded", &*name, "10.0.0.7", ""]);
    assert_eq!(said(&entries[1]), ["sign_in.failed", &*name, "10.0.0.9", "wrong password"]);
    // What nobody is called is no hospital's entry, and is written down nowhere.
    assert!(entries.iter().all(|entry| !format!("{entry:?}").contains("nobody-at-all")));
}

async fn changes_of_accounts_are_noted_with_who_made_them(setting: Setting) {
    let admin = setting.admin().await;
    let new = NewUser {
        user_name: "ada".into(),
        password: PASSWORD.into(),
        roles: vec!["clinician".into()],
    };
    let made = setting.auth.clone().create_user(authorised(new, &admin.access_token)).await;
    let made = plain(made).unwrap();
    let entries = read(&setting, &admin.access_token).await.unwrap();
    let entry = &entries[0];
    assert_eq!((entry.action.as_str(), &entry.object_id), ("user.created", &made.id));
    assert_eq!(
        (entry.subject.clone(), entry.detail.as_str()),
        (setting.claims(&admin).await.subject, "clinician")
    );
    assert_eq!(entries.last().unwrap().action, "tenant.created");

    let url = setting.config.database_url.expose_secret();
    let database = db::existing(url).await.unwrap();
    let chains = trail::verify(&database, &[]).await.unwrap();
    assert!(chains.iter().all(|chain| chain.broken.is_none()), "{chains:?}");
    let heads = AuditTrailClient::new(setting.peer.clone()).heads(HeadsRef {}).await.unwrap();
    let heads = heads.into_inner().heads;
    assert!(heads.iter().any(|head| head.position == entry.position));
}

async fn a_session_is_said_to_have_ended_once(setting: Setting) {
    let (mine, other) = (setting.admin().await, setting.admin().await);
    // Whoever has the token of a session that is over can write nothing more into the trail.
    for _ in 0..3 {
        let request = RefreshRequest { refresh_token: mine.refresh_token.clone() };
        plain(setting.auth.clone().sign_out(request).await).unwrap();
    }
    let entries = read(&setting, &other.access_token).await.unwrap();
    let ended = entries.iter().filter(|entry| entry.action == "session.ended");
    assert_eq!(ended.count(), 1, "{entries:?}");
}

async fn no_other_hospital_and_no_other_role_reads_the_trail(setting: Setting) {
    let own = setting.admin().await.access_token;
    setting.other_hospital("chief", PASSWORD, &[Role::Admin]).await;
    let chief = setting.sign_in("chief", PASSWORD).await.unwrap().access_token;
    let theirs = read(&setting, &chief).await.unwrap();
    let actions: Vec<_> = theirs.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["sign_in.succeeded", "user.created", "tenant.created"]);
    assert!(read(&setting, &own).await.unwrap().iter().all(|entry| entry.name != "chief"));

    setting.other_reader(&own).await;
    let reader = setting.sign_in("reader", PASSWORD).await.unwrap().access_token;
    let (kind, _) = refusal(read(&setting, &reader).await);
    assert_eq!(kind, domain::ErrorKind::Forbidden);
}

impl Setting {
    async fn other_reader(&self, token: &str) {
        let roles = vec!["clinician".into()];
        let new = NewUser { user_name: "reader".into(), password: PASSWORD.into(), roles };
        plain(self.auth.clone().create_user(authorised(new, token)).await).unwrap();
    }
}
