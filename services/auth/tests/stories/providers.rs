//! Sign-in through a hospital's own provider, which is a double here: what is believed, and what is not.

use std::collections::HashMap;

use auth::Rules;
use domain::{Error, ErrorKind};
use proto::auth::providers_client::ProvidersClient;
use proto::auth::*;
use serde_json::{Value, json};
use service::Peer;
use service::claims::{Role, authorised};
use url::Url;

use crate::idp::{CLIENT, Idp, Key, SECRET, encoded, unsigned};
use crate::setting::*;

on_each_database! {
    whoever_the_provider_sends_has_an_account_with_its_roles
    nothing_but_a_right_token_is_believed
    a_sign_in_is_finished_once_by_the_browser_that_has_begun_it
    a_code_is_shown_to_nobody_but_the_provider_that_was_asked_for_it
    another_key_is_asked_for_and_not_more_than_once_a_minute
    a_provider_that_is_broken_is_left_in_peace_for_some_seconds
    an_account_with_a_password_is_nobody_elses
    what_a_provider_ends_is_refused_within_a_minute
    a_session_ends_when_the_provider_is_to_be_asked_again
    a_password_beside_the_provider_is_the_hospitals_to_allow
    a_provider_is_named_by_its_own_administrator_only
    a_provider_that_goes_takes_its_sessions_along
    who_is_not_let_in_and_what_the_provider_ends_is_in_the_audit_trail
    a_provider_stays_while_nobody_could_administer_without_it
}

/// Auth with a provider on this machine, and what it is asked through.
struct There {
    setting: Setting,
    idp: Idp,
    providers: ProvidersClient<Peer>,
    admin: String,
}

/// A browser that was sent to the provider.
struct Sent {
    state: String,
    binding: String,
    /// The binding comes back in a cookie that nobody else can have set.
    secure: bool,
}

impl There {
    async fn open(mut setting: Setting) -> There {
        let idp = Idp::start().await;
        setting.config.rules = Rules {
            public_url: Some("https://medseg.hospital.example".parse().unwrap()),
            provider_networks: vec!["127.0.0.0/8".parse().unwrap()],
            provider_authorities: None,
            breached_passwords: None,
        };
        let (peer, _) = start(&setting.config, &setting.clock).await;
        setting.auth = auth_client::AuthClient::new(peer.clone());
        setting.peer = peer.clone();
        let admin = setting.admin().await.access_token;
        let there = There { setting, idp, providers: ProvidersClient::new(peer), admin };
        there.name(there.to_be()).await.unwrap();
        there
    }

    fn to_be(&self) -> ProviderToBe {
        ProviderToBe {
            name: "st-marys".into(),
            issuer: self.idp.issuer().into(),
            client_id: CLIENT.into(),
            client_secret: Some(SECRET.into()),
            passwords: false,
            rules: Some(ProviderRules {
                algorithms: vec!["ES256".into()],
                roles_claim: "groups".into(),
                roles: HashMap::from([
                    ("readers".into(), "clinician".into()),
                    ("it".into(), "admin".into()),
                ]),
                domains: vec!["hospital.example".into()],
                session_minutes: 60,
                ..ProviderRules::default()
            }),
        }
    }

    async fn name(&self, to_be: ProviderToBe) -> Result<Provider, Error> {
        plain(self.providers.clone().set(authorised(to_be, &self.admin)).await)
    }

    async fn begin(&self) -> Sent {
        let name = "st-marys".to_owned();
        let begun =
            plain(self.providers.clone().begin(BeginProviderSignIn { name }).await).unwrap();
        assert!(begun.secure);
        let location = Url::parse(&begun.location).unwrap();
        let asked: HashMap<String, String> = location.query_pairs().into_owned().collect();
        assert_eq!(
            (asked["response_type"].as_str(), asked["code_challenge_method"].as_str()),
            ("code", "S256")
        );
        let back = "https://medseg.hospital.example/v1/sign-in/st-marys/callback";
        assert_eq!((asked["redirect_uri"].as_str(), asked["scope"].as_str()), (back, "openid"));
        self.idp.with(|said| {
            said.nonce = asked["nonce"].clone();
            said.challenge = asked["code_challenge"].clone();
        });
        Sent { state: asked["state"].clone(), binding: begun.binding, secure: begun.secure }
    }

    async fn finish(&self, sent: &Sent, code: &str) -> Result<Tokens, Error> {
        self.finish_from(sent, code, "").await
    }

    /// The same with whoever says that they have given the code.
    async fn finish_from(&self, sent: &Sent, code: &str, issuer: &str) -> Result<Tokens, Error> {
        let message = FinishProviderSignIn {
            name: "st-marys".into(),
            state: sent.state.clone(),
            code: code.into(),
            issuer: issuer.into(),
            binding: sent.binding.clone(),
            secure: sent.secure,
        };
        plain(self.providers.clone().finish(message).await)
    }

    /// A whole sign-in of somebody of whom the provider says that.
    async fn sign_in(&self, claims: Value) -> Result<Tokens, Error> {
        self.idp.with(|said| said.claims = claims);
        let sent = self.begin().await;
        self.finish(&sent, "a code").await
    }

    async fn log_out(&self, claims: &Value) -> Result<Done, Error> {
        let logout_token = self.idp.with(|said| said.key.sign(claims));
        let name = "st-marys".to_owned();
        plain(self.providers.clone().log_out(ProviderLogout { name, logout_token }).await)
    }

    /// What a right logout token says.
    fn ended(&self, id: &str) -> Value {
        json!({
            "iss": self.idp.issuer(), "aud": CLIENT, "iat": NOW_MS / 1000, "exp": NOW_MS / 1000 + 120, "jti": id,
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        })
    }
}

async fn whoever_the_provider_sends_has_an_account_with_its_roles(setting: Setting) {
    let there = There::open(setting).await;
    let tokens = there.sign_in(json!({})).await.unwrap();
    let claims = there.setting.claims(&tokens).await;
    assert_eq!(
        (claims.name.as_str(), claims.roles.as_slice()),
        ("ada@hospital.example", &[Role::Clinician][..])
    );
    let again =
        there.sign_in(json!({"groups": ["it"], "email": "lovelace@hospital.example"})).await;
    let again = there.setting.claims(&again.unwrap()).await;
    // The subject counts, not what somebody is called; and the roles are those of now.
    assert_eq!((&again.subject, again.roles.as_slice()), (&claims.subject, &[Role::Admin][..]));
    // What they might do before is refused.
    let later = there.setting.minutes_later(&tokens).await;
    assert_eq!(refusal(later).0, ErrorKind::Unauthenticated);
    for claims in [
        json!({"groups": ["operator"]}),
        json!({"groups": []}),
        json!({"sub": "2", "email": "bob@elsewhere.example"}),
        json!({"sub": "2", "email": "bob@hospital.example", "email_verified": false}),
    ] {
        let (kind, _) = refusal(there.sign_in(claims.clone()).await);
        assert_eq!(kind, ErrorKind::Forbidden, "{claims}");
    }
}

async fn nothing_but_a_right_token_is_believed(setting: Setting) {
    let there = There::open(setting).await;
    let now_s = NOW_MS / 1000;
    for wrong in [
        json!({"iss": "https://evil.example"}),
        json!({"aud": "another client"}),
        json!({"aud": [CLIENT, "another client"]}),
        json!({"azp": "another client"}),
        json!({"nonce": "of another sign-in"}),
        json!({"exp": now_s - 120}),
        json!({"iat": now_s - 3600}),
        json!({"nbf": now_s + 3600}),
        json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
        json!({"sub": ""}),
    ] {
        let (kind, words) = refusal(there.sign_in(wrong.clone()).await);
        assert_eq!(kind, ErrorKind::Unauthenticated, "{wrong}");
        assert_eq!(words, "this sign-in has ended or was begun elsewhere: sign in again");
    }
    // Signed by nobody, by somebody else under the provider's name, with the public key as if it were a shared secret.
    type Forged = fn(&Value, &Value) -> String;
    let none: Forged = |_, claims| format!("{}.", unsigned(&json!({"alg": "none"}), claims));
    let forged: Forged = |_, claims| Key::new("first").sign(claims);
    let stranger: Forged = |_, claims| Key::new("stranger").sign(claims);
    let shared: Forged = |public, claims| {
        let message = unsigned(&json!({"alg": "HS256", "kid": "first"}), claims);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public.to_string().as_bytes());
        let tag = ring::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", encoded(tag.as_ref()))
    };
    let carried: Forged = |_, claims| {
        let own = Key::new("first");
        let header = json!({"alg": "ES256", "kid": "first", "jwk": own.public()});
        let signed = own.sign(claims);
        let signature = signed.rsplit_once('.').unwrap().1;
        format!("{}.{signature}", unsigned(&header, claims))
    };
    there.idp.with(|said| said.claims = json!({}));
    for forge in [none, forged, stranger, shared, carried] {
        let sent = there.begin().await;
        let claims = there.idp.claims();
        there.idp.with(|said| said.token = Some(forge(&said.shown[0], &claims)));
        let (kind, _) = refusal(there.finish(&sent, "a code").await);
        assert_eq!(kind, ErrorKind::Unauthenticated);
    }
    there.sign_in(json!({})).await.unwrap();
}

async fn a_sign_in_is_finished_once_by_the_browser_that_has_begun_it(setting: Setting) {
    let there = There::open(setting).await;
    let sent = there.begin().await;
    // A state and a code that somebody else has put into this browser.
    let other = there.begin().await;
    let with = |state: &str, binding: &str, secure| Sent {
        state: state.into(),
        binding: binding.into(),
        secure,
    };
    let crossed = with(&sent.state, &other.binding, true);
    let bare = with(&sent.state, "", true);
    let invented = with("9999999999999.AAAA.BBBB", "x", true);
    // What a neighbour on a subdomain has set is no cookie of this host.
    let tossed = with(&sent.state, &sent.binding, false);
    let asked = there.idp.with(|said| said.codes_asked);
    for wrong in [crossed, bare, invented, tossed] {
        let (kind, _) = refusal(there.finish(&wrong, "a code").await);
        assert_eq!(kind, ErrorKind::Unauthenticated);
    }
    assert_eq!(there.idp.with(|said| said.codes_asked), asked, "no code is shown to the provider");
    // The code of another sign-in: the provider finds that it does not go with the verifier.
    let (kind, _) = refusal(there.finish(&sent, "a code").await);
    assert_eq!(kind, ErrorKind::Unauthenticated);
    // And a state is used up by that.
    let (kind, _) = refusal(there.finish(&sent, "a code").await);
    assert_eq!(kind, ErrorKind::Unauthenticated);
    there.finish(&other, "a code").await.unwrap();
    let (kind, _) = refusal(there.finish(&other, "a code").await);
    assert_eq!(kind, ErrorKind::Unauthenticated);

    let late = there.begin().await;
    there.setting.clock.advance(10 * 60 * 1000);
    let (kind, _) = refusal(there.finish(&late, "a code").await);
    assert_eq!(kind, ErrorKind::Unauthenticated);
    for name in ["nobodys", "St-Marys", "", "../st-marys"] {
        let begin = BeginProviderSignIn { name: name.into() };
        let begun = plain(there.providers.clone().begin(begin).await);
        assert_eq!(refusal(begun.map(|_| ())).0, ErrorKind::NotFound, "{name}");
    }
}

async fn a_code_is_shown_to_nobody_but_the_provider_that_was_asked_for_it(setting: Setting) {
    let there = There::open(setting).await;
    let shown = || there.idp.with(|said| said.codes_asked);
    let refused = async |sent: &Sent, issuer: &str| {
        let finished = there.finish_from(sent, "a code", issuer).await;
        assert_eq!(refusal(finished).0, ErrorKind::Unauthenticated);
    };
    // Whose name has become another provider's meanwhile.
    let sent = there.begin().await;
    let other = ProviderToBe { client_id: "another client".into(), ..there.to_be() };
    there.name(other).await.unwrap();
    refused(&sent, "").await;
    let sent = there.begin().await;
    refused(&sent, "https://evil.example").await;
    assert_eq!(shown(), 0);
    // One that promises to say who it is, and has not; with what it publishes read anew.
    there.idp.with(|said| said.names_itself = true);
    there.setting.clock.advance(60 * 60 * 1000);
    let sent = there.begin().await;
    refused(&sent, "").await;
    assert_eq!(shown(), 0);
    let sent = there.begin().await;
    // The token's own time is over by now: that the code was shown is what counts.
    refused(&sent, there.idp.issuer()).await;
    assert_eq!(shown(), 1);
}

async fn another_key_is_asked_for_and_not_more_than_once_a_minute(setting: Setting) {
    let there = There::open(setting).await;
    there.sign_in(json!({})).await.unwrap();
    there.idp.with(|said| {
        said.key = Key::new("second");
        said.shown.push(said.key.public());
    });
    there.setting.clock.advance(60_000);
    let asked = there.idp.with(|said| said.keys_asked);
    there.sign_in(json!({})).await.unwrap();
    assert_eq!(there.idp.with(|said| said.keys_asked), asked + 1);
    for _ in 0..5 {
        let sent = there.begin().await;
        let claims = there.idp.claims();
        there.idp.with(|said| said.token = Some(Key::new("invented").sign(&claims)));
        assert_eq!(refusal(there.finish(&sent, "a code").await).0, ErrorKind::Unauthenticated);
    }
    assert_eq!(there.idp.with(|said| said.keys_asked), asked + 1);
}

async fn a_provider_that_is_broken_is_left_in_peace_for_some_seconds(setting: Setting) {
    let there = There::open(setting).await;
    let begin = async || {
        let name = "st-marys".to_owned();
        let begun = plain(there.providers.clone().begin(BeginProviderSignIn { name }).await);
        begun.err().map(|error| error.kind())
    };
    let asked = || there.idp.with(|said| said.documents_asked);
    let before = asked();
    // What is known of it is an hour old.
    there.setting.clock.advance(60 * 60 * 1000);
    there.idp.with(|said| said.named = Some("https://another.example".into()));
    let away = Some(ErrorKind::Unavailable);
    assert_eq!(tokio::join!(begin(), begin()), (away, away));
    assert_eq!(begin().await, away);
    assert_eq!(asked(), before + 1);

    there.idp.with(|said| said.named = None);
    there.setting.clock.advance(9_999);
    assert_eq!((begin().await, asked()), (away, before + 1));
    there.setting.clock.advance(1);
    assert_eq!((begin().await, asked()), (None, before + 2));
}

async fn an_account_with_a_password_is_nobody_elses(setting: Setting) {
    let there = There::open(setting).await;
    let roles = vec!["admin".to_owned()];
    let (user_name, password) =
        ("root@hospital.example".to_owned(), "a long enough sentence".to_owned());
    let new = NewUser { user_name, password, roles };
    plain(there.setting.auth.clone().create_user(authorised(new, &there.admin)).await).unwrap();
    let (kind, _) = refusal(there.sign_in(json!({"email": "root@hospital.example"})).await);
    assert_eq!(kind, ErrorKind::Forbidden);
    // Nor is a name that somebody of another hospital has.
    there
        .setting
        .other_hospital("eve@hospital.example", "a long enough sentence", &[Role::Admin])
        .await;
    let (kind, _) = refusal(there.sign_in(json!({"email": "eve@hospital.example"})).await);
    assert_eq!(kind, ErrorKind::Conflict);

    // Whoever is invited comes through the provider, and has no password then.
    let (user_name, roles) = ("ada@hospital.example".to_owned(), vec!["scientist".to_owned()]);
    let invite = authorised(NewInvitation { user_name, roles }, &there.admin);
    let link = plain(there.setting.lives().invite(invite).await).unwrap();
    let tokens = there.sign_in(json!({})).await.unwrap();
    let id = link.user.unwrap().id;
    assert_eq!(there.setting.claims(&tokens).await.subject, id);
    let (token, password) = (link.token, "a long enough sentence".to_owned());
    let used = there.setting.auth.clone().use_link(UseLinkRequest { token, password }).await;
    assert_eq!(refusal(plain(used)).0, ErrorKind::NotFound);
    let reset = authorised(UserRef { user_id: id.clone() }, &there.admin);
    let reset = plain(there.setting.lives().reset_password(reset).await);
    assert_eq!(refusal(reset).0, ErrorKind::Conflict);
    // Disabled here, no provider's word helps.
    let disable = UserChange { user_id: id, disabled: Some(true), ..Default::default() };
    plain(there.setting.lives().change_user(authorised(disable, &there.admin)).await).unwrap();
    assert_eq!(refusal(there.sign_in(json!({})).await).0, ErrorKind::Forbidden);
}

async fn what_a_provider_ends_is_refused_within_a_minute(setting: Setting) {
    let there = There::open(setting).await;
    let one = there.sign_in(json!({})).await.unwrap();
    let two = there.sign_in(json!({"sid": "session 2"})).await.unwrap();
    let with = |name: &str, value: Value, id: &str| {
        let mut claims = there.ended(id);
        claims[name] = value;
        claims
    };
    // No logout token: nobody is named, it has a nonce, it is somebody else's.
    for wrong in
        [there.ended("1"), json!({"sub": "0815"}), there.idp.claims(), with("sub", json!(7), "2")]
    {
        assert_eq!(refusal(there.log_out(&wrong).await).0, ErrorKind::Unauthenticated, "{wrong}");
    }
    there.log_out(&with("sid", json!("session 1"), "3")).await.unwrap();
    assert_eq!(
        refusal(there.setting.refresh(&one.refresh_token).await).0,
        ErrorKind::Unauthenticated
    );
    // The other session goes on, with another token.
    let two = there.setting.refresh(&two.refresh_token).await.unwrap();
    let all = with("sub", json!("0815"), "4");
    there.log_out(&all).await.unwrap();
    assert_eq!(
        refusal(there.setting.refresh(&two.refresh_token).await).0,
        ErrorKind::Unauthenticated
    );
    assert_eq!(refusal(there.setting.minutes_later(&two).await).0, ErrorKind::Unauthenticated);
    // The same token again ends nothing that was begun since.
    let three = there.sign_in(json!({})).await.unwrap();
    there.log_out(&all).await.unwrap();
    there.setting.refresh(&three.refresh_token).await.unwrap();
    // Whom it does not know it may end.
    there.log_out(&with("sub", json!("nobody"), "5")).await.unwrap();
}

async fn a_session_ends_when_the_provider_is_to_be_asked_again(setting: Setting) {
    let there = There::open(setting).await;
    let tokens = there.sign_in(json!({})).await.unwrap();
    there.setting.clock.advance(59 * 60 * 1000);
    let tokens = there.setting.refresh(&tokens.refresh_token).await.unwrap();
    there.setting.clock.advance(60 * 1000);
    let ended = there.setting.refresh(&tokens.refresh_token).await;
    assert_eq!(refusal(ended).0, ErrorKind::Unauthenticated);
}

async fn a_password_beside_the_provider_is_the_hospitals_to_allow(setting: Setting) {
    const PASSWORD: &str = "a long enough sentence";
    let there = There::open(setting).await;
    let to_be = |passwords| ProviderToBe { passwords, ..there.to_be() };
    there.name(to_be(true)).await.unwrap();
    let tokens = there.sign_in(json!({})).await.unwrap();
    let user_id = there.setting.claims(&tokens).await.subject;
    let reset = authorised(UserRef { user_id }, &there.admin);
    let link = plain(there.setting.lives().reset_password(reset).await).unwrap();
    let (token, password) = (link.token, PASSWORD.to_owned());
    let used = there.setting.auth.clone().use_link(UseLinkRequest { token, password }).await;
    let user_name = plain(used).unwrap().user_name;
    let tokens = there.setting.sign_in(&user_name, PASSWORD).await.unwrap();
    there.name(to_be(false)).await.unwrap();
    for refused in [
        there.setting.refresh(&tokens.refresh_token).await,
        there.setting.sign_in(&user_name, PASSWORD).await,
    ] {
        assert_eq!(refusal(refused).0, ErrorKind::Unauthenticated);
    }
    // The account stays, for whom the provider sends.
    there.sign_in(json!({})).await.unwrap();
}

async fn a_provider_is_named_by_its_own_administrator_only(setting: Setting) {
    let there = There::open(setting).await;
    let shown = there.name(ProviderToBe { client_secret: None, ..there.to_be() }).await.unwrap();
    assert!(shown.has_secret && shown.logout_url.ends_with("/v1/sign-in/st-marys/logout"));
    let rules = || there.to_be().rules.unwrap();
    let with = |rules: ProviderRules| ProviderToBe { rules: Some(rules), ..there.to_be() };
    let roles = |role: &str| HashMap::from([("it".to_owned(), role.to_owned())]);
    for wrong in [
        ProviderToBe { name: "St Mary's".into(), ..there.to_be() },
        ProviderToBe { issuer: "http://169.254.169.254/".into(), ..there.to_be() },
        ProviderToBe { issuer: "https://10.0.0.1/".into(), ..there.to_be() },
        ProviderToBe { issuer: format!("{}/", there.idp.issuer()), ..there.to_be() },
        ProviderToBe { issuer: "file:///etc/passwd".into(), ..there.to_be() },
        with(ProviderRules { roles: roles("operator"), ..rules() }),
        with(ProviderRules { roles: roles("service"), ..rules() }),
        with(ProviderRules { algorithms: vec!["HS256".into()], ..rules() }),
        with(ProviderRules { algorithms: vec!["none".into()], ..rules() }),
        with(ProviderRules { session_minutes: 1, ..rules() }),
    ] {
        let (kind, words) = refusal(there.name(wrong).await);
        assert_eq!(kind, ErrorKind::Invalid, "{words}");
    }
    // It is asked each time, also just after it was.
    there.idp.with(|said| said.named = Some("https://evil.example".into()));
    assert_eq!(refusal(there.name(there.to_be()).await).0, ErrorKind::Invalid);
    there.idp.with(|said| said.named = None);
    // Another hospital sees none, and cannot take the name.
    there.setting.other_hospital("eve", "a long enough sentence", &[Role::Admin]).await;
    let eve = there.setting.sign_in("eve", "a long enough sentence").await.unwrap().access_token;
    let seen = plain(there.providers.clone().get(authorised(ProviderRef {}, &eve)).await);
    assert_eq!(refusal(seen).0, ErrorKind::NotFound);
    let taken = plain(there.providers.clone().set(authorised(there.to_be(), &eve)).await);
    assert_eq!(refusal(taken).0, ErrorKind::Conflict);
    // Whoever is no administrator neither.
    let reader = there.sign_in(json!({})).await.unwrap().access_token;
    let set = plain(there.providers.clone().set(authorised(there.to_be(), &reader)).await);
    assert_eq!(refusal(set).0, ErrorKind::Forbidden);
}

async fn a_provider_that_goes_takes_its_sessions_along(setting: Setting) {
    let there = There::open(setting).await;
    let tokens = there.sign_in(json!({})).await.unwrap();
    let own = there.setting.admin().await;
    let remove = || authorised(ProviderRef {}, &there.admin);
    plain(there.providers.clone().remove(remove()).await).unwrap();
    let again = plain(there.providers.clone().remove(remove()).await);
    assert_eq!(refusal(again).0, ErrorKind::NotFound);
    assert_eq!(
        refusal(there.setting.refresh(&tokens.refresh_token).await).0,
        ErrorKind::Unauthenticated
    );
    there.setting.refresh(&own.refresh_token).await.unwrap();
    // The account has no password, and answers as one does that is nobody's.
    for name in ["ada@hospital.example", "nobody@hospital.example"] {
        let guessed = there.setting.sign_in(name, "").await;
        let wrong = (ErrorKind::Unauthenticated, "the user name or the password is wrong".into());
        assert_eq!(refusal(guessed), wrong, "{name}");
    }
    // Named again, the same person has the same account.
    there.name(there.to_be()).await.unwrap();
    there.sign_in(json!({})).await.unwrap();
}

async fn who_is_not_let_in_and_what_the_provider_ends_is_in_the_audit_trail(setting: Setting) {
    let there = There::open(setting).await;
    let tokens = there.sign_in(json!({})).await.unwrap();
    let ada = there.setting.claims(&tokens).await.subject;
    let stranger = json!({"sub": "2", "email": "bob@elsewhere.example"});
    assert_eq!(refusal(there.sign_in(stranger).await).0, ErrorKind::Forbidden);
    let mut ended = there.ended("1");
    ended["sub"] = json!("0815");
    // The second one says nothing new: nothing goes on that it could end.
    there.log_out(&ended).await.unwrap();
    ended["jti"] = json!("2");
    there.log_out(&ended).await.unwrap();
    let disable = UserChange { user_id: ada.clone(), disabled: Some(true), ..Default::default() };
    plain(there.setting.lives().change_user(authorised(disable, &there.admin)).await).unwrap();
    assert_eq!(refusal(there.sign_in(json!({})).await).0, ErrorKind::Forbidden);
    let entries = crate::trail::read(&there.setting, &there.admin).await.unwrap();
    let noted: Vec<[&str; 3]> = entries
        .iter()
        .filter(|entry| ["sign_in.failed", "session.ended"].contains(&entry.action.as_str()))
        .map(|entry| [&entry.action, &entry.subject, &entry.detail].map(String::as_str))
        .collect();
    let why = "known to the provider, and not let in";
    assert_eq!(
        noted,
        [
            ["sign_in.failed", ada.as_str(), why],
            ["session.ended", ada.as_str(), "by the provider"],
            ["sign_in.failed", "", why],
        ]
    );
}

async fn a_provider_stays_while_nobody_could_administer_without_it(setting: Setting) {
    let there = There::open(setting).await;
    let setting = &there.setting;
    let ada = there.sign_in(json!({"groups": ["it"]})).await.unwrap();
    let delete = async |user_id: String| {
        let user = authorised(UserRef { user_id }, &ada.access_token);
        plain(setting.lives().delete_user(user).await)
    };
    let first = setting.verifier.verify(&there.admin).await.unwrap().subject;
    delete(first).await.unwrap();
    let remove = async || {
        let provider = authorised(ProviderRef {}, &ada.access_token);
        plain(there.providers.clone().remove(provider).await)
    };
    let invite = async |user_name: &str, role: &str| {
        let (user_name, roles) = (user_name.to_owned(), vec![role.to_owned()]);
        let invited = authorised(NewInvitation { user_name, roles }, &ada.access_token);
        plain(setting.lives().invite(invited).await).unwrap()
    };
    let accept = async |link: &Link| {
        let (token, password) = (link.token.clone(), "a long enough sentence".to_owned());
        plain(setting.auth.clone().use_link(UseLinkRequest { token, password }).await).unwrap()
    };
    // Neither somebody who has not chosen a password yet, nor one who administers nothing.
    let chief = invite("chief", "admin").await;
    accept(&invite("reader", "clinician").await).await;
    let (kind, words) = refusal(remove().await);
    assert!(kind == ErrorKind::Conflict && words.contains("`admin`"), "{kind:?} {words}");
    setting.refresh(&ada.refresh_token).await.unwrap();
    let shown = authorised(ProviderRef {}, &ada.access_token);
    plain(there.providers.clone().get(shown).await).unwrap();

    accept(&chief).await;
    remove().await.unwrap();
    let chiefs = setting.sign_in("chief", "a long enough sentence").await.unwrap().access_token;
    // Ada's account administers, too, but has no password: it is nobody who could stand in.
    let id = chief.user.unwrap().id;
    let own = authorised(UserRef { user_id: id }, &chiefs);
    let last = plain(setting.lives().delete_user(own).await);
    assert_eq!(refusal(last).0, ErrorKind::Conflict);
}
