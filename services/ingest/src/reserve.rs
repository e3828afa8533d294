use std::io;
use std::path::Path;
use std::sync::Arc;

use domain::{ErrorKind, Result};
use platform::disk;

/// The room that uploads leave to everything else on the spool's disk; cheap to clone.
#[derive(Clone)]
pub struct Reserve {
    free_bytes: Arc<FreeBytes>,
    bytes: u64,
}

type FreeBytes = dyn Fn() -> io::Result<u64> + Send + Sync;

impl Reserve {
    /// So much of the disk that `folder` lies on.
    pub fn of_disk(folder: &Path, mib: u64) -> Reserve {
        let folder = folder.to_owned();
        Reserve::new(move || disk::free_bytes(&folder), mib.saturating_mul(1024 * 1024))
    }

    /// `bytes` of a disk of which `free_bytes` are free.
    pub fn new(
        free_bytes: impl Fn() -> io::Result<u64> + Send + Sync + 'static,
        bytes: u64,
    ) -> Reserve {
        Reserve { free_bytes: Arc::new(free_bytes), bytes }
    }

    /// Refuses where less than the reserve would be free once `more` bytes are written.
    pub fn require_room(&self, more: u64) -> Result<()> {
        let free = (self.free_bytes)().map_err(|error| {
            let words = "cannot tell how much room the spool's disk has";
            ErrorKind::Unavailable.error(words).because(error)
        })?;
        if free < self.bytes.saturating_add(more) { Err(disk::full()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_may_use_all_room_but_the_reserve() {
        let reserve = Reserve::new(|| Ok(10), 6);
        assert!(reserve.require_room(4).is_ok());
        assert!(reserve.require_room(5).is_err());
        assert!(reserve.require_room(u64::MAX).is_err());
    }
}
