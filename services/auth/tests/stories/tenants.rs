//! Hospitals, as an operator manages them.

use domain::{Error, ErrorKind};
use proto::audit::Stretch;
use proto::auth::audit_trail_client::AuditTrailClient;
use proto::auth::auth_client::AuthClient;
use proto::auth::*;
use service::claims::{Role, ServiceToken, authorised, operator_tenant};

use crate::setting::*;

const PASSWORD: &str = "a long enough sentence";

on_each_database! {
    an_operator_makes_a_hospital_whose_administrator_chooses_a_password
    a_suspended_hospital_is_refused_within_a_minute_and_goes_on_where_it_was
    a_closed_hospital_stays_closed
    delivery_alone_is_told_what_hospitals_are
    nobody_but_an_operator_manages_hospitals
    an_operator_who_is_removed_is_refused
    a_hospital_has_as_many_accounts_as_it_may
    an_export_holds_accounts_and_no_secret
}

/// An operator, signed in.
async fn operator(setting: &Setting) -> String {
    setting.accounts.create_operator("ops", PASSWORD).await.unwrap();
    setting.sign_in("ops", PASSWORD).await.unwrap().access_token
}

async fn make(setting: &Setting, operator: &str, new: NewTenant) -> Result<TenantMade, Error> {
    plain(setting.tenants().create(authorised(new, operator)).await)
}

fn hospital(name: &str, admin: &str) -> NewTenant {
    let (name, admin_user_name) = (name.to_owned(), admin.to_owned());
    NewTenant { name, admin_user_name, ..Default::default() }
}

async fn set(setting: &Setting, operator: &str, id: &str, state: &str) -> Result<Tenant, Error> {
    let wish = TenantStateChange { tenant_id: id.to_owned(), state: state.to_owned() };
    plain(setting.tenants().set_state(authorised(wish, operator)).await)
}

/// A second hospital: its id, and its administrator signed in.
async fn charite(setting: &Setting, operator: &str) -> (String, Tokens) {
    let made = make(setting, operator, hospital("Charité", "rudolf")).await.unwrap();
    let token = made.invitation.unwrap().token;
    let accept = UseLinkRequest { token, password: PASSWORD.into() };
    setting.auth.clone().use_link(accept).await.unwrap();
    (made.tenant.unwrap().id, setting.sign_in("rudolf", PASSWORD).await.unwrap())
}

async fn an_operator_makes_a_hospital_whose_administrator_chooses_a_password(setting: Setting) {
    let operator = operator(&setting).await;
    let (id, rudolf) = charite(&setting, &operator).await;
    let claims = setting.claims(&rudolf).await;
    assert_eq!((claims.tenant().id().to_string(), claims.roles), (id.clone(), vec![Role::Admin]));

    let taken = make(&setting, &operator, hospital("Charité", "robert")).await;
    assert_eq!(refusal(taken).0, ErrorKind::Conflict);
    // Neither is there where the other's name is taken.
    let taken = make(&setting, &operator, hospital("Bellevue", "rudolf")).await;
    assert_eq!(refusal(taken), (ErrorKind::Conflict, "the user name is taken".into()));
    let list = setting.tenants().list(authorised(ListTenantsRequest {}, &operator)).await;
    let tenants = plain(list).unwrap().tenants;
    let names: Vec<_> = tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    assert_eq!(names, ["Charité", "St. Mary's"]);
    assert_eq!((tenants[0].users, tenants[0].users_max, tenants[0].languages.len()), (1, 1000, 1));

    let (languages, name) = (vec!["fr".into(), "en".into()], "Hôpital".to_owned());
    let wish = TenantChange { tenant_id: id, name, languages, ..Default::default() };
    let changed = setting.tenants().change(authorised(wish.clone(), &operator)).await;
    let changed = plain(changed).unwrap();
    assert_eq!((changed.name.as_str(), changed.languages), ("Hôpital", wish.languages.clone()));
    let me = setting.lives().me(authorised(MeRequest {}, &rudolf.access_token)).await;
    assert_eq!(plain(me).unwrap().tenant_name, "Hôpital");
    let klingon = TenantChange { languages: vec!["tlh".into()], ..wish };
    let refused = plain(setting.tenants().change(authorised(klingon, &operator)).await);
    assert_eq!(refusal(refused).0, ErrorKind::Invalid);
}

async fn a_suspended_hospital_is_refused_within_a_minute_and_goes_on_where_it_was(
    setting: Setting,
) {
    let operator = operator(&setting).await;
    let (id, rudolf) = charite(&setting, &operator).await;
    let ours = setting.admin().await;
    setting.claims(&rudolf).await;
    assert_eq!(set(&setting, &operator, &id, "suspended").await.unwrap().state, "suspended");
    let users = authorised(ListUsersRequest {}, &rudolf.access_token);
    let users = plain(setting.auth.clone().list_users(users).await);
    assert_eq!(refusal(users).0, ErrorKind::Unauthenticated, "auth itself knows at once");
    assert_eq!(refusal(setting.minutes_later(&rudolf).await).0, ErrorKind::Unauthenticated);
    assert_eq!(refusal(setting.refresh(&rudolf.refresh_token).await).0, ErrorKind::Unauthenticated);
    assert_eq!(refusal(setting.sign_in("rudolf", PASSWORD).await).0, ErrorKind::Unauthenticated);
    setting.refresh(&ours.refresh_token).await.unwrap();

    let operator = setting.sign_in("ops", PASSWORD).await.unwrap().access_token;
    set(&setting, &operator, &id, "active").await.unwrap();
    let again = setting.sign_in("rudolf", PASSWORD).await.unwrap();
    setting.minutes_later(&again).await.unwrap();
}

async fn a_closed_hospital_stays_closed(setting: Setting) {
    let operator = operator(&setting).await;
    let (id, rudolf) = charite(&setting, &operator).await;
    setting.claims(&rudolf).await;
    let (user_name, roles) = ("robert".to_owned(), vec!["admin".to_owned()]);
    let robert = authorised(NewInvitation { user_name, roles }, &rudolf.access_token);
    let token = plain(setting.lives().invite(robert).await).unwrap().token;
    set(&setting, &operator, &id, "closed").await.unwrap();
    let accept = UseLinkRequest { token, password: PASSWORD.into() };
    let accepted = plain(setting.auth.clone().use_link(accept).await);
    assert_eq!(refusal(accepted).0, ErrorKind::NotFound);
    assert_eq!(refusal(setting.minutes_later(&rudolf).await).0, ErrorKind::Unauthenticated);
    for state in ["active", "suspended"] {
        assert_eq!(refusal(set(&setting, &operator, &id, state).await).0, ErrorKind::Conflict);
    }
    assert_eq!(refusal(set(&setting, &operator, &id, "open").await).0, ErrorKind::Invalid);
    assert_eq!(refusal(setting.refresh(&rudolf.refresh_token).await).0, ErrorKind::Unauthenticated);
    assert_eq!(refusal(setting.sign_in("rudolf", PASSWORD).await).0, ErrorKind::Unauthenticated);
}

async fn delivery_alone_is_told_what_hospitals_are(setting: Setting) {
    let secret = "the secret that delivery alone signs in with";
    let config = auth::Config { delivery_secret: Some(secret.into()), ..setting.config.clone() };
    let (peer, _) = start(&config, &setting.clock).await;
    let token = ServiceToken::of_delivery(peer.clone(), secret.into(), setting.clock.clock());
    let token = token.get().await.unwrap();
    let operator = operator(&setting).await;
    let (id, rudolf) = charite(&setting, &operator).await;
    let asked = StandingsRequest { tenant_ids: vec![id.clone(), operator_tenant().to_string()] };
    let told = async |asked: StandingsRequest, token: &str| {
        let told = AuthClient::new(peer.clone()).standings(authorised(asked, token)).await;
        let standings = plain(told).map(|told| told.standings)?;
        let of = standings.into_iter().filter(|standing| standing.tenant_id == id);
        Ok::<_, Error>(of.map(|standing| standing.state).collect::<Vec<_>>())
    };
    for state in ["active", "suspended", "active", "closed"] {
        set(&setting, &operator, &id, state).await.unwrap();
        assert_eq!(told(asked.clone(), &token).await.unwrap(), [state]);
        // Whoever verifies tokens is told, too, of those that are not active.
        let list = plain(setting.auth.clone().revocations(RevocationsRequest {}).await).unwrap();
        let stopped: &[String] = if state == "active" { &[] } else { std::slice::from_ref(&id) };
        assert_eq!(list.stopped_tenants, stopped, "{state}");
        let closed: &[String] = if state == "closed" { stopped } else { &[] };
        assert_eq!(list.closed_tenants, closed, "{state}");
    }
    assert!(told(StandingsRequest::default(), &token).await.unwrap().is_empty());
    let many = StandingsRequest { tenant_ids: vec![id.clone(); 1025] };
    assert_eq!(refusal(told(many, &token).await).0, ErrorKind::Invalid);
    assert_eq!(refusal(told(asked.clone(), &operator).await).0, ErrorKind::Forbidden);
    let closed = told(asked, &rudolf.access_token).await;
    assert_eq!(refusal(closed).0, ErrorKind::Unauthenticated);

    // It alone is handed the trail of any of them, for audit record repositories.
    let stretch = Stretch { tenant_id: id.clone(), from: 1, limit: 2 };
    let handed = async |token: &str| {
        let request = authorised(stretch.clone(), token);
        plain(AuditTrailClient::new(peer.clone()).read(request).await)
    };
    let first: Vec<_> = handed(&token).await.unwrap().entries;
    let positions: Vec<_> = first.iter().map(|entry| entry.position).collect();
    assert_eq!((positions, &*first[0].action), (vec![1, 2], "tenant.created"));
    assert_eq!(refusal(handed(&operator).await).0, ErrorKind::Forbidden);
}

async fn nobody_but_an_operator_manages_hospitals(setting: Setting) {
    let operator = operator(&setting).await;
    let claims = setting.verifier.verify(&operator).await.unwrap();
    assert_eq!(
        (claims.tenant().id(), &claims.roles[..]),
        (operator_tenant(), &[Role::Operator][..])
    );
    let (id, rudolf) = charite(&setting, &operator).await;
    let ours = setting.admin().await.access_token;
    for token in [&ours, &rudolf.access_token] {
        let one = || authorised(TenantRef { tenant_id: id.clone() }, token);
        let change = TenantChange { tenant_id: id.clone(), ..Default::default() };
        let mut tenants = setting.tenants();
        let refused = [
            refusal(make(&setting, token, hospital("Bellevue", "eve")).await).0,
            refusal(set(&setting, token, &id, "closed").await).0,
            refusal(plain(tenants.get(one()).await)).0,
            refusal(plain(tenants.export(one()).await)).0,
            refusal(plain(tenants.change(authorised(change, token)).await)).0,
            refusal(plain(tenants.list(authorised(ListTenantsRequest {}, token)).await)).0,
        ];
        assert_eq!(refused, [ErrorKind::Forbidden; 6]);
    }
    // An operator is nobody in a hospital, and its own home is none.
    let users = setting.auth.clone().list_users(authorised(ListUsersRequest {}, &operator)).await;
    assert_eq!(refusal(plain(users)).0, ErrorKind::Forbidden);
    for none in [operator_tenant().to_string(), ours.clone(), String::new()] {
        let refused = set(&setting, &operator, &none, "closed").await;
        assert_eq!(refusal(refused), (ErrorKind::NotFound, "no such tenant".into()));
    }
    let [(_, first), _] = setting.accounts.tenants().await.unwrap().try_into().unwrap();
    assert_eq!(first, "Charité", "operators are no hospital");
}

async fn an_operator_who_is_removed_is_refused(setting: Setting) {
    let operator = operator(&setting).await;
    setting.verifier.verify(&operator).await.unwrap();
    let none = setting.accounts.remove_operator("admin").await;
    assert_eq!(refusal(none), (ErrorKind::NotFound, "no such operator".into()));
    setting.accounts.remove_operator("Ops").await.unwrap();
    assert_eq!(setting.accounts.operators().await.unwrap(), []);
    let refused = make(&setting, &operator, hospital("Charité", "rudolf")).await;
    assert_eq!(refusal(refused).0, ErrorKind::Unauthenticated);
    setting.clock.advance(60_000);
    let elsewhere = setting.verifier.verify(&operator).await;
    assert_eq!(refusal(elsewhere).0, ErrorKind::Unauthenticated);
    assert_eq!(refusal(setting.sign_in("ops", PASSWORD).await).0, ErrorKind::Unauthenticated);
}

async fn a_hospital_has_as_many_accounts_as_it_may(setting: Setting) {
    let operator = operator(&setting).await;
    let (tenant_id, rudolf) = charite(&setting, &operator).await;
    let wish = TenantChange { tenant_id, users_max: 2, clients_max: 1, ..Default::default() };
    setting.tenants().change(authorised(wish, &operator)).await.unwrap();
    let invite = async |user_name: &str| {
        let (user_name, roles) = (user_name.to_owned(), vec!["clinician".to_owned()]);
        let new = NewInvitation { user_name, roles };
        plain(setting.lives().invite(authorised(new, &rudolf.access_token)).await)
    };
    invite("one").await.unwrap();
    assert_eq!(refusal(invite("two").await).0, ErrorKind::Conflict);
    let client = async || {
        let (name, roles) = ("PACS".to_owned(), vec!["integrator".to_owned()]);
        let new = NewClient { name, roles, ..Default::default() };
        plain(setting.auth.clone().create_client(authorised(new, &rudolf.access_token)).await)
    };
    client().await.unwrap();
    assert_eq!(refusal(client().await).0, ErrorKind::Conflict);
}

async fn an_export_holds_accounts_and_no_secret(setting: Setting) {
    let operator = operator(&setting).await;
    let (tenant_id, rudolf) = charite(&setting, &operator).await;
    let (name, roles) = ("PACS".to_owned(), vec!["integrator".to_owned()]);
    let new = authorised(NewClient { name, roles, ..Default::default() }, &rudolf.access_token);
    let client = plain(setting.auth.clone().create_client(new).await).unwrap();
    let export = setting.tenants().export(authorised(TenantRef { tenant_id }, &operator)).await;
    let export = plain(export).unwrap();
    assert_eq!((export.users.len(), export.clients.len()), (1, 1));
    assert_eq!(export.tenant.clone().unwrap().name, "Charité");
    let text = format!("{export:?}");
    assert!(text.contains("rudolf") && !text.contains(&client.client_secret));
    assert!(!text.contains("argon2"), "{text}");
}
