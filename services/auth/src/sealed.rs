//! Secrets that must be read again, as a row keeps them: sealed with a key that follows from the signing key, which is a file, so
//! that a copy of the database gives none away.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Error, ErrorKind, Random, Result};
use platform::db::{self, Database};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use service::claims::SigningKey;

/// What the sealing key is derived for.
const PURPOSE: &str = "sealed secrets";

/// Seals and opens.
pub struct Sealer {
    /// The first seals; those of keys from before open what they have sealed. Each with the id of its signing key.
    keys: Vec<(String, LessSafeKey)>,
    random: Random,
}

impl Sealer {
    pub fn new(
        signing: &SigningKey,
        previous: Option<&SigningKey>,
        random: Random,
    ) -> Result<Sealer> {
        let of = |key: &SigningKey| -> Result<(String, LessSafeKey)> {
            let key_of = UnboundKey::new(&CHACHA20_POLY1305, &key.derive(PURPOSE, b""));
            let sealing =
                key_of.map_err(|_| ErrorKind::Internal.error("cannot make a sealing key"))?;
            Ok((key.id().to_owned(), LessSafeKey::new(sealing)))
        };
        let keys = std::iter::once(signing).chain(previous).map(of).collect::<Result<_>>()?;
        Ok(Sealer { keys, random })
    }

    /// `secret` as a row keeps it; it opens as what it was sealed as, in the place that `whose` names, and nowhere else.
    pub fn seal(&self, whose: &str, secret: &str) -> Result<String> {
        let (id, key) = self.keys.first().ok_or_else(unreadable)?;
        let nonce = self.random.bytes::<NONCE_LEN>();
        let mut sealed = secret.as_bytes().to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(whose.as_bytes()),
            &mut sealed,
        )
        .map_err(|_| ErrorKind::Internal.error("cannot seal a secret"))?;
        Ok(format!("{id}.{}", URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())))
    }

    /// The secret that was sealed so.
    pub fn open(&self, whose: &str, sealed: &str) -> Result<String> {
        let (id, text) = sealed.split_once('.').ok_or_else(unreadable)?;
        let (_, key) = self.keys.iter().find(|(known, _)| known == id).ok_or_else(unreadable)?;
        let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| unreadable())?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN).ok_or_else(unreadable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| unreadable())?;
        let aad = Aad::from(whose.as_bytes());
        let opened = key.open_in_place(nonce, aad, sealed).map_err(|_| unreadable())?;
        String::from_utf8(opened.to_vec()).map_err(|_| unreadable())
    }

    /// Whether the present key has sealed it.
    fn is_present(&self, sealed: &str) -> bool {
        let id = sealed.split_once('.').map(|(id, _)| id);
        self.keys.first().is_some_and(|(present, _)| Some(present.as_str()) == id)
    }
}

/// Whose secret of a provider it is.
pub fn of_provider(tenant: &str) -> String {
    format!("provider {tenant}")
}

/// Whose secret of one-time passwords it is.
pub fn of_factor(tenant: &str, user: &str) -> String {
    format!("second factor {tenant} {user}")
}

/// Seals anew what the key from before has sealed, so that nothing needs that key once it is named no more; at each start.
///
/// What no key opens is told and left: it is set anew by whoever it belongs to.
pub async fn renew(database: &Database, sealer: &Sealer) -> Result<()> {
    let providers: Vec<(String, String)> =
        sqlx::query_as("SELECT tenant_id, client_secret FROM providers WHERE client_secret <> ''")
            .fetch_all(database.pool())
            .await
            .map_err(db::failed)?;
    for (tenant, old) in providers.into_iter().filter(|(_, old)| !sealer.is_present(old)) {
        let Some(new) = resealed(sealer, &of_provider(&tenant), &old) else { continue };
        sqlx::query(
            "UPDATE providers SET client_secret = ? WHERE tenant_id = ? AND client_secret = ?",
        )
        .bind(new)
        .bind(tenant)
        .bind(old)
        .execute(database.pool())
        .await
        .map_err(db::failed)?;
    }
    let factors: Vec<(String, String, String)> =
        sqlx::query_as("SELECT tenant_id, user_id, secret FROM second_factors")
            .fetch_all(database.pool())
            .await
            .map_err(db::failed)?;
    for (tenant, user, old) in factors.into_iter().filter(|(.., old)| !sealer.is_present(old)) {
        let Some(new) = resealed(sealer, &of_factor(&tenant, &user), &old) else { continue };
        sqlx::query(
            "UPDATE second_factors SET secret = ? WHERE tenant_id = ? AND user_id = ? AND secret = ?",
        )
        .bind(new)
        .bind(tenant)
        .bind(user)
        .bind(old)
        .execute(database.pool())
        .await
        .map_err(db::failed)?;
    }
    Ok(())
}

fn resealed(sealer: &Sealer, whose: &str, old: &str) -> Option<String> {
    let new = sealer.open(whose, old).and_then(|secret| sealer.seal(whose, &secret));
    if let Err(error) = &new {
        tracing::error!(%error, whose, "a sealed secret is lost: it must be set anew");
    }
    new.ok()
}

fn unreadable() -> Error {
    ErrorKind::Internal.error(
        "a sealed secret cannot be opened: was the signing key replaced without PREVIOUS_KEY?",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_where_it_was_sealed_and_nowhere_else() {
        let random = service::system_random();
        let [one, two] = [(); 2].map(|()| SigningKey::generate(&random));
        let sealer = Sealer::new(&one, None, random.clone()).unwrap();
        let sealed = sealer.seal("provider a", "s3cret").unwrap();
        assert!(!sealed.contains("s3cret") && sealer.is_present(&sealed));
        assert_eq!(sealer.open("provider a", &sealed).unwrap(), "s3cret");
        assert!(sealer.open("provider b", &sealed).is_err());
        assert_ne!(sealer.seal("provider a", "s3cret").unwrap(), sealed);
        for damaged in ["", ".", "x.y", &sealed[..sealed.len() - 2], &format!("{sealed}AA")] {
            assert!(sealer.open("provider a", damaged).is_err(), "{damaged}");
        }
        // After a rotation the key from before opens, and the new one seals.
        let rotated = Sealer::new(&two, Some(&one), random.clone()).unwrap();
        assert_eq!(rotated.open("provider a", &sealed).unwrap(), "s3cret");
        assert!(!rotated.is_present(&sealed));
        assert!(Sealer::new(&two, None, random).unwrap().open("provider a", &sealed).is_err());
    }
}
