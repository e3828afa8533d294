//! What is in hand, and what gives way to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::Result;
use imaging::{ModelInfo, Prepared, TilePrediction};

use crate::engine::Engine;

/// How often a shadow looks whether nobody waits for an answer any more.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Jobs and calls in hand. While there is one, shadows stand still: nobody's answer waits for them.
#[derive(Clone, Default)]
pub struct InHand(Arc<AtomicUsize>);

/// One job in hand, until it is dropped.
pub struct OneInHand(InHand);

impl InHand {
    pub fn one(&self) -> OneInHand {
        self.0.fetch_add(1, Ordering::Relaxed);
        OneInHand(self.clone())
    }

    /// Returns once there is none, or once `waits` says no more.
    pub fn wait_for_none(&self, waits: impl Fn() -> bool) {
        while self.0.load(Ordering::Relaxed) > 0 && waits() {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for OneInHand {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An engine that works only while no job is in hand, a slice at a time.
pub struct Yielding {
    pub engine: Box<dyn Engine>,
    pub in_hand: InHand,
}

impl Engine for Yielding {
    fn model_info(&self) -> ModelInfo {
        self.engine.model_info()
    }

    fn channels(&self) -> usize {
        self.engine.channels()
    }

    fn predict(&mut self, tiles: &[Prepared], mirrored: bool) -> Result<Vec<TilePrediction>> {
        let mut all = Vec::with_capacity(tiles.len());
        for tile in tiles.chunks(1) {
            self.in_hand.wait_for_none(|| true);
            all.extend(self.engine.predict(tile, mirrored)?);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::engine;

    #[test]
    fn a_shadow_stands_still_while_a_job_is_in_hand() {
        let (in_hand, (done, finished)) = (InHand::default(), channel());
        let (first, second) = (in_hand.one(), in_hand.one());
        let mut engine =
            Yielding { engine: engine::open("threshold:", "cpu", true).unwrap(), in_hand };
        let tile = imaging::prepare(&[1.0; 1024], 32, 32, 16).unwrap();
        let shadow = std::thread::spawn(move || {
            let seen = engine.predict(&[tile.clone(), tile], false).unwrap();
            done.send(seen.len()).unwrap();
        });
        drop(first);
        assert!(finished.recv_timeout(Duration::from_millis(60)).is_err());
        drop(second);
        assert_eq!(finished.recv_timeout(Duration::from_secs(10)).unwrap(), 2);
        shadow.join().unwrap();
    }
}
