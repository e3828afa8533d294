use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use domain::rfc3339;
use proto::delivery;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{Path, Query};
use crate::paging::{limit_of, next_page};
use crate::problem::{INVALID, Problem};
use crate::users::moment;

/// How far a delivery is.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum DeliveryState {
    Waiting,
    Delivered,
    Failed,
}

/// What was, or is to be, pushed to one destination: a scan's result, or an event of drift.
#[derive(Serialize, ToSchema)]
pub struct Delivery {
    /// Of a webhook, also the header `webhook-id` of each message: what is sent twice has it twice.
    #[schema(format = "uuid")]
    id: String,
    /// `null`: it is of an event of drift, which is of no scan.
    #[schema(format = "uuid")]
    scan_id: Option<String>,
    /// The type of the event that is pushed as it is, `drift.detected` or `drift.cleared`; `null`: a scan's result is pushed.
    event: Option<String>,
    #[schema(format = "uuid")]
    destination_id: String,
    /// The destination's name when the delivery was made.
    destination: String,
    formats: Vec<String>,
    /// The scan's answer; `null`: it is of no scan.
    answer: Option<String>,
    state: DeliveryState,
    /// Since it was made, or sent again.
    attempts: u32,
    #[schema(format = "date-time")]
    made_at: Option<String>,
    /// When it is tried next; `null`: it is not.
    #[schema(format = "date-time")]
    due_at: Option<String>,
    /// When it was delivered, or given up; `null`: it was not.
    #[schema(format = "date-time")]
    ended_at: Option<String>,
    /// Why the last attempt has failed, or what is to be known of one that has not.
    words: String,
}

/// Deliveries, newest first.
#[derive(Serialize, ToSchema)]
pub struct Deliveries {
    deliveries: Vec<Delivery>,
    /// What the next page begins with; `null` on the last page.
    next_cursor: Option<String>,
}

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedDeliveries {
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")]
    cursor: Option<String>,
    /// Only those to that destination.
    #[param(format = "uuid")]
    destination: Option<String>,
    /// Only those of that scan.
    #[param(format = "uuid")]
    scan: Option<String>,
    /// Only those that are so far.
    #[param(inline)]
    state: Option<DeliveryState>,
}

impl DeliveryState {
    fn wire(self) -> delivery::DeliveryState {
        match self {
            DeliveryState::Waiting => delivery::DeliveryState::Waiting,
            DeliveryState::Delivered => delivery::DeliveryState::Delivered,
            DeliveryState::Failed => delivery::DeliveryState::Failed,
        }
    }
}

impl From<delivery::DeliveryEntry> for Delivery {
    fn from(entry: delivery::DeliveryEntry) -> Delivery {
        let state = match entry.state() {
            delivery::DeliveryState::Delivered => DeliveryState::Delivered,
            delivery::DeliveryState::Failed => DeliveryState::Failed,
            _ => DeliveryState::Waiting,
        };
        // Of what is of no scan, the answer is the event's type.
        let (scan_id, event, answer) = if entry.scan_id.is_empty() {
            (None, Some(entry.answer), None)
        } else {
            (Some(entry.scan_id), None, Some(entry.answer))
        };
        Delivery {
            id: entry.id,
            scan_id,
            event,
            destination_id: entry.destination_id,
            destination: entry.destination,
            formats: entry.formats,
            answer,
            state,
            attempts: entry.attempts,
            made_at: rfc3339(entry.made_ms),
            due_at: moment(entry.due_ms),
            ended_at: moment(entry.ended_ms),
            words: entry.words,
        }
    }
}

/// Lists what went where, newest first
///
/// For the roles `admin` and `integrator`.
#[utoipa::path(
    operation_id = "list_deliveries", get, path = "/v1/deliveries", tag = "deliveries", params(WantedDeliveries),
    responses((status = 200, description = "One page of deliveries", body = Deliveries,
        headers(("Link" = Option<String>, description = "The next page, as `rel=\"next\"` (RFC 8288)")))),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    Query(wanted): Query<WantedDeliveries>,
) -> Result<(HeaderMap, Json<Deliveries>), Problem> {
    let state = wanted.state.map_or(delivery::DeliveryState::Unspecified, DeliveryState::wire);
    let asked = delivery::ListDeliveriesRequest {
        limit: limit_of(wanted.limit)?,
        cursor: wanted.cursor.unwrap_or_default(),
        destination_id: id_of(wanted.destination)?,
        scan_id: id_of(wanted.scan)?,
        state: state.into(),
    };
    let page = gateway.delivery.list_deliveries(caller.request(asked)).await?.into_inner();
    let (link, next_cursor) = next_page("/v1/deliveries", query, page.next_cursor);
    let deliveries = page.deliveries.into_iter().map(Delivery::from).collect();
    Ok((link, Json(Deliveries { deliveries, next_cursor })))
}

/// An id that may be left out, and is not empty where it is not.
fn id_of(asked: Option<String>) -> Result<String, Problem> {
    match asked {
        Some(id) if id.is_empty() => Err(INVALID.problem("an id that is asked for is not empty")),
        asked => Ok(asked.unwrap_or_default()),
    }
}

/// Sends a delivery that has ended once more
///
/// For the roles `admin` and `integrator`. It has the same id: a receiver that has it already can tell.
#[utoipa::path(
    operation_id = "send_again", post, path = "/v1/deliveries/{id}/again", tag = "deliveries",
    params(("id" = String, Path, description = "The delivery's id", format = "uuid")),
    responses(
        (status = 202, description = "It waits to be sent", body = Delivery),
        (status = 404, description = "No such delivery", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It waits already, or its destination is gone", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn again(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(axum::http::StatusCode, Json<Delivery>), Problem> {
    let asked = caller.request(delivery::DeliveryRef { id });
    let waiting = gateway.delivery.send_again(asked).await?.into_inner();
    Ok((axum::http::StatusCode::ACCEPTED, Json(waiting.into())))
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn a_delivery_is_of_a_scan_or_of_an_event() {
        for (scan_id, answer, expected) in [
            ("a scan", "found", json!(["a scan", null, "found"])),
            ("", "drift.detected", json!([null, "drift.detected", null])),
        ] {
            let [scan_id, answer] = [scan_id, answer].map(str::to_owned);
            let entry = delivery::DeliveryEntry { scan_id, answer, ..Default::default() };
            let shown = to_value(Delivery::from(entry)).unwrap();
            assert_eq!(json!([shown["scan_id"], shown["event"], shown["answer"]]), expected);
        }
    }
}
