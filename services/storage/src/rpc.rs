//! Translates RPCs into calls of the store; decides nothing but authorization.

mod erasures;
mod feedback;
mod handover;
mod incidents;
mod jobs;
mod learning;
mod limits;
mod scans;
mod series_rules;
mod stops;
mod trail;

pub use erasures::Erasures;
pub use feedback::Feedback;
pub use handover::Handover;
pub use incidents::Incidents;
pub use jobs::Jobs;
pub use learning::Learning;
pub use limits::Limits;
pub use scans::{IDENTITY_ROLES, Scans};
pub use series_rules::SeriesRules;
pub use stops::Stops;
pub use trail::AuditTrail;

use domain::Result;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use platform::blob::ByteStream;
use proto::storage::Chunk;
use service::status_in_stream;
use tonic::Status;

type Responses<T> = BoxStream<'static, Result<T, Status>>;

/// The bytes as chunks, the first of which has the total size.
fn chunks((mut size_bytes, bytes): (u64, ByteStream)) -> Responses<Chunk> {
    let chunk = move |data| Chunk { data, size_bytes: std::mem::take(&mut size_bytes) };
    bytes.map_ok(chunk).map_err(status_in_stream).boxed()
}
