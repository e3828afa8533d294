//! What the hospital's audit trail is told: kept in the unit that it tells of, and handed to storage until it is written there.

use std::time::Duration;

use domain::{DeliveryId, ErrorKind, Result, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{DeliveryAct, DeliveryNote};
use service::Worker;
use service::claims::DELIVERY_CLIENT;
use sqlx::FromRow;
use strum::{EnumString, IntoStaticStr};

use crate::Store;
use crate::handed::Handed;

const NOTES_PER_ROUND: i64 = 256;
const INTERVAL: Duration = Duration::from_secs(5);

/// What was done.
#[derive(Clone, Copy, Debug, EnumString, Eq, IntoStaticStr, PartialEq)]
#[strum(serialize_all = "snake_case")]
pub enum Act {
    Delivered,
    Failed,
    SentAgain,
    DestinationCreated,
    DestinationChanged,
    DestinationRemoved,
    /// Given up unsent, for the hospital is closed.
    Closed,
}

impl Act {
    /// The state of a delivery that has ended so.
    pub fn state(self) -> &'static str {
        if self == Act::Delivered { "delivered" } else { "failed" }
    }

    fn wire(self) -> DeliveryAct {
        match self {
            Act::Delivered => DeliveryAct::Delivered,
            Act::Failed => DeliveryAct::Failed,
            Act::SentAgain => DeliveryAct::SentAgain,
            Act::DestinationCreated => DeliveryAct::DestinationCreated,
            Act::DestinationChanged => DeliveryAct::DestinationChanged,
            Act::DestinationRemoved => DeliveryAct::DestinationRemoved,
            Act::Closed => DeliveryAct::Closed,
        }
    }
}

/// Who did what; about which scan or destination, [`about`](Note::about) says.
pub struct Note {
    tenant: TenantId,
    subject: String,
    act: Act,
    at_ms: i64,
    object: String,
}

impl Note {
    /// Of somebody in the hospital.
    pub fn by(tenant: TenantId, subject: String, act: Act, at_ms: i64) -> Note {
        Note { tenant, subject, act, at_ms, object: String::new() }
    }

    /// Of what delivery did for that destination.
    pub fn of_destination(tenant: TenantId, destination: &str, act: Act, at_ms: i64) -> Note {
        Note::by(tenant, format!("{DELIVERY_CLIENT}:{destination}"), act, at_ms)
    }

    pub fn about(self, object: String) -> Note {
        Note { object, ..self }
    }

    /// Keeps it, as part of `unit`, until storage has written it.
    pub async fn keep(self, unit: &mut Unit, store: &Store) -> Result<()> {
        let act: &'static str = self.act.into();
        sqlx::query(
            "INSERT INTO notes (id, tenant_id, at_ms, subject, act, object_id) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .id(DeliveryId::new(&store.clock, &store.random))
        .id(self.tenant)
        .bind(self.at_ms)
        .bind(self.subject)
        .bind(act)
        .bind(self.object)
        .run(unit)
        .await
        .map(drop)
    }
}

#[derive(FromRow)]
struct Row {
    id: String,
    tenant_id: String,
    at_ms: i64,
    subject: String,
    act: String,
    object_id: String,
}

/// Tells storage what is kept, in the order in which it came.
pub fn tell(store: Store, handed: Handed) -> Worker {
    Worker::new("audit", move |stop| async move {
        while !stop.is_cancelled() {
            // What is broken off is told again.
            let telling = stop.run_until_cancelled(told(&store, &handed)).await;
            if let Some(Err(error)) = telling {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the audit trail is not told yet what went where"
                );
            }
            let news = async {
                tokio::select! {
                    () = store.noted.notified() => (),
                    () = tokio::time::sleep(INTERVAL) => (),
                }
            };
            stop.run_until_cancelled(news).await;
        }
        Ok(())
    })
}

/// Looks at each that is kept once: what storage does not take is no reason to begin again.
async fn told(store: &Store, handed: &Handed) -> Result<()> {
    let mut seen = String::new();
    loop {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, tenant_id, at_ms, subject, act, object_id FROM notes WHERE id > ? ORDER BY id LIMIT ?",
        )
        .bind(seen.clone())
        .bind(NOTES_PER_ROUND)
        .fetch_all(store.database.pool())
        .await
        .map_err(failed)?;
        let Some(last) = rows.last() else { return Ok(()) };
        seen.clone_from(&last.id);
        for row in rows {
            let id = row.id.clone();
            if let Err(error) = handed.note(row.note()?).await {
                if says_nothing_of_the_note(error.kind()) {
                    return Err(error);
                }
                // It stays, and holds up none of the others.
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    note.id = id,
                    error,
                    "storage does not take an entry of the audit trail"
                );
                continue;
            }
            sqlx::query("DELETE FROM notes WHERE id = ?")
                .bind(id)
                .execute(store.database.pool())
                .await
                .map_err(failed)?;
        }
    }
}

/// Whether the next note would fare no better: storage is away, or does not let delivery in.
fn says_nothing_of_the_note(kind: ErrorKind) -> bool {
    kind.is_transient() || matches!(kind, ErrorKind::Unauthenticated | ErrorKind::Forbidden)
}

impl Row {
    fn note(self) -> Result<DeliveryNote> {
        let act: Act = self
            .act
            .parse()
            .map_err(|_| ErrorKind::Internal.error(format!("notes.act holds `{}`", self.act)))?;
        Ok(DeliveryNote {
            tenant_id: self.tenant_id,
            at_ms: self.at_ms,
            subject: self.subject,
            act: act.wire().into(),
            object_id: self.object_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_survives_its_row() {
        for (act, name) in [
            (Act::Delivered, "delivered"),
            (Act::SentAgain, "sent_again"),
            (Act::DestinationRemoved, "destination_removed"),
            (Act::Closed, "closed"),
        ] {
            let kept: &'static str = act.into();
            assert_eq!((kept, kept.parse::<Act>()), (name, Ok(act)));
        }
    }
}
