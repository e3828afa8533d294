//! Google Cloud Storage: created if absent, compared by crc32c, resumed where cut.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, ErrorKind, Result};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use google_cloud_auth::credentials::anonymous;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::exponential_backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_gax::paginator::ItemPaginator;
use google_cloud_gax::retry_policy::RetryPolicyExt;
use google_cloud_storage::client::{Storage, StorageControl};
use google_cloud_storage::error::ReadError;
use google_cloud_storage::model::Object as Meta;
use google_cloud_storage::read_resume_policy::{ReadResumePolicyExt, Recommended};
use google_cloud_storage::retry_policy::RetryableErrors;
use google_cloud_storage::streaming_source::{Payload, Seek, StreamingSource};

use super::spool::{Bulk, Spool, blocking, not_ours};
use super::{
    Backend, Bucket, ByteStream, Object, PATIENCE, Sink, UPLOADS, Written, in_time, patience_for,
};

/// Larger ones are sent so that they go on where a connection was cut.
const RESUMABLE_BYTES: usize = 8 * 1024 * 1024;
const ATTEMPTS: u32 = 4;

struct Gcs {
    bytes: Storage,
    control: StorageControl,
    bucket: Bucket,
    /// As Google names it: `projects/_/buckets/NAME`.
    resource: String,
}

pub(super) async fn connect(bucket: Bucket) -> Result<Arc<dyn Backend>> {
    let mut bytes = Storage::builder()
        .with_retry_policy(RetryableErrors.with_attempt_limit(ATTEMPTS))
        .with_backoff_policy(backoff())
        .with_read_resume_policy(Recommended.with_attempt_limit(ATTEMPTS))
        .with_resumable_upload_threshold(RESUMABLE_BYTES);
    let mut control = StorageControl::builder()
        .with_retry_policy(RetryableErrors.with_attempt_limit(ATTEMPTS))
        .with_backoff_policy(backoff());
    if let Some(endpoint) = &bucket.endpoint {
        let anybody = || anonymous::Builder::new().build();
        bytes = bytes.with_endpoint(endpoint).with_credentials(anybody());
        control = control.with_endpoint(endpoint).with_credentials(anybody());
    }
    let unknown = |error| {
        let message =
            "no Google credentials: use workload identity, or GOOGLE_APPLICATION_CREDENTIALS";
        ErrorKind::Invalid.error(message).because(error)
    };
    let resource = format!("projects/_/buckets/{}", bucket.name);
    let gcs = Gcs {
        bytes: bytes.build().await.map_err(unknown)?,
        control: control.build().await.map_err(unknown)?,
        bucket,
        resource,
    };
    gcs.look().await?;
    Ok(Arc::new(gcs))
}

#[async_trait]
impl Backend for Gcs {
    async fn stage(&self) -> Result<Box<dyn Sink>> {
        let spool = Spool::new(std::env::temp_dir());
        Ok(Box::new(Upload { spool, crc32c: 0, size: 0 }))
    }

    async fn keep(&self, objects: Vec<(String, Written)>) -> Result<()> {
        let uploads = objects.into_iter().map(|(key, written)| self.put(key, written).boxed());
        stream::iter(uploads.collect::<Vec<_>>()).buffer_unordered(UPLOADS).try_collect().await
    }

    async fn get(&self, key: &str) -> Result<ByteStream> {
        let request = self.bytes.read_object(&self.resource, self.bucket.name_of(key));
        let answer = in_time(PATIENCE, async { request.send().await.map_err(failed) }).await?;
        let pieces = stream::try_unfold(answer, async |mut answer| {
            let piece = async { answer.next().await.transpose().map_err(failed) };
            Ok(in_time(PATIENCE, piece).await?.map(|piece| (piece, answer)))
        });
        Ok(pieces.boxed())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let request = self.control.delete_object().set_bucket(&self.resource);
        let request = request.set_object(self.bucket.name_of(key)).with_idempotency(true);
        match request.with_attempt_timeout(PATIENCE).send().await.map_err(failed) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn list(&self) -> Result<BoxStream<'static, Result<Object>>> {
        let request = self.control.list_objects().set_parent(&self.resource);
        let request = request.set_prefix(&self.bucket.prefix).with_attempt_timeout(PATIENCE);
        let prefix = self.bucket.prefix.clone();
        let listed = stream::unfold(request.by_item(), async |mut items| {
            let meta = items.next().await?;
            Some((meta, items))
        });
        let listed = listed.map(move |meta| {
            let meta = meta.map_err(failed)?;
            let key = meta.name.strip_prefix(&prefix).unwrap_or(&meta.name).to_owned();
            let created = meta.create_time.unwrap_or_default();
            let put_ms = created.seconds() * 1000 + i64::from(created.nanos() / 1_000_000);
            Ok(Object { key, put_ms })
        });
        Ok(listed.boxed())
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

impl Gcs {
    /// Whether the bucket is there and may be used: said at the start, not at the first scan.
    async fn look(&self) -> Result<()> {
        let request = self.control.list_objects().set_parent(&self.resource);
        let request = request.set_prefix(&self.bucket.prefix).set_page_size(1);
        let looked = request.with_attempt_timeout(PATIENCE).send().await;
        looked.map(drop).map_err(|error| {
            let bucket = &self.bucket.name;
            if is_refusal(&error) {
                let message = format!("the bucket {bucket} may not be listed: give objectUser");
                return ErrorKind::Invalid.error(message).because(error);
            }
            let error = failed(error);
            match error.kind() {
                ErrorKind::NotFound => {
                    ErrorKind::Invalid.error(format!("there is no bucket {bucket}")).because(error)
                }
                _ => error,
            }
        })
    }

    async fn put(&self, key: String, written: Written) -> Result<()> {
        let upload = written.downcast::<Upload>().map_err(|_| not_ours())?;
        let Upload { spool, crc32c, size } = *upload;
        let name = self.bucket.name_of(&key);
        match blocking(move || spool.into_bulk()).await? {
            Bulk::Small(bytes) => self.send(&name, Bytes::from(bytes), crc32c, size).await,
            Bulk::Large(mut file) => {
                let file = blocking(move || file.seek(SeekFrom::Start(0)).map(|_| file)).await?;
                self.send(&name, tokio::fs::File::from_std(file), crc32c, size).await
            }
        }
    }

    /// Creates the object if it is absent, which makes sending it again harmless: an earlier attempt whose answer was
    /// lost is told from a stranger by its checksum.
    async fn send<T, P>(&self, name: &str, bytes: T, crc32c: u32, size: u64) -> Result<()>
    where
        T: Into<Payload<P>>,
        P: StreamingSource + Seek + Send + Sync + 'static,
        <P as StreamingSource>::Error: std::error::Error + Send + Sync + 'static,
        <P as Seek>::Error: std::error::Error + Send + Sync + 'static,
    {
        let request = self
            .bytes
            .write_object(&self.resource, name, bytes)
            .set_if_generation_match(0)
            .with_known_crc32c(crc32c);
        let sent =
            in_time(patience_for(size), async { Ok(request.send_unbuffered().await) }).await?;
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error.http_status_code() == Some(412) => {
                let meta = self.meta(name).await?;
                let there = meta.checksums.and_then(|checksums| checksums.crc32c);
                if there == Some(crc32c) && u64::try_from(meta.size) == Ok(size) {
                    return Ok(());
                }
                Err(ErrorKind::Internal.error("another object is there under the same key"))
            }
            Err(error) => Err(failed(error)),
        }
    }

    async fn meta(&self, name: &str) -> Result<Meta> {
        let request = self.control.get_object().set_bucket(&self.resource).set_object(name);
        request.with_attempt_timeout(PATIENCE).send().await.map_err(failed)
    }
}

/// An object on its way, with the checksum that the store is to compare.
struct Upload {
    spool: Spool<File>,
    crc32c: u32,
    size: u64,
}

#[async_trait]
impl Sink for Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.crc32c = crc32c::crc32c_append(self.crc32c, &bytes);
        self.size += bytes.len() as u64;
        self.spool.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<Written> {
        self.spool.sound()?;
        Ok(self)
    }
}

fn backoff() -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_delay(Duration::from_millis(100))
        .with_maximum_delay(Duration::from_secs(2))
        .clamp()
}

fn is_refusal(error: &google_cloud_storage::Error) -> bool {
    let code = error.status().map(|status| status.code);
    matches!(error.http_status_code(), Some(401 | 403))
        || matches!(code, Some(Code::PermissionDenied | Code::Unauthenticated))
}

/// Whether what was read is not what the store has a checksum of: asking again does not help.
fn has_rotted(error: &google_cloud_storage::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(ReadError::ChecksumMismatch(_)))
}

/// It is medseg that the store refuses, not its caller: to whom it is a store that does not answer.
fn failed(error: google_cloud_storage::Error) -> Error {
    let code = error.status().map(|status| status.code);
    let (kind, message) = match (error.http_status_code(), code) {
        (Some(404), _) | (_, Some(Code::NotFound)) => (ErrorKind::NotFound, "no such object"),
        _ if is_refusal(&error) => {
            (ErrorKind::Unavailable, "the object store refuses our credentials")
        }
        _ if has_rotted(&error) => (ErrorKind::Internal, "stored bytes are not what was stored"),
        _ => (ErrorKind::Unavailable, "the object store does not answer"),
    };
    kind.error(message).because(error)
}
