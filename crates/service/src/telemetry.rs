use std::sync::OnceLock;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::Instrument;

use crate::trace;

/// Seconds; from a call within the process to an upload of gigabytes.
const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The process's one recorder of metrics; made at the first call.
pub(crate) fn prometheus() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).unwrap_or_default();
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics is installed");
        }
        handle
    })
}

/// The text of `/metrics`.
pub(crate) async fn render() -> String {
    let prometheus = prometheus();
    // Histograms pile up until they are drained.
    prometheus.run_upkeep();
    prometheus.render()
}

/// Counts and times every request, by its route as written, so that no id becomes a label.
pub(crate) async fn measure(service: &'static str, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let labels = [
        ("service", service.to_owned()),
        ("method", method_name(request.method()).to_owned()),
        ("route", route.clone().unwrap_or_else(|| "none".into())),
    ];
    // People call the interface under /v1; services call each other, each with its caller's trace.
    let edge = route.as_deref().is_some_and(|route| route.starts_with("/v1/"));
    let called = named(route.as_deref(), request.uri().path());
    let name = format!("{} {called}", method_name(request.method()));
    let span = trace::of_request(service, &name, request.headers(), edge);
    let begun = Instant::now();
    let response = next.run(request).instrument(span).await;
    let status = ("status", status_of(&response));
    metrics::histogram!("medseg_request_seconds", &labels).record(begun.elapsed());
    let labels: Vec<(&str, String)> = labels.into_iter().chain([status]).collect();
    metrics::counter!("medseg_requests_total", &labels).increment(1);
    response
}

/// What a request's span is named by: the route as written, since a path may have a secret in it, and one that no route is for whatever
/// somebody has typed. Of a whole gRPC service, what the path says behind it is which call that is.
fn named<'a>(route: Option<&'a str>, path: &'a str) -> &'a str {
    match route {
        Some(route) if route.ends_with("/{*rest}") => path,
        Some(route) => route,
        None => "none",
    }
}

/// The method as it is counted and logged: of those that callers invent, each would be a series of numbers for ever.
pub fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// gRPC's own status where the response ends with its headers, else HTTP's.
fn status_of(response: &Response) -> String {
    let grpc = response.headers().get("grpc-status").and_then(|status| status.to_str().ok());
    grpc.map_or_else(|| response.status().as_u16().to_string(), |code| format!("grpc-{code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_span_is_named_by_what_somebody_has_typed() {
        for (route, path, name) in [
            (Some("/v1/scans/{id}"), "/v1/scans/1", "/v1/scans/{id}"),
            (Some("/tell/{token}"), "/tell/secret", "/tell/{token}"),
            (None, "/tell/secret/", "none"),
            (Some("/a.Service/{*rest}"), "/a.Service/Call", "/a.Service/Call"),
        ] {
            assert_eq!(named(route, path), name, "{path}");
        }
    }
}
