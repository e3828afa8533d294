//! Shadows: versions that see what was served, after the answer is out, and are compared with it.

use domain::{Answer, Clock, Result};
use imaging::ModelInfo;
use metrics::counter;
use proto::registry::Comparison;
use proto::storage::Job;
use service::Worker;
use service::claims::authorised;
use tokio::sync::mpsc;

use crate::analysis::{Compared, analyse};
use crate::follow::Registry;
use crate::serving::Served;

/// Scans that wait for a shadow: they are in memory, so few.
const WAITING: usize = 2;
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
