//! The outbox: what is due, who sends it, and how it has ended.

use domain::limits::PAGE_MAX;
use domain::{DeliveryId, DestinationId, ErrorKind, Result, ScanId, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use proto::delivery::{DeliveryEntry, DeliveryPage, DeliveryState, ListDeliveriesRequest};
use service::claims::{Claims, Tenant};
use sqlx::{Any, FromRow, QueryBuilder};

use crate::Store;
use crate::attempt::Outcome;
use crate::audit::{Act, Note};
use crate::event::Completed;
use crate::format::{Kind, listed};
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

/// A delivery that is this attempt's alone until its lease ends.
pub struct Due {
    pub tenant: TenantId,
    pub id: String,
    pub scan: ScanId,
    pub destination: DestinationId,
    pub kind: Kind,
    pub url: String,
    pub secret: String,
    pub formats: String,
    /// With this one.
    pub attempts: i64,
    pub since_ms: i64,
    /// Of the destination, in a row, before this one.
    pub failures: i64,
    lease: String,
}

#[derive(FromRow)]
struct DueRow {
    delivery_id: String,
    scan_id: String,
    kind: String,
    url: String,
    secret: String,
    formats: String,
    attempts: i64,
    since_ms: i64,
    failures: i64,
}

/// A row that is listed.
#[derive(FromRow)]
struct Row {
    delivery_id: String,
    scan_id: String,
    destination_id: String,
    destination: String,
    formats: String,
    answer: String,
    state: String,
    attempts: i64,
    made_ms: i64,
    due_ms: i64,
    ended_ms: i64,
    words: String,
}

macro_rules! rows {
    ($rest:literal) => {
        concat!(
            "SELECT delivery_id, scan_id, destination_id, destination, formats, answer, state, attempts,
                 made_ms, due_ms, ended_ms, words
             FROM deliveries ",
            $rest
        )
    };
}

impl Store {
    /// Makes a delivery for each destination that the scan's hospital has now, in one unit with what says that the event was heard:
    /// the same event again changes nothing.
    pub async fn hear(&self, done: Completed) -> Result<()> {
        let store = self.clone();
        let heard = self
            .database
            .unit(move |unit| Box::pin(async move { store.hear_in(unit, &done).await }))
            .await;
        match heard {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                self.due.notify_one();
                Ok(())
            }
        }
    }

    async fn hear_in(&self, unit: &mut Unit, done: &Completed) -> Result<()> {
        let now_ms = self.clock.now_ms();
        sqlx::query("INSERT INTO heard (tenant_id, event_id, heard_ms) VALUES (?, ?, ?)")
            .id(done.tenant)
            .bind(done.event_id.clone())
            .bind(now_ms)
            .run(unit)
            .await?;
        let destinations: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT destination_id, name, formats FROM destinations WHERE tenant_id = ? AND enabled = 1",
        )
        .id(done.tenant)
        .fetch_all(&mut **unit)
        .await
        .map_err(failed)?;
        for (destination_id, name, formats) in destinations {
            sqlx::query(
                "INSERT INTO deliveries (tenant_id, delivery_id, event_id, scan_id, destination_id, destination, formats,
                     answer, state, attempts, made_ms, since_ms, due_ms, lease, leased_until_ms, ended_ms, words)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', 0, ?, ?, ?, '', 0, 0, '')",
            )
            .id(done.tenant)
            .id(DeliveryId::new(&self.clock, &self.random))
            .bind(done.event_id.clone())
            .id(done.scan)
            .bind(destination_id)
            .bind(name)
            .bind(formats)
            .bind(done.answer.name())
            .bind(now_ms)
            .bind(now_ms)
            .bind(now_ms)
            .run(unit)
            .await?;
        }
        Ok(())
    }

    /// Destinations for which something is due that nobody sends, and that may be tried now; those that have waited longest first.
    pub async fn due_lanes(&self) -> Result<Vec<Lane>> {
        let now_ms = self.clock.now_ms();
        sqlx::query_as(
            "SELECT d.tenant_id, d.destination_id
             FROM deliveries d JOIN destinations t
                 ON t.tenant_id = d.tenant_id AND t.destination_id = d.destination_id
             WHERE d.state = 'waiting' AND d.due_ms <= ? AND d.leased_until_ms <= ?
                 AND t.enabled = 1 AND t.resume_ms <= ?
             GROUP BY d.tenant_id, d.destination_id ORDER BY MIN(d.due_ms) LIMIT ?",
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
            "SELECT d.delivery_id, d.scan_id, t.kind, t.url, t.secret, d.formats, d.attempts, d.since_ms, t.failures
             FROM deliveries d JOIN destinations t
                 ON t.tenant_id = d.tenant_id AND t.destination_id = d.destination_id
             WHERE d.tenant_id = ? AND d.destination_id = ? AND d.state = 'waiting' AND d.due_ms <= ?
                 AND d.leased_until_ms <= ? AND t.enabled = 1 AND t.resume_ms <= ?
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
    pub async fn settle(&self, due: Due, outcome: Outcome) -> Result<()> {
        let store = self.clone();
        self.database
            .unit(move |unit| Box::pin(async move { store.settle_in(unit, &due, &outcome).await }))
            .await?;
        self.noted.notify_one();
        Ok(())
    }

    async fn settle_in(&self, unit: &mut Unit, due: &Due, outcome: &Outcome) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let ended = match outcome {
            Outcome::Delivered(_) => Some(Act::Delivered),
            Outcome::Refused(_) | Outcome::Unmade(_) => Some(Act::Failed),
            Outcome::Later(_) | Outcome::Away(_) => {
                (now_ms - due.since_ms >= self.tried_ms).then_some(Act::Failed)
            }
        };
        let due_ms = now_ms + pause_ms(due.attempts, DELIVERY_MS_MAX, &self.random);
        let state = ended.map_or("waiting", Act::state);
        let changed = sqlx::query(
            "UPDATE deliveries SET state = ?, due_ms = ?, ended_ms = ?, words = ?, lease = '', leased_until_ms = 0
             WHERE tenant_id = ? AND delivery_id = ? AND state = 'waiting' AND lease = ?",
        )
        .bind(state)
        .bind(due_ms)
        .bind(if ended.is_some() { now_ms } else { 0 })
        .bind(outcome.words().to_owned())
        .id(due.tenant)
        .bind(due.id.clone())
        .bind(due.lease.clone())
        .run(unit)
        .await?;
        if changed == 0 {
            return Ok(());
        }
        self.pause(unit, due, outcome, now_ms).await?;
        match ended {
            Some(act) => self.note_end(unit, due, act, now_ms).await,
            None => Ok(()),
        }
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
            Outcome::Delivered(_) | Outcome::Refused(_) => (0, 0),
            Outcome::Later(_) => {
                let failures = due.failures.saturating_add(1);
                (failures, now_ms + pause_ms(failures, DESTINATION_MS_MAX, &self.random))
            }
            Outcome::Away(_) | Outcome::Unmade(_) => return Ok(()),
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
        note.about(due.scan.to_string()).keep(unit, self).await
    }

    /// Gives up what has been tried for too long though no attempt has ended since, and what no destination is left of.
    pub async fn give_up(&self) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let overdue: Vec<(String, String, String, String)> = sqlx::query_as(
            "SELECT tenant_id, delivery_id, scan_id, destination_id FROM deliveries d
             WHERE state = 'waiting' AND leased_until_ms <= ? AND (since_ms <= ? OR NOT EXISTS
                 (SELECT 1 FROM destinations t
                  WHERE t.tenant_id = d.tenant_id AND t.destination_id = d.destination_id))
             ORDER BY due_ms LIMIT ?",
        )
        .bind(now_ms)
        // An attempt that is due comes first.
        .bind(now_ms - self.tried_ms - DELIVERY_MS_MAX)
        .bind(OVERDUE_PER_ROUND)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        for (tenant, id, scan, destination) in overdue {
            let tenant: TenantId = tenant.parse()?;
            self.fail(tenant, id, scan, destination, now_ms).await?;
        }
        Ok(())
    }

    async fn fail(
        &self,
        tenant: TenantId,
        id: String,
        scan: String,
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
                    note.about(scan).keep(unit, &store).await
                })
            })
            .await
    }

    /// The hospital's deliveries, newest first.
    pub async fn deliveries(
        &self,
        tenant: Tenant,
        asked: &ListDeliveriesRequest,
    ) -> Result<DeliveryPage> {
        let limit = asked.limit.clamp(1, PAGE_MAX);
        let mut query = QueryBuilder::<Any>::new(rows!("WHERE tenant_id = "));
        query.push_bind(tenant.to_string());
        if !asked.cursor.is_empty() {
            let before: DeliveryId = asked
                .cursor
                .parse()
                .map_err(|_| ErrorKind::Invalid.error("this is no cursor of ours"))?;
            query.push(" AND delivery_id < ").push_bind(before.to_string());
        }
        if !asked.destination_id.is_empty() {
            query.push(" AND destination_id = ").push_bind(asked.destination_id.clone());
        }
        if !asked.scan_id.is_empty() {
            query.push(" AND scan_id = ").push_bind(asked.scan_id.clone());
        }
        if let Some(state) = state_name(asked.state()) {
            query.push(" AND state = ").push_bind(state);
        }
        query.push(" ORDER BY delivery_id DESC LIMIT ").push_bind(i64::from(limit) + 1);
        let rows: Vec<Row> =
            query.build_query_as().fetch_all(self.database.pool()).await.map_err(failed)?;
        let more = rows.len() > limit as usize;
        let deliveries: Vec<DeliveryEntry> =
            rows.into_iter().take(limit as usize).map(Row::told).collect();
        let last = deliveries.last().filter(|_| more);
        let next_cursor = last.map(|last| last.id.clone()).unwrap_or_default();
        Ok(DeliveryPage { deliveries, next_cursor })
    }

    /// Sends a delivery that has ended once more, with the same id. `Conflict` while it waits by itself.
    pub async fn send_again(&self, claims: &Claims, id: &str) -> Result<DeliveryEntry> {
        let id: DeliveryId = id.parse()?;
        let (tenant, subject) = (claims.tenant(), claims.subject.clone());
        let store = self.clone();
        let again = self
            .database
            .unit(move |unit| {
                Box::pin(async move { store.again_in(unit, tenant, &subject, id).await })
            })
            .await?;
        self.due.notify_one();
        self.noted.notify_one();
        Ok(again)
    }

    async fn again_in(
        &self,
        unit: &mut Unit,
        tenant: Tenant,
        subject: &str,
        id: DeliveryId,
    ) -> Result<DeliveryEntry> {
        let now_ms = self.clock.now_ms();
        // Words of before stand until there are others.
        let changed = sqlx::query(
            "UPDATE deliveries SET state = 'waiting', since_ms = ?, due_ms = ?, ended_ms = 0, attempts = 0
             WHERE tenant_id = ? AND delivery_id = ? AND state <> 'waiting' AND EXISTS
                 (SELECT 1 FROM destinations t
                  WHERE t.tenant_id = deliveries.tenant_id AND t.destination_id = deliveries.destination_id)",
        )
        .bind(now_ms)
        .bind(now_ms)
        .id(tenant)
        .id(id)
        .run(unit)
        .await?;
        let row = of_tenant(unit, tenant, id).await?;
        if changed == 0 {
            let why = if row.state == "waiting" {
                "it waits to be sent already"
            } else {
                "its destination is gone"
            };
            return Err(ErrorKind::Conflict.error(why));
        }
        let note = Note::by(tenant.id(), subject.to_owned(), Act::SentAgain, now_ms);
        note.about(row.scan_id.clone()).keep(unit, self).await?;
        Ok(row.told())
    }
}

/// `NotFound` in the same words for another hospital's delivery and for one that never was.
async fn of_tenant(unit: &mut Unit, tenant: Tenant, id: DeliveryId) -> Result<Row> {
    let row: Option<Row> = sqlx::query_as(rows!("WHERE tenant_id = ? AND delivery_id = ?"))
        .id(tenant)
        .id(id)
        .fetch_optional(&mut **unit)
        .await
        .map_err(failed)?;
    row.ok_or_else(|| ErrorKind::NotFound.error("no such delivery"))
}

impl DueRow {
    fn due(self, lane: Lane, lease: String) -> Result<Due> {
        Ok(Due {
            tenant: lane.tenant_id,
            id: self.delivery_id,
            scan: self.scan_id.parse()?,
            destination: lane.destination_id,
            kind: Kind::named(&self.kind)?,
            url: self.url,
            secret: self.secret,
            formats: self.formats,
            attempts: self.attempts.saturating_add(1),
            since_ms: self.since_ms,
            failures: self.failures,
            lease,
        })
    }
}

impl Row {
    fn told(self) -> DeliveryEntry {
        let state = match self.state.as_str() {
            "delivered" => DeliveryState::Delivered,
            "failed" => DeliveryState::Failed,
            _ => DeliveryState::Waiting,
        };
        DeliveryEntry {
            id: self.delivery_id,
            scan_id: self.scan_id,
            destination_id: self.destination_id,
            destination: self.destination,
            formats: listed(&self.formats),
            answer: self.answer,
            state: state.into(),
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            made_ms: self.made_ms,
            due_ms: if state == DeliveryState::Waiting { self.due_ms } else { 0 },
            ended_ms: self.ended_ms,
            words: self.words,
        }
    }
}

fn state_name(state: DeliveryState) -> Option<&'static str> {
    match state {
        DeliveryState::Unspecified => None,
        DeliveryState::Waiting => Some("waiting"),
        DeliveryState::Delivered => Some("delivered"),
        DeliveryState::Failed => Some("failed"),
    }
}
