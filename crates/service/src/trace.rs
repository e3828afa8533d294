//! Traces (OpenTelemetry): one upload is one trace, from the request through the queue into the model's run and back.
//!
//! Between services a trace travels in the header `traceparent` (W3C Trace Context), and with the job while that waits. It
//! begins at the edge; what nobody asked for (sweeps, heartbeats, probes) makes none.

use std::fmt::Display;
use std::time::Duration;

use domain::{ErrorKind, Result};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TraceId, TracerProvider};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tracing::{Span, field, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";
/// How long the last spans may take on their way out.
const LAST: Duration = Duration::from_secs(2);

/// Exports spans to an OpenTelemetry collector.
pub(crate) struct Exporter(SdkTracerProvider);

impl Exporter {
    /// To the OpenTelemetry collector that takes OTLP over gRPC at `endpoint`, in the name of this program.
    ///
    /// Spans are sent in the background, and dropped where the collector is away: no scan waits for them.
    pub fn to(endpoint: &str) -> Result<Exporter> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
        let exporter = exporter.map_err(|error| {
            ErrorKind::Invalid.error("bad address of a collector").because(error)
        })?;
        let resource = Resource::builder().with_service_name(program()).build();
        let provider =
            SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter);
        Ok(Exporter(provider.build()))
    }

    /// To nowhere: traces have ids all the same, which the log names, and peers are told.
    pub fn nowhere() -> Exporter {
        Exporter(SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build())
    }

    /// What spans are made with; they go this way.
    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer("medseg")
    }

    /// Sends what is left.
    pub async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last spans did not reach the collector");
        }
    }
}

fn program() -> String {
    let path = std::env::current_exe().ok();
    let name = path.as_deref().and_then(|path| path.file_name()?.to_str());
    name.unwrap_or("medseg").to_owned()
}

/// The current trace as `traceparent` writes it; empty where there is none.
pub fn traceparent() -> String {
    let mut headers = HeaderMap::new();
    inject(&mut headers);
    let text = headers.get(TRACEPARENT).and_then(|text| text.to_str().ok());
    text.unwrap_or_default().to_owned()
}

/// Makes `span` a part of the trace that `traceparent` names, if it names one, and says which in its field `trace_id`.
pub fn resume(span: &Span, traceparent: &str) {
    let value = HeaderValue::from_str(traceparent);
    let value = value.unwrap_or(HeaderValue::from_static(""));
    adopt(span, &HeaderMap::from_iter([(HeaderName::from_static(TRACEPARENT), value)]));
}

/// Says in `headers` which trace the current span is of.
pub(crate) fn inject(headers: &mut HeaderMap) {
    let context = Span::current().context();
    TraceContextPropagator::new().inject_context(&context, &mut Carrier(headers));
}

/// The span of a request: part of its caller's trace, or the beginning of one where people call.
pub(crate) fn of_request(service: &str, name: &str, headers: &HeaderMap, edge: bool) -> Span {
    if !edge && !headers.contains_key(TRACEPARENT) {
        return Span::none();
    }
    let span = info_span!(
        "request",
        otel.name = name,
        otel.kind = "server",
        service,
        trace_id = field::Empty,
        user.id = field::Empty,
        tenant.id = field::Empty,
        scan.id = field::Empty
    );
    adopt(&span, headers);
    span
}

/// Says in the log, for what is done within the current span, who asks. Ids, never names.
pub fn asked_by(user: &str, tenant: impl Display) {
    let span = Span::current();
    span.record("user.id", user);
    span.record("tenant.id", field::display(tenant));
}

/// Says in the log which scan the current span is about.
pub fn about_scan(id: &str) {
    Span::current().record("scan.id", id);
}

fn adopt(span: &Span, headers: &HeaderMap) {
    let parent: Context = TraceContextPropagator::new().extract(&HeadersOf(headers));
    if parent.span().span_context().is_valid() {
        // Refused where nothing is subscribed, as in tests: then there is no trace to be part of.
        let _ = span.set_parent(parent);
    }
    // For the log, so that its lines and the trace are found from each other.
    let context = span.context();
    let trace = context.span().span_context().trace_id();
    if trace != TraceId::INVALID {
        span.record("trace_id", trace.to_string());
    }
}

struct Carrier<'h>(&'h mut HeaderMap);

impl Injector for Carrier<'_> {
    fn set(&mut self, key: &str, value: String) {
        let (name, value) = (HeaderName::from_bytes(key.as_bytes()), HeaderValue::from_str(&value));
        if let (Ok(name), Ok(value)) = (name, value) {
            // An empty `tracestate` says nothing.
            if !value.is_empty() {
                self.0.insert(name, value);
            }
        }
    }
}

struct HeadersOf<'h>(&'h HeaderMap);

impl Extractor for HeadersOf<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
