//! A report as one page that needs nothing else: it can be mailed, printed and kept.

use maud::{Markup, PreEscaped, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::plot;
use crate::report::{Feature, ModelCount, Report, Times, Verdict};
use crate::written::{number, percent};

const STYLE: &str = "
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1c2024;background:#fff}
h1{font-size:1.6rem;margin:0}h2{font-size:1.2rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:0}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #d5d9de}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.v{font-weight:600;white-space:nowrap}.drift{color:#a4161a}.watch{color:#8a5a00}.stable{color:#1a6b3c}.none{color:#5b6570}
section{break-inside:avoid;margin:1.5rem 0;border-top:1px solid #d5d9de;padding-top:1rem}
svg{width:100%;height:auto}.key{display:inline-block;width:1.2em;height:.8em;margin:0 .3em 0 1em;vertical-align:baseline}
@media print{body{margin:0;max-width:none}}";

/// The page of `report`.
pub fn html(report: &Report) -> String {
    let page = html! {
        (PreEscaped("<!doctype html>\n"))
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Drift report" }
                meta name="viewport" content="width=device-width";
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                h1 { "Drift report: " (verdict(report.verdict)) }
                p { (sentence(report)) }
                (facts(report))
                (overview(report))
                @for feature in &report.features { (section(feature)) }
                (method(report))
            } }
        }
    };
    page.into_string() + "\n"
}

fn sentence(report: &Report) -> String {
    let named = |wanted| {
        let found = report.features.iter().filter(|feature| feature.verdict == wanted);
        found.map(|feature| feature.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    match report.verdict {
        Verdict::Drift => {
            format!("What the model sees has drifted from its training: {}.", named(Verdict::Drift))
        }
        Verdict::Watch => format!("Worth watching: {}.", named(Verdict::Watch)),
        Verdict::Stable => "Every feature that could be judged is as it was in training.".into(),
        Verdict::TooFewScans => format!(
            "Too few scans for a verdict: at least {} with a value are needed.",
            report.thresholds.scans_min
        ),
        Verdict::NoReference => "There is no training reference to compare with.".into(),
    }
}

fn facts(report: &Report) -> Markup {
    let from = if report.from_ms == 0 { "the beginning".into() } else { utc(report.from_ms) };
    let cut = if report.cut { " (the newest; the window holds more)" } else { "" };
    html! {
        table { tbody {
            (row("Window", &format!("{from} to {}", utc(report.to_ms))))
            (row("Scans", &format!("{}{cut}", report.scans)))
            @for (answer, count) in &report.answers {
                (row(&format!("Answer: {}", answer.replace('_', " ")), &count.to_string()))
            }
            (row("Response time (upload accepted to result readable)", &times(report.response_ms)))
            (row("The model's part of it", &times(report.compute_ms)))
            @for count in &report.models { (model(count)) }
            (row("Report", &format!("{}, made {}", report.id, utc(report.created_ms))))
            @if report.models.len() > 1 {
                tr { td colspan="2" { "More than one model answered in this window; the reference belongs to one." } }
            }
        } }
    }
}

fn model(count: &ModelCount) -> Markup {
    // An engine without weights has no digest.
    let digest = count.model.sha256.get(..12);
    let weights = digest.map_or_else(String::new, |digest| format!(", weights {digest}"));
    row(
        &format!("Model {} {}", count.model.name, count.model.version),
        &format!("{} scans{weights}", count.scans),
    )
}

fn row(name: &str, value: &str) -> Markup {
    html! { tr { th scope="row" { (name) } td { (value) } } }
}

fn times(times: Option<Times>) -> String {
    times.map_or_else(
        || "not measured".into(),
        |Times { scans, p50, p95, p99 }| {
            format!("p50 {p50:.0} ms, p95 {p95:.0} ms, p99 {p99:.0} ms ({scans} scans)")
        },
    )
}

fn overview(report: &Report) -> Markup {
    html! {
        h2 { "Features" }
        table {
            thead { tr {
                th scope="col" { "Feature" }
                th scope="col" { "Verdict" }
                @for title in ["Scans", "PSI", "KS distance", "KS p", "Beyond training", "Median (training)"] {
                    th.n scope="col" { (title) }
                }
            } }
            tbody {
                @for feature in &report.features { (line(feature)) }
            }
        }
        p {
            span.key style="background:#9db8d3" {} "training reference"
            span.key style="border-top:2px solid #b3410e;height:0" {} "this window"
        }
    }
}

fn line(feature: &Feature) -> Markup {
    html! {
        tr {
            th scope="row" { (feature.name) }
            td { (verdict(feature.verdict)) }
            td.n { (feature.scans) }
            td.n { (optional(feature.psi)) }
            td.n { (optional(feature.ks_statistic)) }
            td.n { (optional(feature.ks_p_value)) }
            td.n { (feature.beyond.map(percent).unwrap_or_default()) }
            td.n { (optional(feature.median)) " (" (optional(feature.reference_median)) ")" }
        }
    }
}

fn section(feature: &Feature) -> Markup {
    let Some(histogram) = &feature.histogram else { return Markup::default() };
    html! {
        section {
            h3 { (feature.name) ": " (verdict(feature.verdict)) }
            (plot::histogram(&feature.name, histogram))
        }
    }
}

fn method(report: &Report) -> Markup {
    let limits = report.thresholds;
    html! {
        h2 { "How this was judged" }
        p {
            "PSI is the population stability index over bins of equal width, an empty bin's share being taken for 0.0001. KS is \
             the two-sample Kolmogorov-Smirnov test with its exact p-value (beyond 10,000 values the asymptotic one). Both are \
             those of Evidently 0.7. A feature is worth watching from a PSI of " (limits.psi_watch) " and has drifted from " (limits.psi_drift) ", in both cases only \
             when its p-value is below " (number(limits.p_max)) " (" (crate::report::P_MAX) " shared out among the features \
             compared). How scans were taken (rows, echo time) is judged by the share of scans beyond all that was trained on, from 10 % and 25 % on, \
             and by how improbable so many are. With fewer than " (limits.scans_min) " scans nothing is concluded."
        }
    }
}

/// In words first: colour alone says nothing to some readers, and to no printer.
fn verdict(verdict: Verdict) -> Markup {
    let (class, words) = match verdict {
        Verdict::NoReference => ("none", "no reference"),
        Verdict::TooFewScans => ("none", "too few scans"),
        Verdict::Stable => ("stable", "stable"),
        Verdict::Watch => ("watch", "watch"),
        Verdict::Drift => ("drift", "drift"),
    };
    html! { span.v.(class) { (words) } }
}

fn utc(ms: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(ms / 1000).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{ms} ms"))
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), number)
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
