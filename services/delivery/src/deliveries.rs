//! What went where, for those who look after it, and what is sent again.

use std::fmt::Display;
use std::str::FromStr;

use domain::limits::PAGE_MAX;
use domain::{DeliveryId, DestinationId, ErrorKind, Result, ScanId};
use platform::db::{BindId, Run, Unit, failed};
use proto::delivery::{DeliveryEntry, DeliveryPage, DeliveryState, ListDeliveriesRequest};
use service::claims::{Claims, Tenant};
use sqlx::{Any, FromRow, QueryBuilder};

use crate::Store;
use crate::audit::{Act, Note};
use crate::event::About;
use crate::format::listed;

/// A row that is listed.
#[derive(FromRow)]
struct Row {
    delivery_id: String,
    scan_id: String,
    event_id: String,
    event_type: String,
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
            "SELECT delivery_id, scan_id, event_id, event_type, destination_id, destination, formats, answer, state,
                 attempts, made_ms, due_ms, ended_ms, words
             FROM deliveries ",
            $rest
        )
    };
}

impl Store {
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
            let before = id_of::<DeliveryId>(&asked.cursor, "this is no cursor of ours")?;
            query.push(" AND delivery_id < ").push_bind(before);
        }
        if !asked.destination_id.is_empty() {
            let why = "`destination` is no destination's id";
            let destination = id_of::<DestinationId>(&asked.destination_id, why)?;
            query.push(" AND destination_id = ").push_bind(destination);
        }
        if !asked.scan_id.is_empty() {
            let scan = id_of::<ScanId>(&asked.scan_id, "`scan` is no scan's id")?;
            query.push(" AND scan_id = ").push_bind(scan);
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
            "UPDATE deliveries SET state = 'waiting', since_ms = ?, due_ms = ?, ended_ms = 0, attempts = 0, objections = 0
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
        let about = About::of(&row.scan_id, row.event_id.clone())?;
        note.about(about.object()).keep(unit, self).await?;
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

impl Row {
    fn told(self) -> DeliveryEntry {
        let state = match self.state.as_str() {
            "delivered" => DeliveryState::Delivered,
            "failed" => DeliveryState::Failed,
            _ => DeliveryState::Waiting,
        };
        // Of an event of no scan, its type: the wire has no field of its own for that.
        let answer = if self.scan_id.is_empty() { self.event_type } else { self.answer };
        DeliveryEntry {
            id: self.delivery_id,
            scan_id: self.scan_id,
            destination_id: self.destination_id,
            destination: self.destination,
            formats: listed(&self.formats),
            answer,
            state: state.into(),
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            made_ms: self.made_ms,
            due_ms: if state == DeliveryState::Waiting { self.due_ms } else { 0 },
            ended_ms: self.ended_ms,
            words: self.words,
        }
    }
}

/// As rows keep it; `why` tells what it is not.
fn id_of<I: FromStr + Display>(text: &str, why: &'static str) -> Result<String> {
    let id: I = text.parse().map_err(|_| ErrorKind::Invalid.error(why))?;
    Ok(id.to_string())
}

fn state_name(state: DeliveryState) -> Option<&'static str> {
    match state {
        DeliveryState::Unspecified => None,
        DeliveryState::Waiting => Some("waiting"),
        DeliveryState::Delivered => Some("delivered"),
        DeliveryState::Failed => Some("failed"),
    }
}
