//! Names for patients and scans that name nobody: keyed digests, the same at each export, and of each hospital its own.

use domain::{ErrorKind, Result, TenantId, hex};
use hmac::{Hmac, KeyInit, Mac};
use platform::db::{BindId, Run, Unit, failed};
use sha2::Sha256;
use sqlx::{Any, Executor};

/// As many of a digest's bytes as no two of a hospital's patients ever share.
const BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// What the patient is called within the hospital.
    Patient(&'a str),
    /// The scan's id; also for its patient, where nobody knows whose it is.
    Scan(&'a str),
}

/// The key of one hospital.
pub struct Pseudonyms(Hmac<Sha256>);

impl Pseudonyms {
    /// `Internal` where there is no key: consent makes one.
    pub async fn of_tenant(
        executor: impl Executor<'_, Database = Any>,
        tenant: TenantId,
    ) -> Result<Pseudonyms> {
        let missing = || ErrorKind::Internal.error("a hospital's key for names is missing");
        Pseudonyms::if_any(executor, tenant).await?.ok_or_else(missing)
    }

    /// The same; None where there is no key, so that nothing was ever named with it.
    pub async fn if_any(
        executor: impl Executor<'_, Database = Any>,
        tenant: TenantId,
    ) -> Result<Option<Pseudonyms>> {
        let key = key_of(executor, tenant).await?;
        key.as_deref().map(Pseudonyms::with_key).transpose()
    }

    fn with_key(key_hex: &str) -> Result<Pseudonyms> {
        // The text is the key: HMAC takes any bytes, and so nothing has to be read back from it.
        Hmac::new_from_slice(key_hex.as_bytes()).map(Pseudonyms).map_err(|error| {
            ErrorKind::Internal.error("a hospital's key for names is none").because(error)
        })
    }

    /// The name, in hexadecimal. One of a patient is never that of a scan.
    pub fn name(&self, of: Of) -> String {
        let (what, value) = of.said();
        hex(&self.digest(&[what, value])[..BYTES])
    }

    /// A key for names within the images of that patient: whoever has it can try no other patient's.
    pub fn key(&self, of: Of) -> String {
        let (what, value) = of.said();
        hex(&self.digest(&["images", what, value]))
    }

    /// What tells files of the patient from others', for who has that key.
    pub fn whose(key_hex: &str, patient: &str) -> Result<String> {
        Ok(hex(&Pseudonyms::with_key(key_hex)?.digest(&["whose", patient])))
    }

    fn digest(&self, parts: &[&str]) -> [u8; KEY_BYTES] {
        let mut mac = self.0.clone();
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                mac.update(&[0]);
            }
            mac.update(part.as_bytes());
        }
        let bytes = mac.finalize().into_bytes();
        std::array::from_fn(|at| bytes[at])
    }
}

impl<'a> Of<'a> {
    fn said(self) -> (&'static str, &'a str) {
        match self {
            Of::Patient(value) => ("patient", value),
            Of::Scan(value) => ("scan", value),
        }
    }
}

async fn key_of(
    executor: impl Executor<'_, Database = Any>,
    tenant: TenantId,
) -> Result<Option<String>> {
    sqlx::query_scalar("SELECT key_hex FROM pseudonym_keys WHERE tenant_id = ?")
        .id(tenant)
        .fetch_optional(executor)
        .await
        .map_err(failed)
}

/// Makes the hospital's key of what was `drawn`, unless it has one: a second would tear each patient in two.
pub async fn begin(unit: &mut Unit, tenant: TenantId, drawn: [u8; KEY_BYTES]) -> Result<()> {
    if key_of(&mut **unit, tenant).await?.is_some() {
        return Ok(());
    }
    sqlx::query("INSERT INTO pseudonym_keys (tenant_id, key_hex) VALUES (?, ?)")
        .id(tenant)
        .bind(hex(&drawn))
        .run(unit)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_each_time_and_of_each_key_and_thing_its_own() {
        let [one, other] = ["ab", "cd"].map(|key| Pseudonyms::with_key(key).unwrap());
        let name = one.name(Of::Patient("4711"));
        assert_eq!((name.len(), &name), (2 * BYTES, &one.name(Of::Patient("4711"))));
        assert_ne!(name, other.name(Of::Patient("4711")));
        assert_ne!(name, one.name(Of::Patient("4712")));
        assert_ne!(name, one.name(Of::Scan("4711")));
        assert!(!name.contains("4711"));
        let key = one.key(Of::Patient("4711"));
        assert_eq!(key.len(), 2 * KEY_BYTES);
        assert!(key != one.key(Of::Patient("4712")) && !key.starts_with(&name));
        let whose = |patient| Pseudonyms::whose(&key, patient).unwrap();
        assert!(whose("4711") == whose("4711") && whose("4711") != whose("4712"));
    }
}
