//! The JSON interface: topics and subscriptions are made and looked at.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::broker::{DeadLetters, Subscription};
use crate::{State, lock};

pub fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/v1/projects/{project}/topics", get(topics))
        .route("/v1/projects/{project}/topics/{topic}", get(topic).put(new_topic))
        .route(
            "/v1/projects/{project}/subscriptions/{subscription}",
            get(subscription).put(new_subscription),
        )
        .with_state(state)
}

/// Nobody reads more of a list than that there is one.
async fn topics(Shared(state): Shared<Arc<State>>) -> Response {
    refused(&state).unwrap_or_else(|| Json(json!({})).into_response())
}

async fn topic(
    Shared(state): Shared<Arc<State>>,
    Path((project, topic)): Path<(String, String)>,
) -> Response {
    let name = format!("projects/{project}/topics/{topic}");
    if let Some(refused) = refused(&state) {
        return refused;
    }
    if !lock(&state.broker).has_topic(&name) {
        return failed(StatusCode::NOT_FOUND, "NOT_FOUND");
    }
    Json(json!({ "name": name })).into_response()
}

async fn new_topic(
    Shared(state): Shared<Arc<State>>,
    Path((project, topic)): Path<(String, String)>,
) -> Response {
    let name = format!("projects/{project}/topics/{topic}");
    if let Some(refused) = refused(&state) {
        return refused;
    }
    if !lock(&state.broker).add_topic(&name) {
        return failed(StatusCode::CONFLICT, "ALREADY_EXISTS");
    }
    Json(json!({ "name": name })).into_response()
}

async fn subscription(
    Shared(state): Shared<Arc<State>>,
    Path((project, subscription)): Path<(String, String)>,
) -> Response {
    let name = format!("projects/{project}/subscriptions/{subscription}");
    if let Some(refused) = refused(&state) {
        return refused;
    }
    match lock(&state.broker).topic_of(&name) {
        Some(topic) => Json(json!({ "name": name, "topic": topic })).into_response(),
        None => failed(StatusCode::NOT_FOUND, "NOT_FOUND"),
    }
}

async fn new_subscription(
    Shared(state): Shared<Arc<State>>,
    Path((project, subscription)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Response {
    let name = format!("projects/{project}/subscriptions/{subscription}");
    if let Some(refused) = refused(&state) {
        return refused;
    }
    let topic = body["topic"].as_str().unwrap_or_default();
    let policy = &body["deadLetterPolicy"];
    let dead_letters = policy["deadLetterTopic"].as_str().map(|topic| DeadLetters {
        topic: topic.to_owned(),
        attempts: policy["maxDeliveryAttempts"].as_i64().unwrap_or(5),
    });
    let mut broker = lock(&state.broker);
    let dead_topic = dead_letters.as_ref().map(|dead| dead.topic.as_str());
    if !std::iter::once(topic).chain(dead_topic).all(|topic| broker.has_topic(topic)) {
        return failed(StatusCode::NOT_FOUND, "NOT_FOUND");
    }
    if !broker.add_subscription(&name, Subscription::new(topic, dead_letters)) {
        return failed(StatusCode::CONFLICT, "ALREADY_EXISTS");
    }
    Json(json!({ "name": name, "topic": topic })).into_response()
}

fn refused(state: &State) -> Option<Response> {
    state.refuses().then(|| failed(StatusCode::FORBIDDEN, "PERMISSION_DENIED"))
}

/// As Google's interfaces say what went wrong.
fn failed(code: StatusCode, status: &str) -> Response {
    let error = json!({ "code": code.as_u16(), "status": status, "message": "the double says so" });
    (code, Json(json!({ "error": error }))).into_response()
}
