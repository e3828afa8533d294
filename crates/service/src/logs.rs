use tracing_subscriber::filter::{Directive, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::trace::Exporter;

/// Crates that would write headers, and so tokens, or statements into the log at a chatty level.
const QUIET: [&str; 7] = ["h2", "hyper", "hyper_util", "lapin", "sqlx", "tonic", "tower"];

/// Logs JSON to standard error, one object a line, and hands spans to `traces`.
pub(crate) fn start(filter: EnvFilter, traces: Option<&Exporter>) {
    let logs = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_filter(quietened(filter));
    let traces = traces.map(|exporter| {
        tracing_opentelemetry::layer().with_tracer(exporter.tracer()).with_filter(LevelFilter::INFO)
    });
    tracing_subscriber::registry().with(logs).with(traces).init();
    std::panic::set_hook(Box::new(|panic| {
        // Where, never what: a panic's message may quote the data that it tripped over.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked");
    }));
}

/// Whatever the filter asks for, nothing that may carry a secret is let through.
fn quietened(filter: EnvFilter) -> EnvFilter {
    let quiet = QUIET.iter().filter_map(|name| format!("{name}=warn").parse::<Directive>().ok());
    quiet.fold(filter, EnvFilter::add_directive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_level_lets_headers_through() {
        let filter = quietened(EnvFilter::new("trace,h2=trace")).to_string();
        assert!(filter.contains("h2=warn") && !filter.contains("h2=trace"), "{filter}");
    }
}
