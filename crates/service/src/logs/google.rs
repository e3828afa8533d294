use std::error::Error;
use std::fmt;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

const TRACE: &str = "logging.googleapis.com/trace";
const PLACE: &str = "logging.googleapis.com/sourceLocation";

/// One JSON object a line, under the names that Google's logging agents look for: `severity`, `time`, `message` and the
/// trace. What the spans around an event know (who asks, for which hospital, about which scan) stands beside it.
pub struct Google {
    /// What the id of a trace is written after.
    traces: String,
}

impl Google {
    /// Where a project is named, traces are written as its own.
    pub fn of(project: Option<String>) -> Google {
        let project = project.filter(|project| !project.is_empty());
        Google {
            traces: project.map_or_else(String::new, |name| format!("projects/{name}/traces/")),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Google
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let about = event.metadata();
        let mut line = Map::new();
        // From the outermost in: the nearest span knows best.
        let scope = context.event_scope().map(|scope| scope.from_root());
        for span in scope.into_iter().flatten() {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>();
            let known = fields.and_then(|fields| serde_json::from_str(&fields.fields).ok());
            let Some(Value::Object(known)) = known else { continue };
            // Those are instructions for the exporter of traces.
            line.extend(known.into_iter().filter(|(name, _)| !name.starts_with("otel.")));
        }
        event.record(&mut Fields(&mut line));
        if let Some(Value::String(id)) = line.remove("trace_id") {
            line.insert(TRACE.into(), format!("{}{id}", self.traces).into());
        }
        line.insert("severity".into(), severity(about.level()).into());
        line.insert("time".into(), time.into());
        line.insert("target".into(), about.target().into());
        if let (Some(file), Some(number)) = (about.file(), about.line()) {
            line.insert(PLACE.into(), json!({ "file": file, "line": number.to_string() }));
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

fn severity(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

struct Fields<'l>(&'l mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    /// With its causes, which are what an operator looks for.
    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let causes = std::iter::successors(Some(error), |&error| error.source());
        let words: Vec<_> = causes.map(ToString::to_string).collect();
        self.put(field, words.join(": "));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::{field, info_span};
    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged while `work` runs.
    fn logged(project: Option<&str>, work: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(Google::of(project.map(str::to_owned)))
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), work);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_says_how_bad_it_is_when_and_who_asked_about_what_in_which_trace() {
        let work = || {
            let outer = info_span!(
                "request",
                otel.name = "GET",
                trace_id = field::Empty,
                user.id = field::Empty
            );
            outer.record("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736");
            outer.record("user.id", "u1");
            let _outer = outer.entered();
            let _inner = info_span!("read", scan.id = "s1").entered();
            let error = domain::ErrorKind::Unavailable.error("no answer").because("refused");
            tracing::warn!(attempt = 2, error = &error as &dyn Error, "will retry");
            tracing::error!("worse");
        };
        let lines = logged(Some("hospital"), work);
        let at = |name: &str| lines[0][name].clone();
        assert_eq!(at("severity"), "WARNING");
        assert_eq!((at("message"), at("attempt")), ("will retry".into(), 2.into()));
        assert_eq!((at("user.id"), at("scan.id")), ("u1".into(), "s1".into()));
        assert_eq!(at("error"), "no answer: refused");
        let trace = "projects/hospital/traces/4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(
            (at(TRACE), at("trace_id"), at("otel.name")),
            (trace.into(), Value::Null, Value::Null)
        );
        assert!(at("time").as_str().is_some_and(|time| time.ends_with('Z')), "{}", at("time"));
        assert!(at(PLACE)["line"].is_string(), "{}", at(PLACE));
        assert_eq!(lines[1]["severity"], "ERROR");
    }

    #[test]
    fn without_a_project_the_trace_is_its_id_and_without_a_trace_there_is_none() {
        let lines = logged(None, || {
            tracing::info!(trace_id = "abc", "one");
            tracing::info!("two");
        });
        assert_eq!((&lines[0][TRACE], &lines[1][TRACE]), (&"abc".into(), &Value::Null));
    }
}
