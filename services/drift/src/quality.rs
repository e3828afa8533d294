//! How good the answers are, by what readers say of them: live figures, beside the offline ones of `medseg evaluate`.

mod bound;
mod confirmed;
mod door;
mod ended;
mod figures;
mod gauges;
mod given;
mod groups;
mod message;
pub mod offline;
mod offline_gauges;
mod reasons;
mod reviewed;
mod store;
mod weights;

use domain::{ErrorKind, Result};
use proto::drift;
use service::claims::Tenant;

use crate::store::Store;
use figures::{Group, figures, remark_for_readers, remarks};
use groups::By;
use message::message;
use reasons::Counts;
use reviewed::{Word, reviewed};

pub use bound::Bound;
pub use confirmed::confirmed;
pub use door::Told as RefusalTold;
pub use gauges::{describe, watch};
pub use given::Given;

/// Scans that were completed from `from_ms` until before `to_ms`.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    pub from_ms: i64,
    pub to_ms: i64,
}

impl Period {
    fn contains(self, at_ms: i64) -> bool {
        (self.from_ms..self.to_ms).contains(&at_ms)
    }
}

/// The figures of the tenant's scans, in groups; of few scans none to a reader.
pub async fn quality(
    store: &Store,
    tenant: Tenant,
    by: drift::QualityBy,
    period: Period,
    bound: Bound,
    to_reader: bool,
) -> Result<drift::Quality> {
    let by = By::asked(by)?;
    let seen = store.seen(tenant, period).await?;
    let (words, words_cut) = store.words(tenant, period).await?;
    let (ended, ended_cut) = store.ended(tenant, period).await?;
    let refused = store.refused_uploads(tenant, period).await?;
    let compute = move || {
        let reviewed = of_period(words, period);
        (figures(by, &seen, &reviewed, &ended, bound), Counts::of(&reviewed, to_reader))
    };
    let (mut groups, reasons) = apart(compute).await?;
    let mut remarks = remarks(by, &groups, words_cut || ended_cut);
    groups = door::shared_out(by, groups, &refused);
    if to_reader {
        groups = groups.into_iter().map(Group::for_readers).collect();
        remarks.push(remark_for_readers());
    }
    Ok(message(groups, door::by_reason(&refused), reasons, period, remarks))
}

/// The reviewed scans of the period. When a scan of which drift knows no more was completed is not known before its words
/// are put together.
fn of_period(words: Vec<Word>, period: Period) -> Vec<reviewed::Reviewed> {
    let mut scans = reviewed(words);
    scans.retain(|scan| period.contains(scan.at_ms));
    scans
}

/// Computes apart from whoever answers requests: what thousands of scans come to takes a while.
pub async fn apart<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(compute)
        .await
        .map_err(|error| ErrorKind::Internal.error("figures were not computed").because(error))
}
