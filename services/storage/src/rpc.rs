//! Translates between the wire and the store; decides nothing but who may ask.

mod jobs;
mod scans;

pub use jobs::Jobs;
pub use scans::Scans;

use domain::Result;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use platform::blob::ByteStream;
use proto::storage::Chunk;
use service::status_in_stream;
use tonic::Status;

type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// The bytes in pieces, the first of which says how many there are.
fn chunks((mut size_bytes, bytes): (u64, ByteStream)) -> Answers<Chunk> {
    let chunk = move |data| Chunk { data, size_bytes: std::mem::take(&mut size_bytes) };
    bytes.map_ok(chunk).map_err(status_in_stream).boxed()
}
