//! Security keys and passkeys beside passwords, as browsers bring them.

use auth::Rules;
use domain::{Error, ErrorKind};
use platform::{db, trail};
use proto::auth::auth_client::AuthClient;
use proto::auth::second_factors_client::SecondFactorsClient;
use proto::auth::*;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use service::Peer;
use service::claims::{ORIGIN, REASON, Role, authorised};
use tonic::Request;

use crate::authenticator::Authenticator;
use crate::second_factor::code;
use crate::setting::*;

on_each_database! {
    keys_are_registered_asked_for_and_taken_away
    an_answer_counts_once_and_from_the_right_key_at_the_right_page_alone
    a_key_is_registered_as_it_was_asked_for_or_not_at_all
    a_key_is_enough_where_the_hospital_asks_for_a_second_factor
    an_administrator_takes_a_lost_key_away
    what_was_begun_before_a_factor_came_or_went_makes_none
}

const PAGE: &str = "https://medseg.hospital.example";
const OTHER: &str = "a long enough sentence";
const FIVE_MINUTES_MS: i64 = 5 * 60 * 1000;

impl Setting {
    /// Told where browsers reach the page, auth is started anew.
    async fn at_its_page(&mut self) {
        let rules = Rules { public_url: Some(PAGE.parse().unwrap()), ..Rules::default() };
        self.config = auth::Config { rules, ..self.config.clone() };
        (self.peer, _) = start(&self.config, &self.clock).await;
        self.auth = AuthClient::new(self.peer.clone());
    }

    fn keys(&self) -> SecondFactorsClient<Peer> {
        SecondFactorsClient::new(self.peer.clone())
    }

    /// The first administrator, with what a key has answered.
    async fn with_key(&self, place: &str, security_key: &str) -> Result<Tokens, Error> {
        let (user_name, password) = (self.first.user_name.clone(), self.password().to_owned());
        let security_key = security_key.to_owned();
        let wish = SignInRequest { user_name, password, security_key, ..Default::default() };
        let mut request = Request::new(wish);
        request.metadata_mut().insert(ORIGIN, place.parse().unwrap());
        plain(self.auth.clone().sign_in(request).await)
    }

    /// What the first administrator's keys are asked at a sign-in.
    async fn asked(&self) -> String {
        self.with_key("", "").await.unwrap().security_key_options
    }

    async fn begin_key(&self, token: &str, wish: BeginSecurityKey) -> Result<String, Error> {
        plain(self.keys().begin_key(authorised(wish, token)).await).map(|options| options.json)
    }

    async fn challenge(&self, token: &str) -> Result<String, Error> {
        let challenge = authorised(ChallengeSecurityKeys {}, token);
        plain(self.keys().challenge_keys(challenge).await).map(|options| options.json)
    }

    async fn add(&self, token: &str, made: String) -> Result<SecurityKeyAdded, Error> {
        let new = NewSecurityKey { name: " the blue one ".into(), made };
        plain(self.keys().add_key(authorised(new, token)).await)
    }

    /// A first key of whoever has that token and that password.
    async fn first_key(
        &self,
        token: &str,
        password: &str,
        key: &mut Authenticator,
    ) -> SecurityKeyAdded {
        let begin = BeginSecurityKey { password: password.into(), ..Default::default() };
        let options = self.begin_key(token, begin).await.unwrap();
        self.add(token, key.create(&options)).await.unwrap()
    }

    /// Another key of the first administrator, who shows `key`.
    async fn another(&self, token: &str, key: &mut Authenticator) -> Result<String, Error> {
        let security_key = key.get(&self.challenge(token).await.unwrap());
        let password = self.password().to_owned();
        self.begin_key(token, BeginSecurityKey { password, security_key, ..Default::default() })
            .await
    }

    async fn remove_key(&self, token: &str, id: &str, security_key: String) -> Result<Done, Error> {
        let (id, password) = (id.to_owned(), self.password().to_owned());
        let remove = RemoveSecurityKey { id, password, security_key, ..Default::default() };
        plain(self.keys().remove_key(authorised(remove, token)).await)
    }

    async fn list(&self, token: &str, user_id: &str) -> Result<SecurityKeys, Error> {
        let whose = SecurityKeysRef { user_id: user_id.into() };
        plain(self.keys().list_keys(authorised(whose, token)).await)
    }

    async fn rows(&self, count: &'static str) -> i64 {
        let database = db::existing(self.config.database_url.expose_secret()).await.unwrap();
        sqlx::query_scalar(count).fetch_one(database.pool()).await.unwrap()
    }
}

async fn keys_are_registered_asked_for_and_taken_away(mut setting: Setting) {
    let token = setting.admin().await.access_token;
    let begin =
        |password: &str| BeginSecurityKey { password: password.into(), ..Default::default() };
    let (kind, words) = refusal(setting.begin_key(&token, begin(setting.password())).await);
    assert!(kind == ErrorKind::Conflict && words.contains("PUBLIC_URL"), "{words}");
    assert!(!setting.list(&token, "").await.unwrap().offered);
    setting.at_its_page().await;
    assert!(setting.list(&token, "").await.unwrap().offered);
    assert_eq!(refusal(setting.challenge(&token).await).0, ErrorKind::NotFound);
    // Whoever has found an open page does not know the password.
    let guess = setting.begin_key(&token, begin("a guess")).await;
    assert_eq!(refusal(guess).0, ErrorKind::Forbidden);
    let options = setting.begin_key(&token, begin(setting.password())).await.unwrap();
    let told: Value = serde_json::from_str(&options).unwrap();
    assert_eq!(told["rp"]["id"], "medseg.hospital.example");
    assert_eq!(told["attestation"], "none");
    assert_eq!(told["authenticatorSelection"]["userVerification"], "preferred");
    let algorithms: Vec<_> = told["pubKeyCredParams"].as_array().unwrap().iter().collect();
    let named = |alg: i64| json!({"type": "public-key", "alg": alg});
    assert_eq!(algorithms, [&named(-8), &named(-7)], "EdDSA and ES256 alone");
    // Begun and not made, it keeps nobody out.
    setting.admin().await;
    let (mut blue, mut red) = (Authenticator::ed25519(1), Authenticator::p256(2));
    let added = setting.add(&token, blue.create(&options)).await.unwrap();
    assert_eq!(added.recovery_codes.len(), 10, "it is the first factor");
    let listed = setting.list(&token, "").await.unwrap().keys;
    let row = (listed[0].name.as_str(), listed[0].created_ms, listed[0].used_ms);
    assert_eq!((listed.len(), row), (1, ("the blue one", NOW_MS, 0)));

    let needed = setting.with_key("", "").await.unwrap();
    assert!(needed.second_factor_needed && needed.access_token.is_empty());
    setting.clock.advance(1000);
    let tokens = setting.with_key("", &blue.get(&needed.security_key_options)).await.unwrap();
    assert!(!tokens.access_token.is_empty());
    assert_eq!(setting.list(&token, "").await.unwrap().keys[0].used_ms, NOW_MS + 1000);

    // A second one needs the first, and is not the same.
    let alone = setting.begin_key(&token, begin(setting.password())).await;
    assert_eq!(refusal(alone).0, ErrorKind::Forbidden);
    let options = setting.another(&token, &mut blue).await.unwrap();
    assert!(options.contains("excludeCredentials") && options.contains(r#""usb""#), "{options}");
    let second = setting.add(&token, red.create(&options)).await.unwrap();
    assert_eq!(second.recovery_codes, Vec::<String>::new());
    setting.with_key("", &red.get(&setting.asked().await)).await.unwrap();
    // Another password needs either of them, or a code for recovery.
    let wish = |code: &str, security_key: String| ChangePasswordRequest {
        password: setting.password().into(),
        new_password: OTHER.into(),
        code: code.into(),
        security_key,
    };
    let change = async |wish: ChangePasswordRequest| {
        plain(setting.lives().change_password(authorised(wish, &token)).await)
    };
    assert_eq!(refusal(change(wish("", String::new())).await).0, ErrorKind::Forbidden);
    let one_of_them = red.get(&setting.challenge(&token).await.unwrap());
    // Of the account that asks, and with the password that is right.
    let wrong = ChangePasswordRequest { password: "a guess".into(), ..wish("", one_of_them) };
    assert_eq!(refusal(change(wrong).await).0, ErrorKind::Forbidden);

    let by = blue.get(&setting.challenge(&token).await.unwrap());
    setting.remove_key(&token, &added.id, by).await.unwrap();
    // What was taken away lets nobody in any more.
    let gone = setting.with_key("", &blue.get(&setting.asked().await)).await;
    assert_eq!(refusal(gone).0, ErrorKind::Unauthenticated);
    setting.with_key("", &red.get(&setting.asked().await)).await.unwrap();
    let by = red.get(&setting.challenge(&token).await.unwrap());
    setting.remove_key(&token, &second.id, by).await.unwrap();
    setting.admin().await;
    assert_eq!(setting.rows("SELECT COUNT(*) FROM recovery_codes").await, 0, "for nothing");
}

async fn an_answer_counts_once_and_from_the_right_key_at_the_right_page_alone(
    mut setting: Setting,
) {
    setting.at_its_page().await;
    let token = setting.admin().await.access_token;
    let (mut own, mut eves) = (Authenticator::p256(1), Authenticator::ed25519(2));
    setting.first_key(&token, setting.password(), &mut own).await;
    setting.other_hospital("eve", OTHER, &[Role::Admin]).await;
    let eve = setting.sign_in("eve", OTHER).await.unwrap().access_token;
    setting.first_key(&eve, OTHER, &mut eves).await;
    let refused = async |what: &str, answer: &str| {
        let refused = refusal(setting.with_key("192.0.2.1", answer).await);
        assert_eq!(refused.0, ErrorKind::Unauthenticated, "{what}");
    };

    let right = own.get(&setting.asked().await);
    setting.with_key("192.0.2.1", &right).await.unwrap();
    refused("replayed", &right).await;
    let origin = format!("{PAGE}.evil");
    let mut elsewhere = Authenticator { origin, ..own.clone() };
    refused("at another page", &elsewhere.get(&setting.asked().await)).await;
    let rp_id = "hospital.example".to_owned();
    let mut of_another = Authenticator { rp_id, ..own.clone() };
    refused("for another page", &of_another.get(&setting.asked().await)).await;
    setting.with_key("192.0.2.1", &own.get(&setting.asked().await)).await.unwrap();

    let mut copied = Authenticator { counter: own.counter - 1, ..own.clone() };
    refused("by a copy, whose counter has gone back", &copied.get(&setting.asked().await)).await;
    refused("by another account's key", &eves.get(&setting.asked().await)).await;
    let hers = setting.challenge(&eve).await.unwrap();
    refused("to another account's question", &own.get(&hers)).await;
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let mut otherwise = json(&own.get(&setting.asked().await));
    otherwise["response"]["signature"] = json(&right)["response"]["signature"].clone();
    refused("signed otherwise", &otherwise.to_string()).await;
    setting.with_key("192.0.2.1", &own.get(&setting.asked().await)).await.unwrap();
    let late = own.get(&setting.asked().await);
    setting.clock.advance(FIVE_MINUTES_MS);
    refused("late", &late).await;
    setting.with_key("192.0.2.1", &own.get(&setting.asked().await)).await.unwrap();

    // With the right password beside them, wrong answers are counted as wrong codes are.
    let mut kinds = Vec::new();
    for _ in 0..6 {
        kinds.push(refusal(setting.with_key("192.0.2.9", "{}").await).0);
    }
    assert_eq!(kinds[..5], [ErrorKind::Unauthenticated; 5]);
    assert_eq!(kinds[5], ErrorKind::Exhausted);
}

async fn a_key_is_registered_as_it_was_asked_for_or_not_at_all(mut setting: Setting) {
    setting.at_its_page().await;
    let token = setting.admin().await.access_token;
    let begin = || BeginSecurityKey { password: setting.password().into(), ..Default::default() };
    let elsewhere =
        Authenticator { origin: "https://evil.example".into(), ..Authenticator::ed25519(1) };
    let of_another = Authenticator { rp_id: "evil.example".into(), ..Authenticator::ed25519(1) };
    for (what, mut key) in [
        ("at another page", elsewhere),
        ("for another page", of_another),
        ("of an algorithm that nobody has asked for", Authenticator::p384(1)),
    ] {
        let options = setting.begin_key(&token, begin()).await.unwrap();
        let refused = setting.add(&token, key.create(&options)).await;
        assert_eq!(refusal(refused).0, ErrorKind::Invalid, "{what}");
    }
    let options = setting.begin_key(&token, begin()).await.unwrap();
    setting.clock.advance(FIVE_MINUTES_MS);
    let token = setting.admin().await.access_token;
    let late = Authenticator::ed25519(1).create(&options);
    assert_eq!(refusal(setting.add(&token, late).await).0, ErrorKind::Invalid);
    // Somebody else's question.
    setting.other_hospital("eve", OTHER, &[Role::Admin]).await;
    let eve = setting.sign_in("eve", OTHER).await.unwrap().access_token;
    let password = OTHER.to_owned();
    let hers = BeginSecurityKey { password, ..Default::default() };
    let hers = setting.begin_key(&eve, hers).await.unwrap();
    let made = Authenticator::ed25519(1).create(&hers);
    assert_eq!(refusal(setting.add(&token, made.clone()).await).0, ErrorKind::Invalid);
    setting.add(&eve, made.clone()).await.unwrap();
    assert_eq!(refusal(setting.add(&eve, made).await).0, ErrorKind::Invalid, "once");
    // And a key that is somebody's already.
    let options = setting.begin_key(&token, begin()).await.unwrap();
    let taken = setting.add(&token, Authenticator::ed25519(1).create(&options)).await;
    assert_eq!(refusal(taken).0, ErrorKind::Conflict);
    assert!(setting.list(&token, "").await.unwrap().keys.is_empty());

    let mut first = Authenticator::ed25519(10);
    setting.first_key(&token, setting.password(), &mut first).await;
    for number in 11..15 {
        let options = setting.another(&token, &mut first).await.unwrap();
        setting.add(&token, Authenticator::p256(number).create(&options)).await.unwrap();
    }
    let sixth = setting.another(&token, &mut first).await;
    assert_eq!(refusal(sixth).0, ErrorKind::Conflict, "five at most");
    assert!(setting.with_key("", &first.get(&setting.asked().await)).await.is_ok());
}

async fn a_key_is_enough_where_the_hospital_asks_for_a_second_factor(mut setting: Setting) {
    setting.at_its_page().await;
    let token = setting.admin().await.access_token;
    let rule = authorised(SignInRules { second_factor_required: true }, &token);
    plain(setting.keys().set_rules(rule).await).unwrap();
    // Whoever knows the password alone is shown one-time passwords that nobody has shown to work.
    let shown = setting.with_key("", "").await.unwrap().second_factor_to_be;
    assert!(shown.starts_with("otpauth://"), "{shown}");
    let mut key = Authenticator::ed25519(1);
    let added = setting.first_key(&token, setting.password(), &mut key).await;
    assert_eq!(setting.rows("SELECT COUNT(*) FROM second_factors").await, 0, "forgotten");
    let tokens = setting.with_key("", &key.get(&setting.asked().await)).await.unwrap();
    assert!(!tokens.access_token.is_empty() && tokens.recovery_codes.is_empty());
    let by = key.get(&setting.challenge(&token).await.unwrap());
    let last = refusal(setting.remove_key(&token, &added.id, by).await);
    assert_eq!(last.0, ErrorKind::Conflict, "{}", last.1);
    // Whoever has lost it has a code, once.
    let (user_name, password) = (setting.first.user_name.clone(), setting.password().to_owned());
    let code = added.recovery_codes[0].clone();
    let wish = SignInRequest { user_name, password, code, ..Default::default() };
    let recovered = plain(setting.auth.clone().sign_in(wish.clone()).await).unwrap();
    assert!(!recovered.access_token.is_empty());
    let again = plain(setting.auth.clone().sign_in(wish).await);
    assert_eq!(refusal(again).0, ErrorKind::Unauthenticated);
    // And whoever has the database lets in who has lost all.
    let name = setting.first.user_name.as_str();
    setting.accounts.reset_password(name, OTHER).await.unwrap();
    let tokens = setting.sign_in(name, OTHER).await.unwrap();
    assert!(!tokens.second_factor_needed && !tokens.second_factor_to_be.is_empty());
}

async fn an_administrator_takes_a_lost_key_away(mut setting: Setting) {
    setting.at_its_page().await;
    let token = setting.admin().await.access_token;
    let claims = setting.verifier.verify(&token).await.unwrap();
    let (tenant, user_id) = (claims.tenant().id(), claims.subject);
    let (mut lost, mut kept) = (Authenticator::ed25519(1), Authenticator::ed25519(2));
    let added = setting.first_key(&token, setting.password(), &mut lost).await;
    let options = setting.another(&token, &mut lost).await.unwrap();
    setting.add(&token, kept.create(&options)).await.unwrap();
    setting.other_hospital("eve", OTHER, &[Role::Admin]).await;
    let eve = setting.sign_in("eve", OTHER).await.unwrap().access_token;
    setting.accounts.create_user(tenant, "chief", OTHER, &[Role::Admin]).await.unwrap();
    let chief = setting.sign_in("chief", OTHER).await.unwrap().access_token;
    let remove = async |token: &str, reason: &str| {
        let (user_id, id) = (user_id.clone(), added.id.clone());
        let mut key = authorised(SecurityKeyRef { user_id, id }, token);
        key.metadata_mut().insert(REASON, reason.parse().unwrap());
        plain(setting.keys().remove_key_of(key).await)
    };
    let why = "left on a train";
    assert_eq!(refusal(setting.list(&eve, &user_id).await).0, ErrorKind::NotFound);
    assert_eq!(refusal(remove(&eve, why).await).0, ErrorKind::NotFound);
    assert_eq!(refusal(remove(&token, why).await).0, ErrorKind::Conflict, "one's own");
    assert_eq!(refusal(remove(&chief, "x").await).0, ErrorKind::Invalid, "no reason");
    assert_eq!(setting.list(&chief, &user_id).await.unwrap().keys.len(), 2);
    remove(&chief, why).await.unwrap();
    assert_eq!(refusal(remove(&chief, why).await).0, ErrorKind::NotFound);
    let refused = setting.with_key("", &lost.get(&setting.asked().await)).await;
    assert_eq!(refusal(refused).0, ErrorKind::Unauthenticated);
    setting.with_key("", &kept.get(&setting.asked().await)).await.unwrap();
    let database = db::existing(setting.config.database_url.expose_secret()).await.unwrap();
    let all = trail::Search { limit: 100, ..trail::Search::default() };
    let noted: Vec<[String; 4]> = trail::page(&database, tenant, &all)
        .await
        .unwrap()
        .into_iter()
        .filter(|row| row.action.starts_with("second_factor.key_") && row.detail == added.id)
        .map(|row| [row.action, row.object_id, row.name, row.reason])
        .collect();
    let removed = ["second_factor.key_removed", user_id.as_str(), "chief", why].map(str::to_owned);
    let own = setting.first.user_name.as_str();
    let registered = ["second_factor.key_added", user_id.as_str(), own, ""].map(str::to_owned);
    assert_eq!(noted, [removed, registered]);
    // With the account goes what is left of it.
    let user = UserRef { user_id };
    plain(setting.lives().delete_user(authorised(user, &chief)).await).unwrap();
    for count in ["SELECT COUNT(*) FROM security_keys", "SELECT COUNT(*) FROM key_challenges"] {
        assert_eq!(setting.rows(count).await, 0, "{count}");
    }
}

async fn what_was_begun_before_a_factor_came_or_went_makes_none(mut setting: Setting) {
    setting.at_its_page().await;
    let token = setting.admin().await.access_token;
    let begin_key = async |security_key: String| {
        let password = setting.password().to_owned();
        let begin = BeginSecurityKey { password, security_key, ..Default::default() };
        setting.begin_key(&token, begin).await.unwrap()
    };
    let begin_app = async |security_key: String| {
        let password = setting.password().to_owned();
        let begin = BeginSecondFactor { password, security_key, ..Default::default() };
        let begun = plain(setting.keys().begin(authorised(begin, &token)).await).unwrap();
        code(&begun.secret, setting.clock.clock().now_ms())
    };
    let confirm = async |code: &str| {
        let confirm = ConfirmSecondFactor { code: code.into() };
        plain(setting.keys().confirm(authorised(confirm, &token)).await)
    };
    // By whoever knew the password alone, a moment before its owner had a factor.
    let mut eves = Authenticator::ed25519(1);
    let begun = begin_key(String::new()).await;
    let codes = confirm(&begin_app(String::new()).await).await.unwrap().codes;
    let late = setting.add(&token, eves.create(&begun)).await;
    assert_eq!(refusal(late).0, ErrorKind::Invalid);
    assert!(setting.list(&token, "").await.unwrap().keys.is_empty());
    let remove = RemoveSecondFactor {
        password: setting.password().into(),
        code: codes[0].clone(),
        ..Default::default()
    };
    plain(setting.keys().remove(authorised(remove, &token)).await).unwrap();

    // And by whoever had found a key, until it was taken away.
    let (mut found, mut kept) = (Authenticator::ed25519(2), Authenticator::p256(3));
    let added = setting.first_key(&token, setting.password(), &mut found).await;
    let options = setting.another(&token, &mut found).await.unwrap();
    setting.add(&token, kept.create(&options)).await.unwrap();
    let begun = setting.another(&token, &mut found).await.unwrap();
    let shown = begin_app(found.get(&setting.challenge(&token).await.unwrap())).await;
    let by = kept.get(&setting.challenge(&token).await.unwrap());
    setting.remove_key(&token, &added.id, by).await.unwrap();
    let late = setting.add(&token, eves.create(&begun)).await;
    assert_eq!(refusal(late).0, ErrorKind::Invalid);
    assert_eq!(refusal(confirm(&shown).await).0, ErrorKind::NotFound, "nothing is begun");
    assert_eq!(setting.list(&token, "").await.unwrap().keys.len(), 1);
}
