use std::pin::pin;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};

use crate::problem::Problem;

/// Where the bytes of an upload go.
pub trait UploadSink {
    /// A file begins; its name is a hint for messages, and for what belongs together.
    async fn begin(&mut self, file_name: &str);
    /// Its next bytes.
    async fn bytes(&mut self, bytes: Bytes);
    /// Whether the field of that name, which is no file, is wanted: others are passed over.
    fn wants(&self, _field: &str) -> bool {
        false
    }
    /// What the wanted field says.
    fn field(&mut self, _text: &[u8]) -> Result<(), Problem> {
        Ok(())
    }
}

/// Copies all bytes of what has begun.
pub async fn copy_all(
    bytes: impl Stream<Item = Result<Bytes, Problem>>,
    sink: &mut impl UploadSink,
) -> Result<(), Problem> {
    let mut bytes = pin!(bytes);
    while let Some(part) = bytes.try_next().await? {
        sink.bytes(part).await;
    }
    Ok(())
}
