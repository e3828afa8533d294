use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use domain::{ErrorKind, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Settings;
use super::augment::Example;
use super::pool::Pool;

/// Shares of a batch that each thread keeps ready.
const AHEAD: usize = 4;

/// Draws examples ahead, on threads of its own, so that the device never waits for them.
///
/// Each share of a batch has a random stream of its own: what is drawn depends on the seed and on nothing else.
pub struct Loader {
    /// Share `i` comes from thread `i % threads`.
    threads: Vec<Receiver<Vec<Example>>>,
}

impl Loader {
    /// Draws the shares from `first` to before `last`, in order; share `i` is of step `i / replicas`.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        settings: &'scope Settings,
        pool: &'scope Pool,
        [first, last]: [u64; 2],
        threads: u64,
    ) -> Loader {
        let start = |thread: u64| {
            let (sender, receiver) = sync_channel(AHEAD);
            // The first share of this thread's from `first` on.
            let begin = first + (thread + threads - first % threads) % threads;
            scope.spawn(move || {
                for share in (begin..last).step_by(threads as usize) {
                    // Nobody listens any more: training has stopped.
                    if sender.send(draw(settings, pool, share)).is_err() {
                        return;
                    }
                }
            });
            receiver
        };
        Loader { threads: (0..threads).map(start).collect() }
    }

    /// The share `i`; each is there once, in rising order.
    pub fn take(&self, share: u64) -> Result<Vec<Example>> {
        let thread = &self.threads[share as usize % self.threads.len()];
        let ended = |_| ErrorKind::Internal.error("the thread that draws examples has ended");
        thread.recv().map_err(ended)
    }
}

fn draw(settings: &Settings, pool: &Pool, share: u64) -> Vec<Example> {
    let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
    random.set_stream(share);
    let step = share / settings.replicas as u64;
    let (side, strength) = (settings.side_of(step / settings.steps), settings.strength_of(step));
    let count = settings.batch / settings.replicas;
    (0..count).map(|_| pool.draw(side, strength, &mut random)).collect()
}
