//! How far deliveries are, as metrics: of all hospitals together, for whoever runs the mesh. And what has waited too long is given up.

use std::time::Duration;

use domain::Result;
use metrics::Unit::{Count, Seconds};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use platform::db::failed;
use service::Worker;
use strum::VariantArray;

use crate::Store;
use crate::format::Kind;

const INTERVAL: Duration = Duration::from_secs(15);

/// How often an attempt ends how: from the start, so that an alarm has something to compare with.
const OUTCOMES: [&str; 8] =
    ["delivered", "later", "objected", "away", "held", "refused", "absent", "unmade"];

/// Shows the gauges, and gives up what is overdue, again and again.
pub fn watch(store: Store) -> Worker {
    Worker::new("deliveries", move |stop| async move {
        let mut first = true;
        while !stop.is_cancelled() {
            if let Err(error) = round(&store, std::mem::take(&mut first)).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not look after deliveries"
                );
            }
            stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await;
        }
        Ok(())
    })
}

/// What became overdue while delivery was away is tried before it is given up.
async fn round(store: &Store, first: bool) -> Result<()> {
    if !first {
        store.give_up().await?;
        store.noted.notify_one();
    }
    let counts: Vec<(String, i64)> = sqlx::query_as(
        "SELECT state, COUNT(*) FROM deliveries WHERE state <> 'delivered' GROUP BY state",
    )
    .fetch_all(store.database.pool())
    .await
    .map_err(failed)?;
    for state in ["waiting", "failed"] {
        let count = counts.iter().find(|(of, _)| of == state).map_or(0, |(_, count)| *count);
        gauge!("medseg_deliveries", "state" => state).set(count as f64);
    }
    let oldest: Option<i64> =
        // What waits of a hospital that is stopped is not tried.
        sqlx::query_scalar(
            "SELECT MIN(since_ms) FROM deliveries d WHERE state = 'waiting'
                 AND NOT EXISTS (SELECT 1 FROM stopped s WHERE s.tenant_id = d.tenant_id)",
        )
        .fetch_one(store.database.pool())
        .await
        .map_err(failed)?;
    let age_ms = oldest.map_or(0, |since_ms| (store.clock.now_ms() - since_ms).max(0));
    gauge!("medseg_delivery_age_seconds").set(age_ms as f64 / 1000.0);
    let paused: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM destinations WHERE failures > 0")
        .fetch_one(store.database.pool())
        .await
        .map_err(failed)?;
    gauge!("medseg_delivery_destinations_paused").set(paused as f64);
    Ok(())
}

pub fn describe() {
    describe_gauge!(
        "medseg_deliveries",
        Count,
        "Deliveries that wait, or have failed and were not sent again"
    );
    describe_gauge!(
        "medseg_delivery_age_seconds",
        Seconds,
        "How long the oldest delivery that waits has been tried"
    );
    describe_gauge!(
        "medseg_delivery_destinations_paused",
        Count,
        "Destinations whose last attempt has failed"
    );
    describe_counter!(
        "medseg_delivery_attempts_total",
        Count,
        "Attempts to deliver, by kind of destination and by what became of them"
    );
    describe_histogram!(
        "medseg_delivery_seconds",
        Seconds,
        "How long an attempt took, from reading the result to the receiver's answer"
    );
    describe_gauge!(
        "medseg_audit_entries_waiting",
        Count,
        "Entries of the audit trail that a repository has not confirmed yet"
    );
    describe_counter!(
        "medseg_audit_entries_pushed_total",
        Count,
        "Entries of the audit trail that a repository has confirmed"
    );
    for &kind in Kind::VARIANTS {
        for outcome in OUTCOMES {
            counter!("medseg_delivery_attempts_total", "kind" => kind.name(), "outcome" => outcome)
                .increment(0);
        }
    }
}
