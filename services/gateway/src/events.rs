use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::TenantId;
use futures::{Stream, StreamExt, stream};
use proto::storage::{self, ScanRef, WatchScans};
use service::Share;
use tonic::{Status, Streaming};
use utoipa::ToSchema;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::Path;
use crate::problem::{INVALID, NOT_FOUND, Problem};
use crate::scans::Scan;

/// Shorter than what proxies take for a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long the stream of all scans goes on: whoever listens comes back with a token that is still good.
const OPEN: Duration = Duration::from_secs(60);

/// The stream: one text, or event by event.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the API")]
enum ScanEvents {
    Text(String),
    Event(ScanEvent),
}

/// One event of the stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the API")]
struct ScanEvent {
    event: EventName,
    /// For `Last-Event-ID`; a `problem` has none.
    id: Option<String>,
    /// As JSON, what the event is named after.
    data: String,
}

/// What an event tells of.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
enum EventName {
    Scan,
    Problem,
}

/// The stream of all scans: one text, or event by event.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the API")]
enum WorklistEvents {
    Text(String),
    Event(WorklistEvent),
}

/// One event of that stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the API")]
struct WorklistEvent {
    event: WorklistEventName,
    /// For `Last-Event-ID`; a `problem` has none.
    id: Option<String>,
    /// As JSON: a scan, the `id` of one that was deleted, a problem, or nothing.
    data: String,
}

/// What such an event tells of.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
enum WorklistEventName {
    Begin,
    Scan,
    Deleted,
    Problem,
}

/// Tells of each change of a scan until it is done
///
/// Server-sent events: `scan` with the scan as JSON, first as it is now. The stream ends when the
/// scan is done. Send `Last-Event-ID` to go on where a connection broke; when there is nothing more to
/// tell, the answer is 204. A stream that fails ends with the event `problem`, and one whose caller may not have it any more
/// ends within a minute.
#[utoipa::path(
    operation_id = "watch_scan", get, path = "/v1/scans/{id}/events", tag = "scans",
    params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "The events; the data of each is a `Scan`", body = ScanEvents, content_type = "text/event-stream"),
        (status = 204, description = "Nothing has happened since, and nothing more will"),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn watch(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut changes = gateway.scans.watch(caller.request(ScanRef { id })).await?.into_inner();
    let first = changes.message().await?.ok_or_else(|| NOT_FOUND.problem("no such scan"))?;
    let first = Scan::try_from(first)?;
    let seen = headers
        .get("last-event-id")
        .is_some_and(|seen| seen.as_bytes() == event_id(&first).as_bytes());
    if seen && first.is_done() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let first = (!seen).then(|| event(&first));
    let events = stream::iter(first).chain(rest(changes)).map(Ok::<_, Infallible>);
    // A scan may wait for longer than its watcher is let in.
    let events = events.take_until(caller.revoked(&gateway.verifier));
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Proxies of the nginx family would hold the events back.
    Ok(([("x-accel-buffering", "no")], events).into_response())
}

fn rest(changes: Streaming<storage::Scan>) -> impl Stream<Item = Event> {
    stream::unfold(Some(changes), async |changes| {
        let mut changes = changes?;
        match changes.message().await.transpose()? {
            Ok(scan) => match Scan::try_from(scan) {
                Ok(scan) => Some((event(&scan), Some(changes))),
                Err(problem) => Some((problem_event(problem), None)),
            },
            Err(status) => Some((status_event(status), None)),
        }
    })
}

fn event(scan: &Scan) -> Event {
    data(Event::default().event("scan").id(event_id(scan)), scan)
}

fn status_event(status: Status) -> Event {
    problem_event(status.into())
}

fn problem_event(problem: Problem) -> Event {
    data(Event::default().event("problem"), &problem)
}

fn data(event: Event, json: &impl serde::Serialize) -> Event {
    event.data(serde_json::to_string(json).unwrap_or_default())
}

/// The same for the same state, whoever tells of it: a broken connection goes on anywhere.
fn event_id(scan: &Scan) -> String {
    format!("{}-{}", scan.state, scan.attempt)
}

/// Tells of each change of all the hospital's scans
///
/// Server-sent events: `scan` with the scan as JSON, and `deleted` with the `id` of one that there is no more. After a minute the stream
/// ends; send `Last-Event-ID` to go on from there: what happened meanwhile comes first, and some of what was told comes again. Without it
/// the stream begins now, with the event `begin`, so that there is an id to come back with. Follow it before you list the scans, and
/// nothing is missed. A stream that fails ends with the event `problem`.
#[utoipa::path(
    operation_id = "watch_scans", get, path = "/v1/events", tag = "scans",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was heard", pattern = "^[0-9]{1,15}$")),
    responses((status = 200, description = "The events", body = WorklistEvents, content_type = "text/event-stream")),
    security(("bearer" = [])),
)]
pub async fn watch_all(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = gateway.streams.take(caller.tenant())?;
    let since_ms = heard_ms(&headers)?;
    let request = caller.request(WatchScans { since_ms: since_ms.unwrap_or_default() });
    let changes = gateway.scans.watch_all(request).await?.into_inner();
    let begin = since_ms.is_none().then(|| begin_event(gateway.clock.now_ms()));
    let events = stream::iter(begin).chain(all(changes, place)).map(Ok::<_, Infallible>);
    let events = events.take_until(tokio::time::sleep(OPEN));
    let events = events.take_until(caller.revoked(&gateway.verifier));
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(([("x-accel-buffering", "no")], events).into_response())
}

/// The time that `Last-Event-ID` names; None: there is none.
fn heard_ms(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(id) = headers.get("last-event-id") else { return Ok(None) };
    let ms = id.to_str().ok().and_then(|id| id.parse::<i64>().ok()).filter(|ms| *ms > 0);
    ms.map(Some).ok_or_else(|| INVALID.problem("`Last-Event-ID` is no id of an event of these"))
}

/// The changes, for as long as which the place is taken.
fn all(
    changes: Streaming<storage::ScanChange>,
    place: Share<TenantId>,
) -> impl Stream<Item = Event> {
    stream::unfold(Some((changes, place)), async |open| {
        let (mut changes, place) = open?;
        match changes.message().await.transpose()? {
            Ok(change) => match change_event(change) {
                Ok(event) => Some((event, Some((changes, place)))),
                Err(problem) => Some((problem_event(problem), None)),
            },
            Err(status) => Some((status_event(status), None)),
        }
    })
}

fn change_event(change: storage::ScanChange) -> Result<Event, Problem> {
    let storage::ScanChange { changed_ms, scan, deleted_id } = change;
    let event = Event::default().id(changed_ms.to_string());
    match scan {
        Some(scan) => Ok(data(event.event("scan"), &Scan::try_from(scan)?)),
        None => Ok(data(event.event("deleted"), &serde_json::json!({ "id": deleted_id }))),
    }
}

fn begin_event(now_ms: i64) -> Event {
    data(Event::default().event("begin").id(now_ms.to_string()), &serde_json::json!({}))
}
