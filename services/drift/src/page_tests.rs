use std::collections::BTreeMap;

use domain::Answer;
use proto::events::{ModelIdentity, Observation};

use super::*;
use crate::reference::{Distribution, Reference};
use crate::report::{CompletedScan, Window, report};
use crate::written::percent;

fn page() -> String {
    let name = "<img src=x onerror=alert(1)>\"&";
    let distribution =
        Distribution { edges: vec![0.0, 0.5, 1.0], counts: vec![1, 1], sample: vec![0.2, 0.7] };
    let reference = Reference {
        features: BTreeMap::from([(name.to_owned(), distribution)]),
        ..Reference::default()
    };
    let features = BTreeMap::from([(name.to_owned(), 0.4)]);
    let observation = Some(Observation { features, ..Default::default() });
    let seen = CompletedScan { answer: Answer::Found, response_ms: Some(7), observation };
    let window = Window { from_ms: 0, to_ms: 1000, scans: vec![seen], cut: false };
    html(&report("r".into(), 1000, &window, &reference))
}

#[test]
fn a_page_stands_alone() {
    let page = page();
    for outside in ["http:", "https:", "src=\"", "href=", "<script", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("<svg") && page.contains("too few scans"));
}

#[test]
fn names_are_shown_and_never_obeyed() {
    let page = page();
    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;&quot;&amp;"));
}

#[test]
fn numbers_have_three_digits() {
    let words = [0.0, 0.123_45, 12.345, 987.6, 0.000_012, -3.0].map(number);
    assert_eq!(words, ["0", "0.123", "12.3", "988", "1.2e-5", "-3.00"]);
}

/// A report on two features, as it is before anything about it is changed.
fn two_features() -> Report {
    let distribution =
        Distribution { edges: vec![0.0, 1.0], counts: vec![2], sample: vec![0.2, 0.7] };
    let named = |name: &str| (name.to_owned(), distribution.clone());
    let reference =
        Reference { features: [named("kept"), named("moved")].into(), ..Reference::default() };
    let window = Window { from_ms: 0, to_ms: 1000, scans: Vec::new(), cut: false };
    report("r".into(), 1000, &window, &reference)
}

#[test]
fn a_report_names_what_its_verdict_is_about_and_nothing_else() {
    for (verdict, kept, sentence) in [
        (Verdict::Drift, Verdict::Watch, "has drifted from its training: moved."),
        (Verdict::Watch, Verdict::Stable, "Worth watching: moved."),
        (Verdict::Stable, Verdict::TooFewScans, "is as it was in training."),
        (Verdict::TooFewScans, Verdict::NoReference, "at least 30 with a value are needed."),
        (Verdict::NoReference, Verdict::NoReference, "no training reference to compare with."),
    ] {
        let mut report = Report { verdict, ..two_features() };
        report.features[0].verdict = kept;
        report.features[1].verdict = verdict;
        let page = html(&report);
        assert!(page.contains(sentence), "{sentence}");
    }
}

#[test]
fn a_window_says_what_it_leaves_out_and_where_it_begins() {
    let page = html(&two_features());
    assert!(page.contains("the beginning to 1970-01-01T00:00:01Z"));
    assert!(!page.contains("the window holds more"));
    let cut = Report { cut: true, scans: 20_000, from_ms: 86_400_000, ..two_features() };
    let page = html(&Report { to_ms: 172_800_000, ..cut });
    assert!(page.contains("1970-01-02T00:00:00Z to 1970-01-03T00:00:00Z"));
    assert!(page.contains("20000 (the newest; the window holds more)"));
}

#[test]
fn times_are_shown_only_where_they_were_measured() {
    let page = html(&two_features());
    assert_eq!(page.matches("not measured").count(), 2);
    let times = Some(Times { scans: 3, p50: 40.4, p95: 95.0, p99: 99.6 });
    let page = html(&Report { response_ms: times, ..two_features() });
    assert!(page.contains("p50 40 ms, p95 95 ms, p99 100 ms (3 scans)"));
    assert_eq!(page.matches("not measured").count(), 1);
}

#[test]
fn the_weights_of_each_model_are_named_and_two_models_are_warned_of() {
    let model = |version: &str, sha256: &str| {
        let (name, version, sha256) = ("medseg-mr".into(), version.into(), sha256.into());
        ModelCount { model: ModelIdentity { name, version, sha256 }, scans: 9 }
    };
    let one = model("1", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    let page = html(&Report { models: vec![one.clone()], ..two_features() });
    assert!(page.contains("9 scans, weights 0123456789ab<"));
    assert!(!page.contains("More than one model"));
    // An engine of closed form has no weights.
    let page = html(&Report { models: vec![one, model("2", "")], ..two_features() });
    assert!(page.contains("Model medseg-mr 2</th><td>9 scans</td>"));
    assert!(page.contains("More than one model answered in this window"));
}

#[test]
fn large_and_small_numbers_are_written_as_powers_of_ten() {
    for (value, text) in
        [(9999.0, "9999"), (10_000.0, "1.0e4"), (-25_000.0, "-2.5e4"), (0.001, "0.00100")]
    {
        assert_eq!(number(value), text);
    }
    let shares = [0.0, 0.004, 0.05, 0.1, 1.0].map(percent);
    assert_eq!(shares, ["0 %", "0.4 %", "5.0 %", "10 %", "100 %"]);
}
