//! A hospital's share of a disk on which the objects of all lie.

use domain::{ErrorKind, Result, try_again_in};
use metrics::counter;

use super::limit::{Arriving, MAKE_ROOM, ROOM_PAUSE_S};
use crate::store::Store;

/// What a refusal for its sake is counted as, beside those of limits.
pub const SHARE: &str = "share";

/// What is known of the disk before something is put on it.
struct Disk {
    /// What may still be written, by anybody.
    free: u64,
    /// What is to stay free.
    reserve: u64,
    /// What objects take, of all hospitals together.
    stored: u64,
    /// Of what they may take, so much is one hospital's at most.
    percent: u8,
}

impl Disk {
    /// How many bytes one hospital's objects may be.
    fn share(&self) -> u64 {
        let usable = self.free.saturating_add(self.stored).saturating_sub(self.reserve);
        usable / 100 * u64::from(self.percent)
    }
}

impl Store {
    /// Refuses what is more than the hospital's share of a disk that has others' objects, too: of hospitals that are not closed. A bucket
    /// has no bound, and no shares.
    ///
    /// What is under way at the same moment is not looked at: it may pass the share by as much.
    pub async fn require_share(&self, arriving: &Arriving) -> Result<()> {
        let percent = self.rules.disk_share_percent;
        if percent >= 100 {
            return Ok(());
        }
        let Some(free) = self.blobs.free_bytes().await? else { return Ok(()) };
        let (stored, own) = self.stored_sums(arriving.tenant).await?;
        let unsigned = |bytes: i64| u64::try_from(bytes).unwrap_or_default();
        // Its bytes are staged on that disk by now.
        let (stored, own) = (
            unsigned(stored.saturating_add(arriving.stored)),
            unsigned(own.saturating_add(arriving.stored)),
        );
        let share = Disk { free, reserve: self.disk_reserve(), stored, percent }.share();
        if own <= share || !self.has_neighbour(arriving.tenant).await? {
            return Ok(());
        }
        counter!("medseg_limit_refusals_total", "limit" => SHARE).increment(1);
        tracing::info!(
            tenant.id = %arriving.tenant,
            stored_bytes = own,
            share_bytes = share,
            "a hospital's share of the disk is used up"
        );
        // How large the disk is, and what others have on it, is the operator's to know.
        Err(ErrorKind::Exhausted.error(format!(
            "the hospital's share of the disk leaves no room for it: {MAKE_ROOM}, and {}",
            try_again_in(ROOM_PAUSE_S)
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_what_objects_take_and_may_still_take() {
        let disk = |free, reserve, stored, percent| Disk { free, reserve, stored, percent }.share();
        assert_eq!(disk(700, 100, 400, 80), 800);
        // What others than objects take of the disk is nobody's share.
        assert_eq!(disk(100, 100, 400, 80), 320);
        assert_eq!(disk(0, 500, 400, 80), 0);
        assert_eq!(disk(u64::MAX, 0, u64::MAX, 100), u64::MAX / 100 * 100);
    }
}
