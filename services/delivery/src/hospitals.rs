//! What hospitals are, as auth says it: nothing goes out of one that is suspended until it is active again, and what waits of one that
//! is closed is given up.
//!
//! It is looked at twice: for all that waits, every few seconds, so that no lane of such a hospital begins; and of one hospital at the
//! moment of sending, for what was begun before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Clock, ErrorKind, Result, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use proto::auth::StandingsRequest;
use proto::auth::auth_client::AuthClient;
use service::claims::{ServiceToken, authorised};
use service::{Peer, Worker};
use sqlx::FromRow;
use strum::{EnumString, IntoStaticStr};

use crate::Store;
use crate::audit::{Act, Note};
use crate::event::About;

/// How often it is looked at what hospitals are: suspended means stopped within a minute.
const INTERVAL: Duration = Duration::from_secs(5);

/// Hospitals that are asked for at once, and how long auth has to answer.
const ASKED_MAX: usize = 512;
const WITHIN: Duration = Duration::from_secs(3);

/// How long auth's last word on a hospital is believed while auth is away: as long as one of its tokens lives.
const BELIEVED_MS: i64 = 5 * 60_000;

/// Deliveries of a closed hospital that are given up in one unit.
const ENDED_PER_UNIT: i64 = 256;

/// What a hospital is.
#[derive(Clone, Copy, Debug, EnumString, Eq, IntoStaticStr, PartialEq)]
#[strum(serialize_all = "snake_case")]
pub enum Standing {
    Active,
    Suspended,
    Closed,
}

/// The way to auth; cheap to clone.
#[derive(Clone)]
pub struct Hospitals {
    auth: AuthClient<Peer>,
    token: ServiceToken,
    clock: Clock,
    /// What auth has last said of each, and when.
    known: Arc<Mutex<HashMap<TenantId, (Standing, i64)>>>,
}

impl Hospitals {
    pub fn new(auth: Peer, token: ServiceToken, clock: Clock) -> Hospitals {
        Hospitals { auth: AuthClient::new(auth), token, clock, known: Arc::default() }
    }

    /// Why nothing may go out of that hospital now; None where it may. Asked at the moment of sending, of auth itself: while that is
    /// away, its last word is believed for a while.
    pub async fn holds(&self, tenant: TenantId) -> Result<Option<&'static str>> {
        let standing = match self.asked(&[tenant]).await {
            Ok(standings) => standings.first().map(|(_, standing)| *standing),
            Err(error) if error.kind().is_transient() => Some(self.believed(tenant).ok_or(error)?),
            Err(error) => return Err(error),
        };
        Ok(match standing {
            Some(Standing::Active) => None,
            Some(Standing::Suspended) => {
                Some("the hospital is suspended: it goes on when that ends")
            }
            Some(Standing::Closed) => Some("the hospital is closed"),
            None => Some("auth knows no such hospital"),
        })
    }

    /// What those of these hospitals are that there are.
    async fn asked(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, Standing)>> {
        let tenant_ids = tenants.iter().map(TenantId::to_string).collect();
        let request = authorised(StandingsRequest { tenant_ids }, &self.token.get().await?);
        let now_ms = self.clock.now_ms();
        let mut auth = self.auth.clone();
        let answer = tokio::time::timeout(WITHIN, auth.standings(request)).await;
        let answer = answer.map_err(|late| {
            ErrorKind::Unavailable.error("auth is slow to say what hospitals are").because(late)
        })?;
        let told = answer?.into_inner().standings;
        let standings = told.into_iter().map(|told| -> Result<(TenantId, Standing)> {
            let standing: Standing = told.state.parse().map_err(|_| {
                ErrorKind::Internal.error(format!("auth says that a hospital is `{}`", told.state))
            })?;
            Ok((told.tenant_id.parse()?, standing))
        });
        let standings: Vec<(TenantId, Standing)> = standings.collect::<Result<_>>()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(standings.iter().map(|(tenant, standing)| (*tenant, (*standing, now_ms))));
        Ok(standings)
    }

    fn believed(&self, tenant: TenantId) -> Option<Standing> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (standing, said_ms) = known.get(&tenant)?;
        is_believed(*said_ms, self.clock.now_ms()).then_some(*standing)
    }
}

/// Whether what was said then is believed now. A clock that was set back since says nothing of how old it is.
fn is_believed(said_ms: i64, now_ms: i64) -> bool {
    (0..BELIEVED_MS).contains(&(now_ms - said_ms))
}

/// Stops the lanes of hospitals that are not active, and lets them go on, again and again.
pub fn watch(store: Store, hospitals: Hospitals) -> Worker {
    Worker::new("hospitals", move |stop| async move {
        while !stop.is_cancelled() {
            // What is broken off is done again.
            let round = stop.run_until_cancelled(round(&store, &hospitals)).await;
            if let Some(Err(error)) = round {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not look which hospitals are active"
                );
            }
            stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await;
        }
        Ok(())
    })
}

async fn round(store: &Store, hospitals: &Hospitals) -> Result<()> {
    for some in store.concerned().await?.chunks(ASKED_MAX) {
        for (tenant, standing) in hospitals.asked(some).await? {
            store.stand(tenant, standing).await?;
        }
    }
    Ok(())
}

#[derive(FromRow)]
struct Waiting {
    delivery_id: String,
    scan_id: String,
    event_id: String,
    destination_id: String,
}

impl Store {
    /// Hospitals of which something waits, and those that were stopped.
    async fn concerned(&self) -> Result<Vec<TenantId>> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT tenant_id FROM deliveries WHERE state = 'waiting' UNION SELECT tenant_id FROM stopped",
        )
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        ids.iter().map(|id| id.parse()).collect()
    }

    /// Does what follows from what a hospital is; the same again changes nothing.
    async fn stand(&self, tenant: TenantId, standing: Standing) -> Result<()> {
        // Mostly nothing follows: who writes takes turns with others.
        if self.noted_of(tenant).await? != standing {
            let store = self.clone();
            let went_on = self
                .database
                .unit(move |unit| {
                    Box::pin(async move { store.stand_in(unit, tenant, standing).await })
                })
                .await?;
            if went_on {
                self.due.notify_one();
            }
        }
        if standing == Standing::Closed && self.waits(tenant).await? {
            while self.end_some(tenant).await? {}
            self.noted.notify_one();
        }
        Ok(())
    }

    /// What is noted of the hospital.
    async fn noted_of(&self, tenant: TenantId) -> Result<Standing> {
        let state: Option<String> =
            sqlx::query_scalar("SELECT state FROM stopped WHERE tenant_id = ?")
                .id(tenant)
                .fetch_optional(self.database.pool())
                .await
                .map_err(failed)?;
        let Some(state) = state else { return Ok(Standing::Active) };
        state
            .parse()
            .map_err(|_| ErrorKind::Internal.error(format!("stopped.state holds `{state}`")))
    }

    async fn waits(&self, tenant: TenantId) -> Result<bool> {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM deliveries WHERE tenant_id = ? AND state = 'waiting'",
        )
        .id(tenant)
        .fetch_one(self.database.pool())
        .await
        .map_err(failed)?;
        Ok(waiting > 0)
    }

    /// Gives up some of what waits of a hospital that is closed, each with an entry in its audit trail; whether there may be more.
    async fn end_some(&self, tenant: TenantId) -> Result<bool> {
        let store = self.clone();
        self.database
            .unit(move |unit| Box::pin(async move { store.end_some_in(unit, tenant).await }))
            .await
    }

    async fn end_some_in(&self, unit: &mut Unit, tenant: TenantId) -> Result<bool> {
        const WORDS: &str = "the hospital is closed: it was given up, and is not sent";
        let now_ms = self.clock.now_ms();
        // An attempt that is under way asks what the hospital is before it sends; its row is given up once that has ended.
        let waiting: Vec<Waiting> = sqlx::query_as(
            "SELECT delivery_id, scan_id, event_id, destination_id FROM deliveries
             WHERE tenant_id = ? AND state = 'waiting' AND leased_until_ms <= ? ORDER BY delivery_id LIMIT ?",
        )
        .id(tenant)
        .bind(now_ms)
        .bind(ENDED_PER_UNIT)
        .fetch_all(&mut **unit)
        .await
        .map_err(failed)?;
        let more = waiting.len() as i64 == ENDED_PER_UNIT;
        for Waiting { delivery_id, scan_id, event_id, destination_id } in waiting {
            let about = About::of(&scan_id, event_id)?;
            let changed = sqlx::query(
                "UPDATE deliveries SET state = 'failed', ended_ms = ?, words = ?
                 WHERE tenant_id = ? AND delivery_id = ? AND state = 'waiting' AND leased_until_ms <= ?",
            )
            .bind(now_ms)
            .bind(WORDS)
            .id(tenant)
            .bind(delivery_id)
            .bind(now_ms)
            .run(unit)
            .await?;
            if changed > 0 {
                let note = Note::of_destination(tenant, &destination_id, Act::Closed, now_ms);
                note.about(about.object()).keep(unit, self).await?;
            }
        }
        Ok(more)
    }

    /// Notes what the hospital is; whether it goes on with what waited.
    async fn stand_in(
        &self,
        unit: &mut Unit,
        tenant: TenantId,
        standing: Standing,
    ) -> Result<bool> {
        let now_ms = self.clock.now_ms();
        let state: &'static str = standing.into();
        tracing::info!(tenant.id = %tenant, state, "the lanes of a hospital follow its state");
        sqlx::query("DELETE FROM stopped WHERE tenant_id = ?").id(tenant).run(unit).await?;
        if standing != Standing::Active {
            let stopped = "INSERT INTO stopped (tenant_id, state, since_ms) VALUES (?, ?, ?)";
            sqlx::query(stopped).id(tenant).bind(state).bind(now_ms).run(unit).await?;
            return Ok(false);
        }
        // The time during which nothing was tried is no part of that in which it is tried.
        sqlx::query(
            "UPDATE deliveries SET since_ms = ?, due_ms = ? WHERE tenant_id = ? AND state = 'waiting'",
        )
        .bind(now_ms)
        .bind(now_ms)
        .id(tenant)
        .run(unit)
        .await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_believed_for_a_while_and_not_before_it_was_said() {
        for (now_ms, believed) in [
            (1_000, true),
            (1_000 + BELIEVED_MS - 1, true),
            (1_000 + BELIEVED_MS, false),
            // The clock was set back.
            (999, false),
        ] {
            assert_eq!(is_believed(1_000, now_ms), believed, "{now_ms}");
        }
    }
}
