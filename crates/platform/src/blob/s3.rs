//! Amazon S3 and compatible stores: objects are created if absent, large ones in parts, with SHA-256 checksums.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, ErrorKind, Result};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
    WriteMultipart,
};

use super::spool::{Bulk, ObjectSpool, blocking, foreign_object};
use super::{
    Backend, Bucket, ByteStream, Object, ObjectWriter, REQUEST_TIMEOUT, UPLOADS_AT_ONCE, Written,
    upload_timeout, within_timeout,
};

const PART_BYTES: usize = 8 * 1024 * 1024;
const PARTS_AT_ONCE: usize = 2;
const RETRIES: usize = 3;

struct S3 {
    store: AmazonS3,
    bucket: Bucket,
}

pub(super) async fn connect(bucket: Bucket) -> Result<Arc<dyn Backend>> {
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: RETRIES,
        retry_timeout: REQUEST_TIMEOUT,
    };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&bucket.name)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_retry(retry);
    if let Some(endpoint) = &bucket.endpoint {
        let options = ClientOptions::new().with_allow_http(endpoint.starts_with("http://"));
        builder = builder.with_endpoint(endpoint).with_client_options(options);
    }
    let store = builder.build().map_err(|error| {
        ErrorKind::Invalid.error("the settings for S3 are not sound").because(error)
    })?;
    let s3 = S3 { store, bucket };
    s3.check_access().await?;
    Ok(Arc::new(s3))
}

#[async_trait]
impl Backend for S3 {
    async fn stage(&self) -> Result<Box<dyn ObjectWriter>> {
        Ok(Box::new(ObjectSpool::<File>::new(std::env::temp_dir())))
    }

    async fn keep(&self, objects: Vec<(String, Written)>) -> Result<()> {
        let uploads = objects.into_iter().map(|(key, written)| self.put(key, written).boxed());
        stream::iter(uploads.collect::<Vec<_>>())
            .buffer_unordered(UPLOADS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn get(&self, key: &str) -> Result<ByteStream> {
        let path = self.path(key)?;
        let answer = async { self.store.get(&path).await.map_err(s3_error) };
        let pieces =
            within_timeout(REQUEST_TIMEOUT, answer).await?.into_stream().map_err(s3_error).boxed();
        let pieces = stream::try_unfold(pieces, async |mut pieces| {
            let piece = within_timeout(REQUEST_TIMEOUT, pieces.try_next()).await?;
            Ok(piece.map(|piece| (piece, pieces)))
        });
        Ok(pieces.boxed())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        match within_timeout(REQUEST_TIMEOUT, async {
            self.store.delete(&path).await.map_err(s3_error)
        })
        .await
        {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn list(&self) -> Result<BoxStream<'static, Result<Object>>> {
        let prefix = self.bucket.prefix.clone();
        let listed = self.store.list(self.prefix().as_ref()).map(move |meta| {
            let meta = meta.map_err(s3_error)?;
            let name = meta.location.as_ref();
            let key = name.strip_prefix(&prefix).unwrap_or(name).to_owned();
            Ok(Object { key, put_ms: meta.last_modified.timestamp_millis() })
        });
        Ok(listed.boxed())
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

impl S3 {
    fn path(&self, key: &str) -> Result<Path> {
        Path::parse(self.bucket.name_of(key)).map_err(|error| {
            ErrorKind::Internal.error("an object's key has no path").because(error)
        })
    }

    fn prefix(&self) -> Option<Path> {
        Some(Path::from(self.bucket.prefix.as_str())).filter(|path| !path.as_ref().is_empty())
    }

    /// Lists the bucket, so that a missing one or a missing permission shows at the start and not at the first scan.
    async fn check_access(&self) -> Result<()> {
        let prefix = self.prefix();
        let mut listed = self.store.list(prefix.as_ref());
        let first = within_timeout(REQUEST_TIMEOUT, async { Ok(listed.try_next().await) }).await?;
        first.map(drop).map_err(|error| {
            if is_access_denied(&error) || is_no_bucket(&error) {
                let message = format!("there is no bucket {} that we may use", self.bucket.name);
                return ErrorKind::Invalid.error(message).because(error);
            }
            s3_error(error)
        })
    }

    async fn put(&self, key: String, written: Written) -> Result<()> {
        let spool = written.downcast::<ObjectSpool<File>>().map_err(|_| foreign_object())?;
        let path = self.path(&key)?;
        match blocking(move || spool.into_bulk()).await? {
            Bulk::Small(bytes) => self.put_at_once(&path, bytes.into()).await,
            Bulk::Large(file) => self.put_in_parts(&path, file).await,
        }
    }

    /// An object that is there already was put by an earlier attempt: its key is made of its bytes' digest.
    async fn put_at_once(&self, path: &Path, bytes: PutPayload) -> Result<()> {
        let limit = upload_timeout(bytes.content_length() as u64);
        let put = self.store.put_opts(path, bytes, PutMode::Create.into());
        match within_timeout(limit, async { Ok(put.await) }).await? {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(s3_error(error)),
        }
    }

    /// Nothing is seen of it before all parts are there.
    async fn put_in_parts(&self, path: &Path, mut file: File) -> Result<()> {
        let (size, file) = blocking(move || {
            let size = file.stream_position()?;
            file.seek(SeekFrom::Start(0))?;
            Ok((size, file))
        })
        .await?;
        let parts = async {
            let upload = self.store.put_multipart(path).await.map_err(s3_error)?;
            let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
            match parts_of(file, &mut upload).await {
                Ok(()) => upload.finish().await.map(drop).map_err(s3_error),
                Err(error) => {
                    // Best effort: what is left of it costs the bucket's owner, until his rule for unfinished uploads.
                    let _ = upload.abort().await;
                    Err(error)
                }
            }
        };
        within_timeout(upload_timeout(size), parts).await
    }
}

async fn parts_of(mut file: File, upload: &mut WriteMultipart) -> Result<()> {
    loop {
        let part;
        (file, part) = blocking(move || {
            let mut part = Vec::with_capacity(PART_BYTES);
            Read::by_ref(&mut file).take(PART_BYTES as u64).read_to_end(&mut part)?;
            Ok((file, part))
        })
        .await?;
        if part.is_empty() {
            return Ok(());
        }
        upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(s3_error)?;
        upload.put(Bytes::from(part));
    }
}

fn is_access_denied(error: &object_store::Error) -> bool {
    use object_store::Error as E;
    matches!(error, E::PermissionDenied { .. } | E::Unauthenticated { .. })
}

/// The client has no name of its own for it.
fn is_no_bucket(error: &object_store::Error) -> bool {
    error.to_string().contains("NoSuchBucket")
}

/// The error of the port. To medseg's caller, refused credentials are a store that does not answer.
fn s3_error(error: object_store::Error) -> Error {
    use object_store::Error as E;
    let (kind, message) = match &error {
        E::NotFound { .. } => (ErrorKind::NotFound, "no such object"),
        error if is_access_denied(error) => {
            (ErrorKind::Unavailable, "the object store refuses our credentials")
        }
        _ => (ErrorKind::Unavailable, "the object store does not answer"),
    };
    kind.error(message).because(error)
}
