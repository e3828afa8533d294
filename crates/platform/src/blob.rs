//! Object storage: immutable objects, durable before they are visible, verified when read.
//!
//! A port of our own, because what it promises (nothing visible before it is durable, digests on
//! every read) is less than an object store can do and more than its clients check.

mod file;
mod gcs;
mod s3;
mod sealed;
mod spool;
#[cfg(feature = "testsuite")]
pub mod testsuite;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{ErrorKind, Random, Result, hex};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use url::Url;

use crate::keys::DataKey;
use crate::{choose_tls, deadline};
use sealed::Sealer;

/// The bytes of one object, in pieces.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// A handle to the object store; cheap to clone.
#[derive(Clone)]
pub struct Blobs(Arc<dyn Backend>);

/// Opens the object store at `url`: `gs://BUCKET[/PREFIX]`, `s3://BUCKET[/PREFIX]`, or `file:///FOLDER`, made when
/// missing.
///
/// A bucket's store may be elsewhere than its owner's (`?endpoint=http://HOST:PORT`): a private gateway, or a double.
/// Whoever may use it is found as the owner's own tools do: workload identity, metadata server, environment.
pub async fn connect(url: &str) -> Result<Blobs> {
    let url =
        Url::parse(url).map_err(|error| ErrorKind::Invalid.error("bad blob URL").because(error))?;
    match url.scheme() {
        "file" => Ok(Blobs(file::connect(&url).await?)),
        "gs" | "s3" => {
            choose_tls();
            bucket(&url).await
        }
        scheme => Err(ErrorKind::Invalid.error(format!(
            "no object storage adapter for `{scheme}://` is built in: use gs://, s3:// or file:///…"
        ))),
    }
}

async fn bucket(url: &Url) -> Result<Blobs> {
    let bucket = Bucket::of(url)?;
    Ok(Blobs(match url.scheme() {
        "gs" => gcs::connect(bucket).await?,
        _ => s3::connect(bucket).await?,
    }))
}

impl Blobs {
    /// Begins an object, invisible until it is kept. Dropping it leaves nothing behind.
    pub async fn stage(&self) -> Result<Staging> {
        let sink = self.0.stage().await?;
        Ok(Staging { sink, sealer: None, ending: None, digest: Sha256::new(), size: 0 })
    }

    /// The same of an object that is kept encrypted, with a key that only it has and that follows from `key`. What is told of it, and
    /// read back, are its own bytes, as they were written.
    pub async fn stage_sealed(&self, key: &DataKey, random: &Random) -> Result<Staging> {
        let ending = hex(&random.bytes::<SALT_BYTES>());
        let sealer = Some(Sealer::new(key.of_object(&ending)?));
        let sink = self.0.stage().await?;
        Ok(Staging { sink, sealer, ending: Some(ending), digest: Sha256::new(), size: 0 })
    }

    /// Makes `objects` durable, and then visible, each under its key. Once this returns, all of them
    /// survive a crash; when it fails, any of them may be visible, and putting them again is harmless.
    pub async fn keep(&self, objects: Vec<(String, Staged)>) -> Result<()> {
        for (key, _) in &objects {
            check_key(key)?;
        }
        self.0.keep(objects.into_iter().map(|(key, staged)| (key, staged.object)).collect()).await
    }

    /// The object under `key`. `NOT_FOUND` when there is none. The stream ends with an error of the
    /// kind `Internal` when the bytes are not those of `sha256` (hexadecimal).
    pub async fn get(&self, key: &str, sha256: &str) -> Result<ByteStream> {
        check_key(key)?;
        Ok(verified(self.0.get(key).await?, sha256.to_owned()))
    }

    /// The bytes of the object under `key` from that one on (from 0); none where it has no more. `NOT_FOUND` when there is no object.
    ///
    /// They are compared with no digest, which is the whole object's: whoever asks for them has one of their own.
    pub async fn get_from(&self, key: &str, from: u64) -> Result<ByteStream> {
        check_key(key)?;
        self.0.get_from(key, from).await
    }

    /// [`Blobs::get`] of an object that was staged sealed with `data_key` and kept under a key that ends in its [`Staged::ending`].
    ///
    /// The stream ends with an error of the kind `Internal`, too, when the bytes were encrypted with another key, or are those of another
    /// object: nothing that was not authenticated is given out.
    pub async fn get_sealed(
        &self,
        key: &str,
        sha256: &str,
        data_key: &DataKey,
    ) -> Result<ByteStream> {
        check_key(key)?;
        let own = data_key.of_object(ending_of(key))?;
        let opened = sealed::opened(self.0.get(key).await?, own, None, key.to_owned());
        Ok(verified(opened, sha256.to_owned()))
    }

    /// [`Blobs::get_from`] of such an object; `from` is less than its size, or the stream ends with an error.
    pub async fn get_sealed_from(
        &self,
        key: &str,
        from: u64,
        data_key: &DataKey,
    ) -> Result<ByteStream> {
        check_key(key)?;
        let own = data_key.of_object(ending_of(key))?;
        let (number, begins, before) = sealed::place(from)?;
        let number = (number > 0).then_some(number);
        // From the first chunk on it is read whole, with what says its form.
        let begins = number.map_or(0, |_| begins);
        let bytes = self.0.get_from(key, begins).await?;
        Ok(skipping(sealed::opened(bytes, own, number, key.to_owned()), before))
    }

    /// Deletes the object under `key`, if there is one.
    pub async fn delete(&self, key: &str) -> Result<()> {
        check_key(key)?;
        self.0.delete(key).await
    }

    /// Every object, in no order.
    pub async fn list(&self) -> Result<BoxStream<'static, Result<Object>>> {
        self.0.list().await
    }

    /// How many bytes may still be put; `None` where there is no bound.
    pub async fn free_bytes(&self) -> Result<Option<u64>> {
        self.0.free_bytes().await
    }
}

/// An object as it is listed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Object {
    /// The path that it was put under, without the store's own prefix.
    pub key: String,
    /// When it was put, in milliseconds since the Unix epoch.
    pub put_ms: i64,
}

/// An object that is being written.
pub struct Staging {
    sink: Box<dyn ObjectWriter>,
    /// None: it is kept as it is.
    sealer: Option<Sealer>,
    ending: Option<String>,
    digest: Sha256,
    size: u64,
}

impl Staging {
    /// Appends `bytes`.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.digest.update(&bytes);
        self.size += bytes.len() as u64;
        let Some(sealer) = &mut self.sealer else { return self.sink.write(bytes).await };
        match sealer.write(&bytes)? {
            sealed if sealed.is_empty() => Ok(()),
            sealed => self.sink.write(sealed.into()).await,
        }
    }

    /// The whole object; still invisible, and not durable.
    pub async fn finish(self) -> Result<Staged> {
        let Staging { mut sink, sealer, ending, digest, size } = self;
        if let Some(sealer) = sealer {
            sink.write(sealer.finish()?.into()).await?;
        }
        let sha256 = hex(&digest.finalize());
        let ending = ending.unwrap_or_else(|| sha256.clone());
        Ok(Staged { sha256, size, ending, object: sink.finish().await? })
    }
}

/// An object that is written but not kept. Dropping it leaves nothing behind.
pub struct Staged {
    /// The digest of its bytes (hexadecimal).
    pub sha256: String,
    /// Its length in bytes.
    pub size: u64,
    /// What its key is to end in, behind a `-` (hexadecimal, of one length): the digest of what is kept as it is; of what is kept
    /// encrypted its salt, without which nobody opens it, and which says nothing of it.
    pub ending: String,
    object: Written,
}

/// An adapter's own handle to what it has written; dropping it removes that.
type Written = Box<dyn Any + Send + Sync>;

/// An adapter to one object store.
#[async_trait]
trait Backend: Send + Sync + 'static {
    async fn stage(&self) -> Result<Box<dyn ObjectWriter>>;
    async fn keep(&self, objects: Vec<(String, Written)>) -> Result<()>;
    async fn get(&self, key: &str) -> Result<ByteStream>;
    /// Reads over what is not asked for, where a store has no better way.
    async fn get_from(&self, key: &str, from: u64) -> Result<ByteStream> {
        Ok(skipping(self.get(key).await?, from))
    }
    async fn delete(&self, key: &str) -> Result<()>;
    async fn list(&self) -> Result<BoxStream<'static, Result<Object>>>;
    async fn free_bytes(&self) -> Result<Option<u64>>;
}

#[async_trait]
trait ObjectWriter: Send + Sync {
    async fn write(&mut self, bytes: Bytes) -> Result<()>;
    async fn finish(self: Box<Self>) -> Result<Written>;
}

/// Refuses a key that could leave the store when it becomes a path. Keys are medseg's own, but are checked here all the same.
fn check_key(key: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
    if key.split('/').all(part) {
        return Ok(());
    }
    Err(ErrorKind::Internal.error("an object's key has a character that keys may not have"))
}

/// A bucket, a prefix in it, and the endpoint to reach it by.
struct Bucket {
    name: String,
    /// Empty, or ending in `/`.
    prefix: String,
    endpoint: Option<String>,
}

impl Bucket {
    fn of(url: &Url) -> Result<Bucket> {
        let invalid = |why: &str| ErrorKind::Invalid.error(format!("bad blob URL: {why}"));
        let name = url.host_str().ok_or_else(|| invalid("it names no bucket"))?.to_owned();
        let prefix = url.path().trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let mut endpoint = None;
        for (key, value) in url.query_pairs() {
            match &*key {
                "endpoint" => {
                    Url::parse(&value).map_err(|_| invalid("its endpoint is no URL"))?;
                    endpoint = Some(value.trim_end_matches('/').to_owned());
                }
                other => return Err(invalid(&format!("`{other}` means nothing; `endpoint` does"))),
            }
        }
        Ok(Bucket { name, prefix, endpoint })
    }

    fn name_of(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

/// As many bytes as no two objects ever draw alike.
const SALT_BYTES: usize = 32;

/// What a key ends in.
fn ending_of(key: &str) -> &str {
    key.rsplit_once('-').map_or("", |(_, ending)| ending)
}

/// How many objects are uploaded at the same time.
const UPLOADS_AT_ONCE: usize = 8;
/// How long a store may take to begin its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// An upload that is slower than this has stopped.
const BYTES_PER_SECOND_MIN: u64 = 256 * 1024;

/// How long uploading that many bytes may take.
fn upload_timeout(bytes: u64) -> Duration {
    REQUEST_TIMEOUT + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN)
}

/// Runs `work` until the limit or the caller's deadline, whichever comes first.
async fn within_timeout<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let limit = deadline::left().map_or(limit, |left| left.min(limit));
    let slow = |_| ErrorKind::Unavailable.error("the object store does not answer");
    timeout(limit, work).await.map_err(slow)?
}

/// The bytes behind the first `from` of them.
fn skipping(bytes: ByteStream, from: u64) -> ByteStream {
    let mut left = from;
    let rest = bytes.map_ok(move |mut piece| {
        let over = left.min(piece.len() as u64);
        left -= over;
        piece.split_off(over as usize)
    });
    rest.try_filter(|piece| std::future::ready(!piece.is_empty())).boxed()
}

/// Passes `bytes` on, and an error last when they were not those of `sha256`.
fn verified(bytes: ByteStream, sha256: String) -> ByteStream {
    let state = (bytes, Sha256::new(), sha256);
    stream::try_unfold(state, async |(mut bytes, mut digest, sha256)| {
        let Some(piece) = bytes.try_next().await? else {
            return same(digest, &sha256).map(|()| None);
        };
        digest.update(&piece);
        Ok(Some((piece, (bytes, digest, sha256))))
    })
    .boxed()
}

fn same(digest: Sha256, sha256: &str) -> Result<()> {
    if hex(&digest.finalize()) == sha256 {
        return Ok(());
    }
    Err(ErrorKind::Internal.error("stored bytes are not what was stored: their digest differs"))
}

#[cfg(test)]
#[path = "blob_tests.rs"]
mod tests;
