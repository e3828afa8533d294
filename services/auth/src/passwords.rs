mod breached;
mod commonplace;

use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use domain::limits::{PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};
use domain::{Error, ErrorKind, Random, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::breached::Breached;
use self::commonplace::is_commonplace;
use crate::waiting::{Asker, Waiting};

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Long passwords that guessers try first, in lower case.
const COMMONEST: &str = include_str!("commonest.txt");

/// Refuses, in words, a new password that is too easily guessed. Length counts, not composition.
pub fn check(password: &str, user_name: &str) -> Result<()> {
    let refuse = |why: &str| Err(ErrorKind::Invalid.error(why));
    let length = password.chars().count();
    if !(PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&length) {
        return refuse(&format!(
            "a password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters"
        ));
    }
    let lower = password.to_lowercase();
    if COMMONEST.lines().any(|common| common == lower) || is_commonplace(&lower) {
        return refuse("this password is among the first that anyone tries");
    }
    if lower.contains(&user_name.to_lowercase()) && length < 2 * PASSWORD_CHARS_MIN {
        return refuse("a password does not contain the user's name");
    }
    let mut letters: Vec<char> = lower.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    if letters.len() < 4 {
        return refuse("this password repeats itself");
    }
    Ok(())
}

/// The list at `path`, if one is named: a setting that is empty, as in compose files, names none.
pub fn breached_at(path: Option<&Path>) -> Result<Option<Arc<Breached>>> {
    let path = path.filter(|path| !path.as_os_str().is_empty());
    Ok(path.map(Breached::open).transpose()?.map(Arc::new))
}

/// Hashes and compares passwords, a few at a time and never on the threads that answer calls.
#[derive(Clone)]
pub struct Passwords {
    /// Each turn holds 19 MiB.
    turns: Arc<Semaphore>,
    waiting: Waiting,
    /// Compared with where there is no account, so that its absence cannot be measured.
    nobodys: Arc<str>,
    breached: Option<Arc<Breached>>,
    random: Random,
}

impl Passwords {
    pub async fn new(random: Random) -> Result<Passwords> {
        let turns = Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from)));
        let waiting = Waiting::default();
        let passwords = Passwords { turns, waiting, nobodys: "".into(), breached: None, random };
        let nobodys = passwords.hash(&crate::secrets::secret(&passwords.random)).await?.into();
        Ok(Passwords { nobodys, ..passwords })
    }

    /// The same, which refuse what is in that list.
    #[must_use]
    pub fn without(self, breached: Option<Arc<Breached>>) -> Passwords {
        Passwords { breached, ..self }
    }

    /// Refuses, in words, a new password that is too easily guessed, or that others have lost.
    pub async fn check(&self, password: &str, user_name: &str) -> Result<()> {
        check(password, user_name)?;
        let Some(list) = self.breached.clone() else { return Ok(()) };
        let password = password.to_owned();
        tokio::task::spawn_blocking(move || list.refuse(&password)).await.map_err(hash_error)?
    }

    /// The hash to keep: a PHC string, which names its own parameters and salt.
    pub async fn hash(&self, password: &str) -> Result<String> {
        let (password, salt) = (password.to_owned(), self.random.bytes::<16>());
        self.compute(Asker::Known, move || {
            let hash = argon2id()?.hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(hash_error)
        })
        .await
    }

    /// Whether `password` is the one behind `hash`; without a hash it is not, and takes as long to say.
    pub async fn matches(
        &self,
        asker: Asker<'_>,
        password: &str,
        hash: Option<&str>,
    ) -> Result<bool> {
        let exists = hash.is_some();
        let (password, hash) = (password.to_owned(), hash.unwrap_or(&self.nobodys).to_owned());
        self.compute(asker, move || {
            let hash = PasswordHash::new(&hash).map_err(hash_error)?;
            Ok(argon2id()?.verify_password(password.as_bytes(), &hash).is_ok() && exists)
        })
        .await
    }

    async fn compute<T: Send + 'static>(
        &self,
        asker: Asker<'_>,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _place = self.waiting.join(asker)?;
        // The turn goes with the work: a caller that leaves frees no memory.
        let turn: OwnedSemaphorePermit =
            self.turns.clone().acquire_owned().await.map_err(hash_error)?;
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        work.await.map_err(hash_error)?
    }
}

fn argon2id() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(hash_error)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    ErrorKind::Internal.error("cannot compute a password's hash").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_argon2id_with_the_promised_cost() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let passwords = Passwords::new(service::system_random()).await.unwrap();
            let hash = passwords.hash("correct horse battery").await.unwrap();
            assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
            assert!(
                passwords
                    .matches(Asker::Known, "correct horse battery", Some(&hash))
                    .await
                    .unwrap()
            );
            assert!(
                !passwords
                    .matches(Asker::Known, "correct horse batterz", Some(&hash))
                    .await
                    .unwrap()
            );
            assert!(!passwords.matches(Asker::Known, "correct horse battery", None).await.unwrap());
            let again = passwords.hash("correct horse battery").await.unwrap();
            assert_ne!(again, hash, "two hashes share their salt");
        });
    }

    #[test]
    fn length_counts_and_composition_does_not() {
        for good in ["correct horse", "ein langer satz ohne ziffern", &"ab cd".repeat(25)] {
            assert!(check(good, "ada").is_ok(), "{good}");
        }
        let long = "abcd ".repeat(26);
        let quoted = "Correct horse battery staple";
        for bad in
            [quoted, "short", "elevenchars", "Password1234", "aaaaaaaaaaaa", "lovelace-1815", &long]
        {
            assert_eq!(check(bad, "lovelace").unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        for (password, is_long_enough) in [
            ("zwölf äöü üß", true),
            ("elf äöü üßx", false),
            (&"äöüß".repeat(32), true),
            (&format!("{}x", "äöüß".repeat(32)), false),
        ] {
            assert_eq!(check(password, "ada").is_ok(), is_long_enough, "{password}");
        }
    }

    #[test]
    fn a_user_name_may_stand_in_a_long_sentence_only_and_no_case_hides_it() {
        for (password, user_name, is_good) in [
            ("my Lovelace 1815", "lovelace", false),
            ("my lovelace 1815", "LOVELACE", false),
            ("my lovelace of eighteen", "lovelace", false),
            ("my lovelace of eighteen15", "lovelace", true),
        ] {
            assert_eq!(check(password, user_name).is_ok(), is_good, "{password}");
        }
    }

    #[tokio::test]
    async fn a_hash_that_cannot_be_read_is_an_error_and_never_a_match() {
        let passwords = Passwords::new(service::system_random()).await.unwrap();
        for hash in ["", "correct horse battery", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA"] {
            let known = passwords.matches(Asker::Known, "correct horse battery", Some(hash)).await;
            assert!(!known.unwrap_or(false), "{hash:?}");
        }
        let broken = passwords.matches(Asker::Known, "", Some("no hash")).await.unwrap_err();
        assert_eq!(broken.kind(), ErrorKind::Internal);
    }
}
