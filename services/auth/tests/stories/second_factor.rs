//! One-time passwords beside passwords, as an app makes them.

use domain::{Error, ErrorKind};
use platform::{db, trail};
use proto::audit::Search;
use proto::auth::audit_trail_client::AuditTrailClient;
use proto::auth::second_factors_client::SecondFactorsClient;
use proto::auth::*;
use ring::hmac;
use secrecy::ExposeSecret;
use service::Peer;
use service::claims::{ORIGIN, REASON, authorised};
use tonic::Request;

use crate::setting::*;

on_each_database! {
    a_second_factor_is_begun_shown_to_work_asked_for_and_taken_away
    each_code_works_once_and_guesses_are_slowed_down_as_those_of_passwords
    a_code_for_recovery_works_once
    whose_hospital_asks_for_one_has_one_from_the_next_sign_in_on
    what_becomes_of_a_second_factor_is_in_the_audit_trail
    an_administrator_takes_away_what_was_lost
    whoever_has_the_database_lets_in_who_has_lost_all
    a_secret_is_kept_sealed_over_a_rotation_of_the_key
}

const STEP_MS: i64 = 30_000;

/// What an app shows at that time, whom that secret was shown to.
pub fn code(secret: &str, now_ms: i64) -> String {
    let bits: String = secret.bytes().map(|sign| format!("{:05b}", of_base32(sign))).collect();
    let bytes: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|eight| u8::from_str_radix(std::str::from_utf8(eight).unwrap(), 2).unwrap())
        .collect();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let tag = hmac::sign(&key, &(now_ms / STEP_MS).to_be_bytes());
    let digest = tag.as_ref();
    let offset = usize::from(digest[19] & 15);
    let four: [u8; 4] = digest[offset..offset + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

/// The secret in what an app is told.
fn secret_in(address: &str) -> String {
    address.split_once("secret=").unwrap().1.split_once('&').unwrap().0.to_owned()
}

fn of_base32(sign: u8) -> u8 {
    if sign.is_ascii_uppercase() { sign - b'A' } else { sign - b'2' + 26 }
}

impl Setting {
    fn factors(&self) -> SecondFactorsClient<Peer> {
        SecondFactorsClient::new(self.peer.clone())
    }

    fn code(&self, secret: &str) -> String {
        code(secret, self.clock.clock().now_ms())
    }

    async fn with_code(&self, place: &str, code: &str) -> Result<Tokens, Error> {
        let (user_name, password) = (self.first.user_name.clone(), self.password().to_owned());
        let code = code.to_owned();
        let wish = SignInRequest { user_name, password, code, ..Default::default() };
        let mut request = Request::new(wish);
        request.metadata_mut().insert(ORIGIN, place.parse().unwrap());
        plain(self.auth.clone().sign_in(request).await)
    }

    async fn begin(&self, token: &str, password: &str) -> Result<SecondFactorBegun, Error> {
        let begin = BeginSecondFactor { password: password.into(), ..Default::default() };
        plain(self.factors().begin(authorised(begin, token)).await)
    }

    async fn confirm(&self, token: &str, code: &str) -> Result<Vec<String>, Error> {
        let confirm = ConfirmSecondFactor { code: code.into() };
        plain(self.factors().confirm(authorised(confirm, token)).await).map(|codes| codes.codes)
    }

    /// The first administrator with a second factor: their token, its secret and codes for recovery. Its code of now is used up.
    async fn enrolled(&self) -> (String, String, Vec<String>) {
        let token = self.admin().await.access_token;
        let secret = self.begin(&token, self.password()).await.unwrap().secret;
        let codes = self.confirm(&token, &self.code(&secret)).await.unwrap();
        (token, secret, codes)
    }
}

async fn a_second_factor_is_begun_shown_to_work_asked_for_and_taken_away(setting: Setting) {
    let token = setting.admin().await.access_token;
    // Whoever has found an open page does not know the password.
    assert_eq!(refusal(setting.begin(&token, "a guess").await).0, ErrorKind::Forbidden);
    assert_eq!(refusal(setting.confirm(&token, "000000").await).0, ErrorKind::NotFound);
    let begun = setting.begin(&token, setting.password()).await.unwrap();
    assert_eq!(
        begun.address,
        format!("otpauth://totp/medseg:admin?secret={}&issuer=medseg", begun.secret)
    );
    // Asked again, another one in its place; and before it is shown to work it keeps nobody out.
    let before = setting.code(&begun.secret);
    let begun = setting.begin(&token, setting.password()).await.unwrap();
    assert_eq!(refusal(setting.confirm(&token, &before).await).0, ErrorKind::Forbidden);
    setting.admin().await;
    assert_eq!(refusal(setting.confirm(&token, "abcdef").await).0, ErrorKind::Forbidden);
    let codes = setting.confirm(&token, &setting.code(&begun.secret)).await.unwrap();
    assert_eq!(codes.len(), 10);
    let another = setting.begin(&token, setting.password()).await;
    assert_eq!(refusal(another).0, ErrorKind::Conflict, "one at a time");

    let told = setting.with_code("", "").await.unwrap();
    assert_eq!(told, Tokens { second_factor_needed: true, ..Tokens::default() });
    setting.clock.advance(STEP_MS);
    let tokens = setting.with_code("", &setting.code(&begun.secret)).await.unwrap();
    let me =
        plain(setting.lives().me(authorised(MeRequest {}, &tokens.access_token)).await).unwrap();
    assert!(me.has_second_factor && !me.second_factor_required);

    let remove = async |password: &str, code: &str| {
        let (password, code) = (password.into(), code.into());
        let remove = RemoveSecondFactor { password, code, ..Default::default() };
        plain(setting.factors().remove(authorised(remove, &token)).await)
    };
    setting.clock.advance(STEP_MS);
    let right = setting.code(&begun.secret);
    for (password, code) in [("a guess", right.as_str()), (setting.password(), "")] {
        assert_eq!(refusal(remove(password, code).await).0, ErrorKind::Forbidden);
    }
    remove(setting.password(), &right).await.unwrap();
    setting.admin().await;
    // Whoever has lost their telephone has a code for recovery.
    let (_, _, codes) = setting.enrolled().await;
    remove(setting.password(), &codes[0]).await.unwrap();
    setting.admin().await;
}

async fn each_code_works_once_and_guesses_are_slowed_down_as_those_of_passwords(setting: Setting) {
    let (_, secret, _) = setting.enrolled().await;
    let used = setting.code(&secret);
    assert_eq!(refusal(setting.with_code("192.0.2.1", &used).await).0, ErrorKind::Unauthenticated);
    setting.clock.advance(STEP_MS);
    let right = setting.code(&secret);
    setting.with_code("192.0.2.2", &right).await.unwrap();
    assert_eq!(refusal(setting.with_code("192.0.2.2", &right).await).0, ErrorKind::Unauthenticated);
    // With the right password beside them, guesses at the code are counted.
    let mut kinds = Vec::new();
    for _ in 0..6 {
        kinds.push(refusal(setting.with_code("192.0.2.9", "abc").await).0);
    }
    assert_eq!(kinds[..5], [ErrorKind::Unauthenticated; 5]);
    assert_eq!(kinds[5], ErrorKind::Exhausted);
    setting.clock.advance(STEP_MS);
    setting.with_code("192.0.2.9", &setting.code(&secret)).await.unwrap();
}

async fn a_code_for_recovery_works_once(setting: Setting) {
    let (_, secret, codes) = setting.enrolled().await;
    let upper = codes[0].to_uppercase();
    let tokens = setting.with_code("", &upper).await.unwrap();
    assert_eq!(refusal(setting.with_code("", &codes[0]).await).0, ErrorKind::Unauthenticated);
    // Others take the place of all that are left, and need what makes codes.
    let refused = setting.confirm(&tokens.access_token, &codes[1]).await;
    assert_eq!(refusal(refused).0, ErrorKind::Forbidden);
    setting.clock.advance(STEP_MS);
    let others = setting.confirm(&tokens.access_token, &setting.code(&secret)).await.unwrap();
    assert_eq!(refusal(setting.with_code("", &codes[1]).await).0, ErrorKind::Unauthenticated);
    setting.with_code("", &others[1]).await.unwrap();
}

async fn whose_hospital_asks_for_one_has_one_from_the_next_sign_in_on(setting: Setting) {
    let token = setting.admin().await.access_token;
    let rule = authorised(SignInRules { second_factor_required: true }, &token);
    plain(setting.factors().set_rules(rule).await).unwrap();
    let told = setting.with_code("", "").await.unwrap();
    assert!(told.access_token.is_empty() && told.refresh_token.is_empty());
    let seen_before = secret_in(&told.second_factor_to_be);
    // Whoever knows the password, and was shown one before its owner was, makes no codes of what its owner is shown.
    let told = setting.with_code("", "").await.unwrap();
    let secret = secret_in(&told.second_factor_to_be);
    let earlier = setting.code(&seen_before);
    assert_eq!(refusal(setting.with_code("", &earlier).await).0, ErrorKind::Unauthenticated);
    assert_eq!(refusal(setting.with_code("", "abcdef").await).0, ErrorKind::Unauthenticated);
    let tokens = setting.with_code("", &setting.code(&secret)).await.unwrap();
    assert!(setting.with_code("", "").await.unwrap().second_factor_needed);
    // Whoever has just begun is given what they need when their telephone is lost, this once.
    assert_eq!(tokens.recovery_codes.len(), 10);
    let recovered = setting.with_code("", &tokens.recovery_codes[0]).await.unwrap();
    assert!(!recovered.access_token.is_empty() && recovered.recovery_codes.is_empty());
    let password = setting.password().to_owned();
    let remove = authorised(RemoveSecondFactor { password, ..Default::default() }, &token);
    assert_eq!(refusal(plain(setting.factors().remove(remove).await)).0, ErrorKind::Conflict);
    // What another hospital asks for is its own.
    setting.other_hospital("eve", "a long enough sentence", &[service::claims::Role::Admin]).await;
    let eve = setting.sign_in("eve", "a long enough sentence").await.unwrap();
    let rules = authorised(SignInRulesRef {}, &eve.access_token);
    let rules = plain(setting.factors().get_rules(rules).await).unwrap();
    assert!(!rules.second_factor_required);
}

async fn what_becomes_of_a_second_factor_is_in_the_audit_trail(setting: Setting) {
    let token = setting.admin().await.access_token;
    let claims = setting.verifier.verify(&token).await.unwrap();
    let (tenant, own) = (claims.tenant().id(), claims.subject);
    let rule = authorised(SignInRules { second_factor_required: true }, &token);
    plain(setting.factors().set_rules(rule).await).unwrap();
    let told = setting.with_code("192.0.2.1", "").await.unwrap();
    let secret = secret_in(&told.second_factor_to_be);
    setting.with_code("192.0.2.1", &setting.code(&secret)).await.unwrap();
    setting.clock.advance(STEP_MS);
    let codes = setting.confirm(&token, &setting.code(&secret)).await.unwrap();
    setting.with_code("192.0.2.2", &codes[0]).await.unwrap();
    let name = setting.first.user_name.as_str();
    setting.accounts.reset_password(name, "a password that is new").await.unwrap();
    let database = db::existing(setting.config.database_url.expose_secret()).await.unwrap();
    let all = trail::Search { limit: 100, ..trail::Search::default() };
    let rows = trail::page(&database, tenant, &all).await.unwrap();
    let noted: Vec<[String; 4]> = rows
        .into_iter()
        .filter(|row| row.action.starts_with("second_factor.") && row.object_id == own)
        .map(|row| [row.action, row.subject, row.name, row.origin])
        .collect();
    let said = |action: &str, subject: &str, name: &str, origin: &str| {
        [action, subject, name, origin].map(str::to_owned)
    };
    assert_eq!(
        noted,
        [
            said("second_factor.removed", "command line", "", ""),
            said("second_factor.code_used", &own, name, "192.0.2.2"),
            said("second_factor.codes_made", &own, name, ""),
            said("second_factor.codes_made", &own, name, "192.0.2.1"),
            said("second_factor.added", &own, name, "192.0.2.1"),
        ]
    );
}

async fn an_administrator_takes_away_what_was_lost(setting: Setting) {
    let (token, _, codes) = setting.enrolled().await;
    let user_id = setting.verifier.verify(&token).await.unwrap().subject;
    setting.other_hospital("eve", "a long enough sentence", &[service::claims::Role::Admin]).await;
    let eve = setting.sign_in("eve", "a long enough sentence").await.unwrap().access_token;
    let hospital = setting.verifier.verify(&token).await.unwrap().tenant().id();
    let roles = [service::claims::Role::Admin];
    setting
        .accounts
        .create_user(hospital, "chief", "a long enough sentence", &roles)
        .await
        .unwrap();
    let chief = setting.sign_in("chief", "a long enough sentence").await.unwrap().access_token;
    let remove = async |token: &str, reason: &str| {
        let mut user = authorised(UserRef { user_id: user_id.clone() }, token);
        user.metadata_mut().insert(REASON, reason.parse().unwrap());
        plain(setting.factors().remove_of(user).await)
    };
    let why = "the telephone is lost";
    assert_eq!(refusal(remove(&eve, why).await), (ErrorKind::NotFound, "no such user".into()));
    assert_eq!(refusal(remove(&token, why).await).0, ErrorKind::Conflict, "no code was asked for");
    for none in ["", "  ", "x"] {
        let (kind, words) = refusal(remove(&chief, none).await);
        assert!(kind == ErrorKind::Invalid && words.contains("Medseg-Reason"), "{none:?} {words}");
    }
    assert!(setting.with_code("", "").await.unwrap().second_factor_needed);
    remove(&chief, why).await.unwrap();
    assert_eq!(refusal(remove(&chief, why).await).0, ErrorKind::NotFound);
    setting.with_code("", "").await.unwrap();
    let search = Search { limit: 100, ..Search::default() };
    let mut trail = AuditTrailClient::new(setting.peer.clone());
    let entries = plain(trail.list(authorised(search, &chief)).await).unwrap().entries;
    let noted: Vec<_> = entries
        .iter()
        .filter(|entry| entry.action == "second_factor.removed")
        .map(|entry| (entry.object_id.as_str(), entry.name.as_str(), entry.reason.as_str()))
        .collect();
    assert_eq!(noted, [(user_id.as_str(), "chief", why)]);
    // Codes for recovery have gone, too: begun anew, none of them works.
    let secret = setting.begin(&token, setting.password()).await.unwrap().secret;
    setting.confirm(&token, &setting.code(&secret)).await.unwrap();
    assert_eq!(refusal(setting.with_code("", &codes[0]).await).0, ErrorKind::Unauthenticated);
}

async fn whoever_has_the_database_lets_in_who_has_lost_all(setting: Setting) {
    setting.enrolled().await;
    let (user_name, password) = (setting.first.user_name.as_str(), "a password that is new");
    setting.accounts.reset_password(user_name, password).await.unwrap();
    let tokens = setting.sign_in(user_name, password).await.unwrap();
    assert!(!tokens.access_token.is_empty() && !tokens.second_factor_needed);
}

async fn a_secret_is_kept_sealed_over_a_rotation_of_the_key(mut setting: Setting) {
    let (_, secret, _) = setting.enrolled().await;
    let at = |name: &str| setting.folder.path().join(name);
    let (first, second) = (setting.config.signing_key.clone(), at("second.pem"));
    let rotated = [(second.clone(), Some(first)), (second, None)];
    for (signing_key, previous_key) in rotated {
        setting.config = auth::Config { signing_key, previous_key, ..setting.config.clone() };
        let (peer, _) = start(&setting.config, &setting.clock).await;
        setting.auth = auth_client::AuthClient::new(peer);
        setting.clock.advance(STEP_MS);
        setting.with_code("", &setting.code(&secret)).await.unwrap();
    }
}
