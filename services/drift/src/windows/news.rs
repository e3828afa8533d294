//! What whoever listens is told: `drift.detected` and `drift.cleared`, through an outbox of drift's own.

use domain::Result;
use platform::db::{self, Run, Unit};
use platform::queue::{Event, Queue, Topic};
use proto::events::{DriftCleared, DriftDetected, DriftGroup, DriftedFeature};
use service::topics::{self, DRIFT_CLEARED, DRIFT_DETECTED};
use service::{CloudEvent, Origin};

use super::alarm::Change;
use super::{Group, Window};
use crate::report::Verdict;
use crate::store::Store;

const SOURCE: &str = "/medseg/drift";
const EVENTS_PER_ROUND: i64 = 256;

/// An event that is to be told.
#[derive(Debug)]
pub struct Told {
    id: String,
    event: Event<'static>,
    body: String,
}

impl Told {
    /// What has changed with that window. A window changes one thing at most, so its id is the event's.
    pub fn new(window: &Window, change: Change) -> Result<Told> {
        let (event, body) = match change {
            Change::Detected => (DRIFT_DETECTED, detected(window)?),
            Change::Cleared => (DRIFT_CLEARED, cleared(window)?),
        };
        Ok(Told { id: window.id.clone(), event, body })
    }

    /// Keeps it until the queue has confirmed it.
    pub async fn keep(self, unit: &mut Unit) -> Result<()> {
        sqlx::query("INSERT INTO outbox (id, topic, body) VALUES (?, ?, ?)")
            .bind(self.id)
            .bind(self.event.0)
            .bind(self.body)
            .run(unit)
            .await
            .map(drop)
    }
}

/// Tells what is kept, in the order in which it came, and forgets it when the queue has confirmed it.
pub async fn tell(store: &Store, queue: &Queue) -> Result<()> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT id, topic, body FROM outbox ORDER BY id LIMIT ?")
            .bind(EVENTS_PER_ROUND)
            .fetch_all(store.database.pool())
            .await
            .map_err(db::failed)?;
    for (id, topic, body) in rows {
        // A topic that only a later version knows is left to that version.
        let Some(Topic::Event(event)) = topics::named(&topic) else { continue };
        queue.emit(event, body.as_bytes()).await?;
        sqlx::query("DELETE FROM outbox WHERE id = ?")
            .bind(id)
            .execute(store.database.pool())
            .await
            .map_err(db::failed)?;
    }
    Ok(())
}

fn detected(window: &Window) -> Result<String> {
    let drifted = window.seen.features.iter().filter(|one| one.verdict == Verdict::Drift);
    let features = drifted.map(|one| DriftedFeature {
        name: one.name.clone(),
        psi: one.psi.unwrap_or_default(),
        p_value: one.p_value().unwrap_or_default(),
        mmd2: one.mmd2,
    });
    let data = DriftDetected {
        tenant_id: window.group.tenant.to_string(),
        window_id: window.id.clone(),
        group: Some(group(window)),
        from_ms: window.from_ms,
        to_ms: window.to_ms,
        scans: window.scans as u64,
        features: features.collect(),
    };
    CloudEvent::new(DRIFT_DETECTED, origin(window), data)?.to_json()
}

fn cleared(window: &Window) -> Result<String> {
    let data = DriftCleared {
        tenant_id: window.group.tenant.to_string(),
        window_id: window.id.clone(),
        group: Some(group(window)),
        from_ms: window.from_ms,
        to_ms: window.to_ms,
        scans: window.scans as u64,
    };
    CloudEvent::new(DRIFT_CLEARED, origin(window), data)?.to_json()
}

fn group(window: &Window) -> DriftGroup {
    let Group { image_kind, scanner, site, .. } = window.group.clone();
    DriftGroup { model: Some(window.seen.model.clone()), image_kind, scanner, site }
}

fn origin(window: &Window) -> Origin<'static> {
    Origin {
        source: SOURCE,
        id: window.id.clone(),
        subject: window.id.clone(),
        at_ms: window.created_ms,
        traceparent: "",
    }
}

#[cfg(test)]
#[path = "news_tests.rs"]
mod tests;
