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
use tonic::Status;

type Answers<T> = BoxStream<'static, Result<T, Status>>;

fn chunks(bytes: ByteStream) -> Answers<Chunk> {
    bytes.map_ok(|data| Chunk { data }).map_err(Status::from).boxed()
}
