//! The processors' time that scans take beside the model, shared out among hospitals.

use std::sync::Arc;

use domain::{ErrorKind, Priority, Result};
use service::Turns;

/// So many more calculate where a hospital does not yet: another's tall volume keeps a processor for seconds.
const BEYOND: usize = 2;

/// Whose work it is, and how urgent.
#[derive(Clone)]
pub struct Whose {
    /// The hospital's id.
    pub tenant: Arc<str>,
    /// None for what is of no scan, and so comes after all of them.
    pub priority: Option<Priority>,
}

/// Hospitals' turns at calculating, for each priority one for each processor. With more threads at once no scan would be done
/// sooner, and everybody's requests would wait for their share of the processors.
#[derive(Clone)]
pub struct Cores {
    stat: Turns<Arc<str>>,
    routine: Turns<Arc<str>>,
}

impl Cores {
    /// Those of this machine.
    pub fn of_machine() -> Cores {
        Cores::of(std::thread::available_parallelism().map_or(2, usize::from))
    }

    fn of(processors: usize) -> Cores {
        let turns = || Turns::of(processors).with_beyond(BEYOND);
        Cores { stat: turns(), routine: turns() }
    }

    /// Runs what keeps a core busy, when it is their turn.
    pub async fn calculate<T: Send + 'static>(
        &self,
        whose: &Whose,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turns = match whose.priority {
            Some(Priority::Stat) => &self.stat,
            Some(Priority::Routine) | None => &self.routine,
        };
        let turn = turns.take(whose.tenant.clone()).await;
        blocking(move || {
            // Until it is done, also where nobody waits for it any more.
            let _turn = turn;
            work()
        })
        .await
    }
}

/// Runs what keeps a core busy where it holds nobody up.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let panicked = |error| ErrorKind::Internal.error("what was calculated panicked").because(error);
    tokio::task::spawn_blocking(work).await.map_err(panicked)?
}

#[cfg(test)]
mod tests {
    use std::iter::from_fn;
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use futures::FutureExt;
    use imaging::phantom::{Phantom, Settings};
    use proto::storage::Job;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::analysis::analyse;
    use crate::engine;
    use crate::model::Model;
    use crate::serving::Served;

    fn whose(tenant: &str) -> Whose {
        Whose { tenant: tenant.into(), priority: Some(Priority::Routine) }
    }

    #[tokio::test]
    async fn a_hospitals_scans_keep_each_processor_busy_and_nobody_else_waiting() {
        let cores = Cores::of(2);
        let (running, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let scan = |_| {
            let (cores, running, enough) = (cores.clone(), running.clone(), enough.clone());
            let work = move || {
                running.fetch_add(1, Ordering::SeqCst);
                while !enough.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            };
            tokio::spawn(async move { cores.calculate(&whose("a"), work).await })
        };
        let flood: Vec<_> = (0..8).map(scan).collect();
        while running.load(Ordering::SeqCst) < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        let other = timeout(Duration::from_secs(20), cores.calculate(&whose("b"), || Ok(7))).await;
        let at_once = running.load(Ordering::SeqCst);
        // Before anything can fail: threads that wait would keep the test from ending.
        enough.store(true, Ordering::SeqCst);
        assert_eq!((other.unwrap().unwrap(), at_once), (7, 2));
        for scan in flood {
            scan.await.unwrap().unwrap();
        }
        assert_eq!(running.load(Ordering::SeqCst), 8);
    }

    #[tokio::test]
    async fn a_scan_is_analysed_in_its_hospitals_turn() {
        let open = || engine::open("threshold:", "cpu", true);
        let (model, _ended) = Model::start(open, 1).await.unwrap();
        let (served, clock) = (Served::by(model), service::system_clock());
        let volume = Phantom::new(&Settings::slice(7)).unwrap().volume.to_bytes();
        let job = Job { tenant_id: "a".into(), ..Job::default() };
        let turns = &served.model.cores().routine;
        let all: Vec<_> = from_fn(|| turns.take("a".into()).now_or_never()).collect();
        let mut analysis = pin!(analyse(&job, volume, &served, &clock));
        assert!(timeout(Duration::from_millis(50), &mut analysis).await.is_err());
        drop(all);
        analysis.await.unwrap();
    }
}
