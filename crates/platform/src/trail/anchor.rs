//! The heads of all chains, as they are written into the object store: JSON, in an object that is named by its digest.

use bytes::Bytes;
use domain::{ErrorKind, Result, hex};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Head;
use crate::blob::Blobs;

/// Beside all scans' objects, which stand in folders of their tenants: what sweeps those leaves it alone.
const PREFIX: &str = "audit-anchor-";
/// Many times what the heads of ten thousand tenants are.
const BYTES_MAX: usize = 16 << 20;

/// Where each chain ended at that time.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Anchor {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Of the trail of scans.
    pub storage: Vec<Head>,
    /// Of the trail of accounts.
    pub accounts: Vec<Head>,
    /// Of what it says; None: nobody has signed it, as in versions before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<AnchorSignature>,
}

/// Of an anchor, for a purpose of its own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AnchorSignature {
    /// The id of the key.
    pub key_id: String,
    /// Ed25519, 64 bytes in hex, of the [digest](Anchor::sha256).
    pub value: String,
}

impl Anchor {
    /// The digest, in hex, of what it says without its signature.
    pub fn sha256(&self) -> Result<String> {
        let unsigned = Anchor { signature: None, ..self.clone() };
        Ok(hex(&Sha256::digest(unsigned.to_json()?)))
    }

    /// As it is written.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| ErrorKind::Internal.error("an anchor is no JSON").because(error))
    }
}

/// The object that an anchor is written to. The name says the digest of its bytes.
pub fn anchor_key(at_ms: i64, sha256: &str) -> String {
    format!("{PREFIX}{at_ms:015}-{sha256}.json")
}

/// The anchors in the store, the oldest first. An error where one is not what it was named by.
pub async fn anchors(blobs: &Blobs) -> Result<Vec<Anchor>> {
    let mut objects = blobs.list().await?;
    let mut keys = Vec::new();
    while let Some(object) = objects.try_next().await? {
        if object.key.starts_with(PREFIX) {
            keys.push(object.key);
        }
    }
    keys.sort();
    let mut anchors = Vec::with_capacity(keys.len());
    for key in keys {
        anchors.push(read(blobs, &key).await?);
    }
    Ok(anchors)
}

async fn read(blobs: &Blobs, key: &str) -> Result<Anchor> {
    let unsound = || ErrorKind::Internal.error(format!("the anchor {key} is not what was written"));
    let name = key.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(".json"));
    let (_, sha256) = name.and_then(|name| name.split_once('-')).ok_or_else(unsound)?;
    let mut chunks = blobs.get(key, sha256).await?;
    let mut bytes: Vec<u8> = Vec::new();
    while let Some(chunk) = next(&mut chunks).await.map_err(|error| unsound().because(error))? {
        if bytes.len() + chunk.len() > BYTES_MAX {
            return Err(unsound());
        }
        bytes.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&bytes).map_err(|error| unsound().because(error))
}

async fn next(chunks: &mut crate::blob::ByteStream) -> Result<Option<Bytes>> {
    chunks.try_next().await
}
