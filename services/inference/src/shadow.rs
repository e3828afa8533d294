//! Shadows: versions that see what was served, after the answer is out, and are compared with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::{Answer, Clock, Result};
use imaging::{ModelInfo, Prepared, TilePrediction};
use metrics::counter;
use proto::registry::Comparison;
use proto::storage::Job;
use service::Worker;
use service::claims::authorised;
use tokio::sync::mpsc;

use crate::analysis::{Compared, analyse};
use crate::engine::Engine;
use crate::follow::Registry;
use crate::serving::Served;

/// Scans that wait for a shadow: they are in memory, so few.
const WAITING: usize = 2;
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

/// A scan that was answered, for a shadow to look at.
pub struct Seen {
    pub job: Job,
    pub volume: Vec<u8>,
    /// What served, and what it said.
    pub serving: ModelInfo,
    pub answer: Answer,
    pub said: Compared,
    pub shadow: Served,
}

/// Where answered scans go; those for which there is no room are left out, and counted.
#[derive(Clone)]
pub struct Shadows(mpsc::Sender<Seen>);

impl Shadows {
    /// The way in, and the worker that compares.
    pub fn new(registry: Registry, clock: Clock) -> (Shadows, Worker) {
        let (sender, mut seen) = mpsc::channel(WAITING);
        let worker = Worker::new("shadow", move |stop| async move {
            while let Some(Some(scan)) = stop.run_until_cancelled(seen.recv()).await {
                let compared = compare(&registry, &clock, scan);
                let Some(compared) = stop.run_until_cancelled(compared).await else { break };
                if let Err(error) = compared {
                    count("failed");
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "a shadow could not be compared");
                }
            }
            Ok(())
        });
        (Shadows(sender), worker)
    }

    pub fn show(&self, scan: Seen) {
        if self.0.try_send(scan).is_err() {
            count("skipped");
        }
    }
}

fn count(outcome: &'static str) {
    counter!("medseg_shadow_scans_total", "outcome" => outcome).increment(1);
}

async fn compare(registry: &Registry, clock: &Clock, scan: Seen) -> Result<()> {
    let Seen { job, volume, serving, answer, said, shadow } = scan;
    let analysis = analyse(&job, volume, &shadow, clock).await?;
    let facts = &shadow.model.model_info().facts;
    let comparison = Comparison {
        name: facts.name.clone(),
        version: facts.version.clone(),
        serving_name: serving.facts.name,
        serving_version: serving.facts.version,
        tenant_id: job.tenant_id,
        scan_id: job.scan_id,
        answer: analysis.answer.name().to_owned(),
        serving_answer: answer.name().to_owned(),
        dice: said.dice(&analysis.compared),
        volume_ml: analysis.compared.volume_ml,
        serving_volume_ml: said.volume_ml,
        at_ms: 0,
    };
    let (mut routing, token) = registry.routing().await?;
    routing.record_comparison(authorised(comparison, &token)).await?;
    count("compared");
    Ok(())
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
