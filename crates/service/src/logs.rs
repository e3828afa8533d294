mod google;

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::filter::{Directive, LevelFilter, ParseError};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::trace::Exporter;
use google::Google;

/// Crates that would write headers, and so tokens, or statements into the log at a chatty level.
const QUIET: [&str; 7] = ["h2", "hyper", "hyper_util", "lapin", "sqlx", "tonic", "tower"];

/// What a process writes to standard output about what it does.
#[derive(Clone, Debug, clap::Args)]
pub struct LogSettings {
    /// What to log, as `RUST_LOG` would have it.
    #[arg(long, env, default_value = "info", value_parser = filter)]
    log: EnvFilter,

    /// How: lines for people, or JSON in the form that Google Cloud reads.
    #[arg(long, env, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// The Google Cloud project that traces are kept in, so that JSON lines lead to them.
    #[arg(long, env)]
    google_cloud_project: Option<String>,
}

/// What a command that runs services within itself tells of them on standard error: its output is for its results.
#[derive(Clone, Debug, clap::Args)]
pub struct ErrorLog {
    /// What to log on standard error, as `RUST_LOG` would have it.
    #[arg(long, default_value = "error", value_parser = filter)]
    log: EnvFilter,
}

impl ErrorLog {
    /// Logs from now on, one event a line.
    pub fn start(self) {
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = lines.with_ansi(std::io::stderr().is_terminal());
        tracing_subscriber::registry().with(lines.with_filter(quietened(self.log))).init();
    }
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object for programs.
    Json,
}

/// Made from text otherwise, a filter leaves out what it cannot read, and the log is not what was asked for.
fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    text.parse()
}

/// Logs to standard output, one event a line, and hands spans to `traces`.
pub(crate) fn start(settings: LogSettings, traces: &Exporter) {
    let LogSettings { log, log_format, google_cloud_project } = settings;
    let lines = tracing_subscriber::fmt::layer();
    let lines = match log_format {
        LogFormat::Json => lines
            .fmt_fields(JsonFields::new())
            .event_format(Google::of(google_cloud_project))
            .with_filter(quietened(log))
            .boxed(),
        LogFormat::Text => {
            lines.with_ansi(std::io::stdout().is_terminal()).with_filter(quietened(log)).boxed()
        }
    };
    let traces =
        tracing_opentelemetry::layer().with_tracer(traces.tracer()).with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(lines).with(traces).init();
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
    fn a_filter_that_cannot_be_read_is_refused() {
        assert!(filter("info,sqlx=warn").is_ok());
        assert!(filter("a=b=c").is_err());
    }

    #[test]
    fn no_level_lets_headers_through() {
        let filter = quietened(EnvFilter::new("trace,h2=trace")).to_string();
        assert!(filter.contains("h2=warn") && !filter.contains("h2=trace"), "{filter}");
    }
}
