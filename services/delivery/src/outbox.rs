//! The outbox: what is made of an event, what is due, who sends it, and how that has ended.

use domain::{DeliveryId, DestinationId, ErrorKind, Result, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use sqlx::FromRow;

use crate::Store;
use crate::audit::{Act, Note};
use crate::erased::{forget, is_erased};
use crate::event::{About, News, Pushed};
use crate::format::{CLOUD_EVENT, Kind};
use crate::objection::times_after;
use crate::outcome::{Attempted, Outcome};
use crate::pause::{DELIVERY_MS_MAX, DESTINATION_MS_MAX, pause_ms};

/// How long an attempt has before another may begin: one that was killed is taken up again then.
const LEASE_MS: i64 = 5 * 60_000;

/// Lanes that are looked at in one round.
const LANES_PER_ROUND: i64 = 1024;

/// What is given up in one round.
const OVERDUE_PER_ROUND: i64 = 256;

/// The destinations of one hospital, whose deliveries go one after the other.
#[derive(Clone, Copy, Debug, Eq, FromRow, Hash, PartialEq)]
pub struct Lane {
    #[sqlx(try_from = "String")]
    pub tenant_id: TenantId,
    #[sqlx(try_from = "String")]
    pub destination_id: DestinationId,
}

/// A lane for which something is due.
#[derive(Clone, Copy, Debug, FromRow)]
pub struct Waiting {
    #[sqlx(flatten)]
    pub lane: Lane,
    /// Attempts in a row that have failed there.
    pub failures: i64,
}

/// A delivery that is this attempt's alone until its lease ends. No form of it is printed: it has the destination's secret.
#[derive(Clone)]
pub struct Due {
    pub tenant: TenantId,
    pub id: String,
    pub about: About,
    pub destination: DestinationId,
    pub kind: Kind,
    pub url: String,
    pub secret: String,
    /// Of the application entities at both ends; empty but for C-STORE.
    pub called_ae: String,
    pub calling_ae: String,
    pub formats: String,
    /// With this one.
    pub attempts: i64,
    pub since_ms: i64,
    /// Of the destination, in a row, before this one.
    pub failures: i64,
    /// How often in a row the destination has objected to it, before this one.
    pub objections: i64,
    lease: String,
}

#[derive(FromRow)]
struct DueRow {
    delivery_id: String,
    scan_id: String,
    event_id: String,
    kind: String,
    url: String,
    secret: String,
    called_ae: String,
    calling_ae: String,
    formats: String,
    attempts: i64,
    since_ms: i64,
    failures: i64,
    objections: i64,
}

impl Store {
    /// Makes a delivery for each destination that the hospital has now and that takes it, in one unit with what says that the event was
    /// heard: the same event again changes nothing.
    pub async fn hear(&self, news: News) -> Result<()> {
        let store = self.clone();
        let (tenant, scan) = (news.tenant, news.scan());
        let heard = self
            .database
            .unit(move |unit| Box::pin(async move { store.hear_in(unit, &news).await }))
            .await;
        match heard {
            Err(error) if error.kind() == ErrorKind::Conflict => (),
            Err(error) => return Err(error),
            Ok(()) => self.due.notify_one(),
        }
        // Of two units at once neither sees the other's rows: whoever erases sees these deliveries, or they are seen to be erased here.
        match scan {
            Some(scan) => self.forget_erased(tenant, scan).await,
            None => Ok(()),
        }
    }

    async fn hear_in(&self, unit: &mut Unit, news: &News) -> Result<()> {
        let now_ms = self.clock.now_ms();
        sqlx::query("INSERT INTO heard (tenant_id, event_id, heard_ms) VALUES (?, ?, ?)")
            .id(news.tenant)
            .bind(news.event_id.clone())
            .bind(now_ms)
            .run(unit)
            .await?;
        if let Some(scan) = news.scan()
            && is_erased(unit, news.tenant, scan).await?
        {
            return Ok(());
        }
        let mut destinations: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT destination_id, name, formats FROM destinations WHERE tenant_id = ? AND enabled = 1",
        )
        .id(news.tenant)
        .fetch_all(&mut **unit)
        .await
        .map_err(failed)?;
        let (scan_id, answer, event_type) = match &news.pushed {
            Pushed::Scan { scan, answer } => (scan.to_string(), answer.name(), ""),
            Pushed::Event { event_type, body } => {
                // Webhooks alone have this format; all others are of a result.
                destinations.retain(|(_, _, formats)| formats == CLOUD_EVENT);
                if !destinations.is_empty() {
                    self.keep_event(unit, news, body).await?;
                }
                (String::new(), "", *event_type)
            }
        };
        for (destination_id, name, formats) in destinations {
            sqlx::query(
                "INSERT INTO deliveries (tenant_id, delivery_id, event_id, scan_id, destination_id, destination, formats,
                     answer, event_type, state, attempts, made_ms, since_ms, due_ms, lease, leased_until_ms, ended_ms, words)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', 0, ?, ?, ?, '', 0, 0, '')",
            )
            .id(news.tenant)
            .id(DeliveryId::new(&self.clock, &self.random))
            .bind(news.event_id.clone())
            .bind(scan_id.clone())
            .bind(destination_id)
            .bind(name)
            .bind(formats)
            .bind(answer)
            .bind(event_type)
            .bind(now_ms)
            .bind(now_ms)
            .bind(now_ms)
            .run(unit)
            .await?;
        }
        Ok(())
    }

    /// Destinations for which something is due that nobody sends, and that may be tried now; those that have waited longest first.
    pub async fn due_lanes(&self) -> Result<Vec<Waiting>> {
        let now_ms = self.clock.now_ms();
        sqlx::query_as(
            "SELECT d.tenant_id, d.destination_id, t.failures
             FROM deliveries d JOIN destinations t
                 ON t.tenant_id = d.tenant_id AND t.destination_id = d.destination_id
             WHERE d.state = 'waiting' AND d.due_ms <= ? AND d.leased_until_ms <= ?
                 AND t.enabled = 1 AND t.resume_ms <= ?
                 AND NOT EXISTS (SELECT 1 FROM stopped s WHERE s.tenant_id = d.tenant_id)
             GROUP BY d.tenant_id, d.destination_id, t.failures ORDER BY MIN(d.due_ms) LIMIT ?",
        )
        .bind(now_ms)
        .bind(now_ms)
        .bind(now_ms)
        .bind(LANES_PER_ROUND)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)
    }

    /// Takes what is due first for that destination; None where nothing is, or where somebody else was faster.
    pub async fn take(&self, lane: Lane) -> Result<Option<Due>> {
        let now_ms = self.clock.now_ms();
        let row: Option<DueRow> = sqlx::query_as(
            "SELECT d.delivery_id, d.scan_id, d.event_id, t.kind, t.url, t.secret, t.called_ae, t.calling_ae, d.formats, d.attempts, d.since_ms, t.failures, d.objections
             FROM deliveries d JOIN destinations t
                 ON t.tenant_id = d.tenant_id AND t.destination_id = d.destination_id
             WHERE d.tenant_id = ? AND d.destination_id = ? AND d.state = 'waiting' AND d.due_ms <= ?
                 AND d.leased_until_ms <= ? AND t.enabled = 1 AND t.resume_ms <= ?
                 AND NOT EXISTS (SELECT 1 FROM stopped s WHERE s.tenant_id = d.tenant_id)
             ORDER BY d.due_ms, d.delivery_id LIMIT 1",
        )
        .id(lane.tenant_id)
        .id(lane.destination_id)
        .bind(now_ms)
        .bind(now_ms)
        .bind(now_ms)
        .fetch_optional(self.database.pool())
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let lease = DeliveryId::new(&self.clock, &self.random).to_string();
        let taken = sqlx::query(
            "UPDATE deliveries SET lease = ?, leased_until_ms = ?, attempts = attempts + 1
             WHERE tenant_id = ? AND delivery_id = ? AND state = 'waiting' AND leased_until_ms <= ?",
        )
        .bind(lease.clone())
        .bind(now_ms + LEASE_MS)
        .id(lane.tenant_id)
        .bind(row.delivery_id.clone())
        .bind(now_ms)
        .execute(self.database.pool())
        .await
        .map_err(failed)?;
        if taken.rows_affected() == 0 {
            return Ok(None);
        }
        row.due(lane, lease).map(Some)
    }

    /// Notes how an attempt has ended, unless another has begun meanwhile.
    pub async fn settle(&self, due: Due, attempted: Attempted) -> Result<()> {
        let store = self.clone();
        self.database
            .unit(move |unit| {
                Box::pin(async move { store.settle_in(unit, &due, &attempted).await })
            })
            .await?;
        self.noted.notify_one();
        Ok(())
    }

    async fn settle_in(&self, unit: &mut Unit, due: &Due, attempted: &Attempted) -> Result<()> {
        let (now_ms, outcome) = (self.clock.now_ms(), &attempted.outcome);
        let ended = match outcome {
            Outcome::Delivered(_) => Some(Act::Delivered),
            Outcome::Refused(_) | Outcome::Absent(_) | Outcome::Unmade(_) => Some(Act::Failed),
            Outcome::Later(_) | Outcome::Objected(_) | Outcome::Away(_) => {
                (now_ms - due.since_ms >= self.tried_ms).then_some(Act::Failed)
            }
            Outcome::Held(_) => None,
        };
        // What was held back was not tried.
        let untried = i64::from(matches!(outcome, Outcome::Held(_)));
        let pauses = match outcome {
            // Few, and so further apart.
            Outcome::Objected(_) => 2 * (due.objections + 1),
            _ => due.attempts,
        };
        let due_ms = now_ms + pause_ms(pauses, DELIVERY_MS_MAX, &self.random);
        let state = ended.map_or("waiting", Act::state);
        let changed = sqlx::query(
            "UPDATE deliveries SET state = ?, due_ms = ?, ended_ms = ?, words = ?, attempts = attempts - ?, objections = ?,
                 lease = '', leased_until_ms = 0
             WHERE tenant_id = ? AND delivery_id = ? AND state = 'waiting' AND lease = ?",
        )
        .bind(state)
        .bind(due_ms)
        .bind(if ended.is_some() { now_ms } else { 0 })
        .bind(outcome.words().to_owned())
        .bind(untried)
        .bind(times_after(outcome, due.objections))
        .id(due.tenant)
        .bind(due.id.clone())
        .bind(due.lease.clone())
        .run(unit)
        .await?;
        if changed == 0 {
            return Ok(());
        }
        self.pause(unit, due, outcome, now_ms).await?;
        if let Some(takes) = &attempted.takes {
            sqlx::query(
                "UPDATE destinations SET takes = ? WHERE tenant_id = ? AND destination_id = ?",
            )
            .bind(takes.clone())
            .id(due.tenant)
            .id(due.destination)
            .run(unit)
            .await?;
        }
        let erased = match due.about.scan() {
            Some(scan) => is_erased(unit, due.tenant, scan).await?,
            None => false,
        };
        // Of a scan that was erased meanwhile this was the last attempt, and what it has not confirmed may have arrived.
        let last = (erased && untried == 0).then_some(Act::Failed);
        if let Some(act) = ended.or(last) {
            self.note_end(unit, due, act, now_ms).await?;
        }
        if erased { forget(unit, due.tenant, &due.id).await } else { Ok(()) }
    }

    /// A destination that does not answer is tried less and less often, whatever waits for it; one that does, at once.
    async fn pause(
        &self,
        unit: &mut Unit,
        due: &Due,
        outcome: &Outcome,
        now_ms: i64,
    ) -> Result<()> {
        let (failures, resume_ms) = match outcome {
            Outcome::Delivered(_) | Outcome::Objected(_) | Outcome::Refused(_) => (0, 0),
            Outcome::Later(_) => {
                let failures = due.failures.saturating_add(1);
                (failures, now_ms + pause_ms(failures, DESTINATION_MS_MAX, &self.random))
            }
            Outcome::Away(_) | Outcome::Held(_) | Outcome::Absent(_) | Outcome::Unmade(_) => {
                return Ok(());
            }
        };
        sqlx::query(
            "UPDATE destinations SET failures = ?, resume_ms = ? WHERE tenant_id = ? AND destination_id = ?",
        )
        .bind(failures)
        .bind(resume_ms)
        .id(due.tenant)
        .id(due.destination)
        .run(unit)
        .await
        .map(drop)
    }

    async fn note_end(&self, unit: &mut Unit, due: &Due, act: Act, at_ms: i64) -> Result<()> {
        let note = Note::of_destination(due.tenant, &due.destination.to_string(), act, at_ms);
        note.about(due.about.object()).keep(unit, self).await
    }

    /// Gives up what has been tried for too long though no attempt has ended since, and what no destination is left of. What waits of
    /// a hospital that is stopped is not tried meanwhile.
    pub async fn give_up(&self) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let overdue: Vec<(String, String, String, String, String)> = sqlx::query_as(
            "SELECT tenant_id, delivery_id, scan_id, event_id, destination_id FROM deliveries d
             WHERE state = 'waiting' AND leased_until_ms <= ? AND (since_ms <= ? OR NOT EXISTS
                 (SELECT 1 FROM destinations t
                  WHERE t.tenant_id = d.tenant_id AND t.destination_id = d.destination_id))
                 AND NOT EXISTS (SELECT 1 FROM stopped s WHERE s.tenant_id = d.tenant_id)
             ORDER BY due_ms LIMIT ?",
        )
        .bind(now_ms)
        // An attempt that is due comes first.
        .bind(now_ms - self.tried_ms - DELIVERY_MS_MAX)
        .bind(OVERDUE_PER_ROUND)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        for (tenant, id, scan_id, event_id, destination) in overdue {
            let tenant: TenantId = tenant.parse()?;
            let about = About::of(&scan_id, event_id)?;
            self.fail(tenant, id, about, destination, now_ms).await?;
        }
        Ok(())
    }

    async fn fail(
        &self,
        tenant: TenantId,
        id: String,
        about: About,
        destination: String,
        now_ms: i64,
    ) -> Result<()> {
        const WORDS: &str = "it was given up: it waited too long, or its destination is gone";
        let store = self.clone();
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    let changed = sqlx::query(
                        "UPDATE deliveries SET state = 'failed', ended_ms = ?, words = CASE WHEN words = '' THEN ? ELSE words END
                         WHERE tenant_id = ? AND delivery_id = ? AND state = 'waiting' AND leased_until_ms <= ?",
                    )
                    .bind(now_ms)
                    .bind(WORDS)
                    .id(tenant)
                    .bind(id)
                    .bind(now_ms)
                    .run(unit)
                    .await?;
                    if changed == 0 {
                        return Ok(());
                    }
                    let note = Note::of_destination(tenant, &destination, Act::Failed, now_ms);
                    note.about(about.object()).keep(unit, &store).await
                })
            })
            .await
    }
}

impl DueRow {
    fn due(self, lane: Lane, lease: String) -> Result<Due> {
        Ok(Due {
            tenant: lane.tenant_id,
            id: self.delivery_id,
            about: About::of(&self.scan_id, self.event_id)?,
            destination: lane.destination_id,
            kind: Kind::named(&self.kind)?,
            url: self.url,
            secret: self.secret,
            called_ae: self.called_ae,
            calling_ae: self.calling_ae,
            formats: self.formats,
            attempts: self.attempts.saturating_add(1),
            since_ms: self.since_ms,
            failures: self.failures,
            objections: self.objections,
            lease,
        })
    }
}
