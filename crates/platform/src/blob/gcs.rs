//! Google Cloud Storage: objects are created if absent, compared by crc32c, and interrupted transfers resume.

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

use super::spool::{Bulk, ObjectSpool, blocking, foreign_object};
use super::{
    Backend, Bucket, ByteStream, Object, ObjectWriter, REQUEST_TIMEOUT, UPLOADS_AT_ONCE, Written,
    upload_timeout, within_timeout,
};

/// Larger ones are sent so that they go on where a connection was cut.
const RESUMABLE_BYTES: usize = 8 * 1024 * 1024;
const ATTEMPTS_MAX: u32 = 4;

struct Gcs {
    bytes: Storage,
    control: StorageControl,
    bucket: Bucket,
    /// As Google names it: `projects/_/buckets/NAME`.
    resource: String,
}

pub(super) async fn connect(bucket: Bucket) -> Result<Arc<dyn Backend>> {
    let mut bytes = Storage::builder()
        .with_retry_policy(RetryableErrors.with_attempt_limit(ATTEMPTS_MAX))
        .with_backoff_policy(backoff())
        .with_read_resume_policy(Recommended.with_attempt_limit(ATTEMPTS_MAX))
        .with_resumable_upload_threshold(RESUMABLE_BYTES);
    let mut control = StorageControl::builder()
        .with_retry_policy(RetryableErrors.with_attempt_limit(ATTEMPTS_MAX))
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
    gcs.check_access().await?;
    Ok(Arc::new(gcs))
}

#[async_trait]
impl Backend for Gcs {
    async fn stage(&self) -> Result<Box<dyn ObjectWriter>> {
        let spool = ObjectSpool::new(std::env::temp_dir());
        Ok(Box::new(SpooledObject { spool, crc32c: 0, size: 0 }))
    }

    async fn keep(&self, objects: Vec<(String, Written)>) -> Result<()> {
        let uploads = objects.into_iter().map(|(key, written)| self.put(key, written).boxed());
        stream::iter(uploads.collect::<Vec<_>>())
            .buffer_unordered(UPLOADS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn get(&self, key: &str) -> Result<ByteStream> {
        let request = self.bytes.read_object(&self.resource, self.bucket.name_of(key));
        let answer =
            within_timeout(REQUEST_TIMEOUT, async { request.send().await.map_err(gcs_error) })
                .await?;
        let pieces = stream::try_unfold(answer, async |mut answer| {
            let piece = async { answer.next().await.transpose().map_err(gcs_error) };
            Ok(within_timeout(REQUEST_TIMEOUT, piece).await?.map(|piece| (piece, answer)))
        });
        Ok(pieces.boxed())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let request = self.control.delete_object().set_bucket(&self.resource);
        let request = request.set_object(self.bucket.name_of(key)).with_idempotency(true);
        match request.with_attempt_timeout(REQUEST_TIMEOUT).send().await.map_err(gcs_error) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn list(&self) -> Result<BoxStream<'static, Result<Object>>> {
        let request = self.control.list_objects().set_parent(&self.resource);
        let request = request.set_prefix(&self.bucket.prefix).with_attempt_timeout(REQUEST_TIMEOUT);
        let prefix = self.bucket.prefix.clone();
        let listed = stream::unfold(request.by_item(), async |mut items| {
            let meta = items.next().await?;
            Some((meta, items))
        });
        let listed = listed.map(move |meta| {
            let meta = meta.map_err(gcs_error)?;
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
    /// Lists the bucket, so that a missing one or a missing permission shows at the start and not at the first scan.
    async fn check_access(&self) -> Result<()> {
        let request = self.control.list_objects().set_parent(&self.resource);
        let request = request.set_prefix(&self.bucket.prefix).set_page_size(1);
        let listed = request.with_attempt_timeout(REQUEST_TIMEOUT).send().await;
        listed.map(drop).map_err(|error| {
            let bucket = &self.bucket.name;
            if is_access_denied(&error) {
                let message = format!("the bucket {bucket} may not be listed: give objectUser");
                return ErrorKind::Invalid.error(message).because(error);
            }
            let error = gcs_error(error);
            match error.kind() {
                ErrorKind::NotFound => {
                    ErrorKind::Invalid.error(format!("there is no bucket {bucket}")).because(error)
                }
                _ => error,
            }
        })
    }

    async fn put(&self, key: String, written: Written) -> Result<()> {
        let object = written.downcast::<SpooledObject>().map_err(|_| foreign_object())?;
        let SpooledObject { spool, crc32c, size } = *object;
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
            within_timeout(upload_timeout(size), async { Ok(request.send_unbuffered().await) })
                .await?;
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
            Err(error) => Err(gcs_error(error)),
        }
    }

    async fn meta(&self, name: &str) -> Result<Meta> {
        let request = self.control.get_object().set_bucket(&self.resource).set_object(name);
        request.with_attempt_timeout(REQUEST_TIMEOUT).send().await.map_err(gcs_error)
    }
}

/// An object to upload, with the checksum that the store is to compare.
struct SpooledObject {
    spool: ObjectSpool<File>,
    crc32c: u32,
    size: u64,
}

#[async_trait]
impl ObjectWriter for SpooledObject {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.crc32c = crc32c::crc32c_append(self.crc32c, &bytes);
        self.size += bytes.len() as u64;
        self.spool.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<Written> {
        self.spool.check_writes()?;
        Ok(self)
    }
}

fn backoff() -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_delay(Duration::from_millis(100))
        .with_maximum_delay(Duration::from_secs(2))
        .clamp()
}

fn is_access_denied(error: &google_cloud_storage::Error) -> bool {
    let code = error.status().map(|status| status.code);
    matches!(error.http_status_code(), Some(401 | 403))
        || matches!(code, Some(Code::PermissionDenied | Code::Unauthenticated))
}

/// Whether the bytes read do not match the store's checksum: another read does not help.
fn is_checksum_mismatch(error: &google_cloud_storage::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(ReadError::ChecksumMismatch(_)))
}

/// The error of the port. To medseg's caller, refused credentials are a store that does not answer.
fn gcs_error(error: google_cloud_storage::Error) -> Error {
    let code = error.status().map(|status| status.code);
    let (kind, message) = match (error.http_status_code(), code) {
        (Some(404), _) | (_, Some(Code::NotFound)) => (ErrorKind::NotFound, "no such object"),
        _ if is_access_denied(&error) => {
            (ErrorKind::Unavailable, "the object store refuses our credentials")
        }
        _ if is_checksum_mismatch(&error) => {
            (ErrorKind::Internal, "stored bytes are not what was stored")
        }
        _ => (ErrorKind::Unavailable, "the object store does not answer"),
    };
    kind.error(message).because(error)
}
