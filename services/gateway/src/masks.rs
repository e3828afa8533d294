use domain::{ErrorKind, Result, TenantId};
use service::Turns;

/// A mask of ours beyond this is none: packed, even the largest volume's takes far less.
pub const BYTES_MAX: u64 = 64 << 20;
/// So many at a time hold masks in memory whole: packed they are small, and unpacked they have a byte for each voxel.
const AT_ONCE: usize = 2;
/// One more, for a hospital that has none.
const BEYOND: usize = 1;

/// Hospitals' turns at unpacking masks.
#[derive(Clone)]
pub struct Masks(Turns<TenantId>);

impl Default for Masks {
    fn default() -> Masks {
        Masks(Turns::of(AT_ONCE).with_beyond(BEYOND))
    }
}

impl Masks {
    /// Runs what unpacks masks, or makes one, when it is that hospital's turn.
    pub async fn calculate<T: Send + 'static>(
        &self,
        whose: TenantId,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.0.take(whose).await;
        let done = tokio::task::spawn_blocking(move || {
            // Until it is done, also where nobody waits for it any more.
            let _turn = turn;
            work()
        });
        let panicked = |error| ErrorKind::Internal.error("masks panicked").because(error);
        done.await.map_err(panicked)?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test]
    async fn few_masks_are_in_memory_at_once_and_nobody_waits_for_another_hospitals() {
        let hospital = |name: &str| name.parse::<TenantId>().unwrap();
        let one = hospital("01890a5d-ac96-774b-bcce-b302099a8057");
        let other = hospital("01890a5d-ac96-774b-bcce-b302099a8058");
        let masks = Masks::default();
        let (running, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let ask = |_| {
            let (masks, running, enough) = (masks.clone(), running.clone(), enough.clone());
            let work = move || {
                running.fetch_add(1, Ordering::SeqCst);
                while !enough.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            };
            tokio::spawn(async move { masks.calculate(one, work).await })
        };
        let flood: Vec<_> = (0..8).map(ask).collect();
        while running.load(Ordering::SeqCst) < AT_ONCE {
            sleep(Duration::from_millis(1)).await;
        }
        let others = timeout(Duration::from_secs(20), masks.calculate(other, || Ok(7))).await;
        let at_once = running.load(Ordering::SeqCst);
        // Before anything can fail: threads that wait would keep the test from ending.
        enough.store(true, Ordering::SeqCst);
        assert_eq!((others.unwrap().unwrap(), at_once), (7, AT_ONCE));
        for asked in flood {
            asked.await.unwrap().unwrap();
        }
        assert_eq!(running.load(Ordering::SeqCst), 8);
    }
}
