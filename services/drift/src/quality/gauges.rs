//! The figures of the last weeks as metrics: of all hospitals together, for whoever runs the mesh.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::statistics::Rate;
use domain::{Clock, Result};
use metrics::Unit::Count;
use metrics::{describe_gauge, gauge};
use service::Worker;

use super::bound::Bound;
use super::figures::{Group, Pool, figures};
use super::groups::By;
use super::{Period, apart, of_period, offline_gauges};
use crate::store::Store;

/// How far back scans count: a model is worse for four weeks at most before nobody sees it any more in the figures.
const PERIOD_MS: i64 = 28 * 24 * 3600 * 1000;
const INTERVAL: Duration = Duration::from_secs(60);

/// Shows the figures of each model, live and offline, and shows them anew every minute.
pub fn watch(store: Store, clock: Clock, bound: Bound) -> Worker {
    Worker::new("quality", move |stop| async move {
        let (mut shown, mut shown_offline) = (BTreeSet::new(), BTreeSet::new());
        while !stop.is_cancelled() {
            match by_model(&store, clock.now_ms(), bound).await {
                Ok(groups) => show(&groups, &mut shown),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not measure what readers say"
                ),
            }
            let offline = offline_gauges::refresh(&store, clock.now_ms(), &mut shown_offline);
            if let Err(error) = offline.await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not show what was measured offline"
                );
            }
            stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await;
        }
        Ok(())
    })
}

async fn by_model(store: &Store, now_ms: i64, bound: Bound) -> Result<Vec<Group>> {
    // What a clock that runs ahead has completed is counted, too.
    let period = Period { from_ms: now_ms - PERIOD_MS, to_ms: i64::MAX };
    let seen = store.seen_of_all(period).await?;
    let (words, _) = store.words_of_all(period).await?;
    apart(move || figures(By::Model, &seen, &of_period(words, period), &[], bound)).await
}

/// Sets the gauges of `groups`. What was shown of a model that has no scan any more is no number from now on: it would stand
/// there for ever.
fn show(groups: &[Group], shown: &mut BTreeSet<String>) {
    groups.iter().for_each(gauges);
    let there: BTreeSet<String> = groups.iter().map(|group| group.name.clone()).collect();
    shown.difference(&there).for_each(|gone| gauges(&of_no_scan(gone)));
    *shown = there;
}

fn of_no_scan(name: &str) -> Group {
    Group::of(name.to_owned(), &Pool::default())
}

fn gauges(group: &Group) {
    let model = &group.name;
    for (of, scans) in [("answered", group.scans), ("reviewed", group.reviewed)] {
        gauge!("medseg_quality_scans", "model" => model.clone(), "of" => of).set(scans as f64);
    }
    let dice = group.dice.map(|dice| (dice.mean, dice.interval));
    figure(model, "dice", dice, group.dice.map_or(0, |dice| dice.count));
    for (name, rate) in slices(group) {
        figure(model, name, rate.rate.map(|value| (value, rate.interval)), rate.of);
    }
    let weighted = group.weighted.as_ref();
    for (name, rate) in [
        ("far_weighted", weighted.and_then(|weighted| weighted.far)),
        ("frr_weighted", weighted.and_then(|weighted| weighted.frr)),
    ] {
        let of = rate.map_or(0, |rate| rate.effective.round() as usize);
        figure(model, name, rate.map(|rate| (rate.rate, rate.interval)), of);
    }
    let evidence = group.alarm.map(|alarm| alarm.evidence);
    gauge!("medseg_quality_evidence", "model" => model.clone())
        .set(evidence.map_or(f64::NAN, |evidence| evidence.peak));
    gauge!("medseg_quality_alarm", "model" => model.clone())
        .set(f64::from(u8::from(evidence.is_some_and(|evidence| evidence.is_alarm))));
    for (name, rate) in [("far", group.far), ("frr", group.frr), ("agree", group.agree)] {
        // Of nothing there is no rate, and no interval that an alert could take for one.
        figure(model, name, rate.rate.map(|value| (value, rate.interval)), rate.of);
    }
}

/// Rates by slice; of nothing where no word tells.
fn slices(group: &Group) -> [(&'static str, Rate); 2] {
    let nothing = Rate::new(0, 0);
    [
        ("slice_far", group.slices.map_or(nothing, |slices| slices.far)),
        ("slice_frr", group.slices.map_or(nothing, |slices| slices.frr)),
    ]
}

/// Sets a figure with its interval, and how many scans it is of.
fn figure(model: &str, name: &'static str, value: Option<(f64, [f64; 2])>, scans: usize) {
    let model = || model.to_owned();
    let (value, [low, high]) = value.unwrap_or((f64::NAN, [f64::NAN; 2]));
    for (bound, value) in [("value", value), ("low", low), ("high", high)] {
        gauge!("medseg_quality_figure", "model" => model(), "figure" => name, "bound" => bound)
            .set(value);
    }
    gauge!("medseg_quality_figure_scans", "model" => model(), "figure" => name).set(scans as f64);
}

pub fn describe() {
    offline_gauges::describe();
    describe_gauge!(
        "medseg_quality_scans",
        Count,
        "Scans of the last 28 days, by model: answered, and reviewed"
    );
    describe_gauge!("medseg_quality_figure_scans", Count, "How many scans each figure is of");
    describe_gauge!(
        "medseg_quality_figure",
        "By what readers say of the last 28 days' scans: Dice, false acceptance and rejection (by scan, by slice, and by weight), agreement, with 95 % intervals"
    );
    describe_gauge!(
        "medseg_quality_evidence",
        "The most evidence of the last 28 days that more of a model's answers are wrong than may be"
    );
    describe_gauge!(
        "medseg_quality_alarm",
        "Whether that is as much as the false-alarm budget asks for: 1, or 0"
    );
}

#[cfg(test)]
mod tests {
    use domain::evidence::ErrorTest;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::quality::bound::Alarm;
    use crate::quality::figures::{MeanDice, SliceRates};

    #[test]
    fn each_figure_is_shown_with_its_interval_and_with_how_many_it_is_of() {
        let dice = MeanDice {
            mean: 0.5,
            interval: [0.25, 0.75],
            count: 3,
            empty: 1,
            mean_not_empty: None,
        };
        let bound = Bound { error_max: 0.2, budget_scans: 4 };
        let test = ErrorTest::new(bound.error_max, bound.budget_scans).unwrap();
        let evidence = test.evidence([true, true]);
        let group = Group {
            scans: 9,
            reviewed: 4,
            dice: Some(dice),
            frr: Rate::new(1, 2),
            slices: Some(SliceRates { far: Rate::new(1, 4), frr: Rate::new(0, 0), scans: 1 }),
            alarm: Some(Alarm { bound, evidence }),
            ..of_no_scan("m/1")
        };
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown_by = |groups: &[Group], shown: &mut BTreeSet<String>| {
            metrics::with_local_recorder(&recorder, || show(groups, shown));
            recorder.handle().render()
        };
        let mut shown = BTreeSet::new();
        let text = shown_by(&[group], &mut shown);
        for line in [
            r#"medseg_quality_scans{model="m/1",of="answered"} 9"#,
            r#"medseg_quality_scans{model="m/1",of="reviewed"} 4"#,
            r#"medseg_quality_figure_scans{model="m/1",figure="frr"} 2"#,
            r#"medseg_quality_figure_scans{model="m/1",figure="dice"} 3"#,
            r#"medseg_quality_figure{model="m/1",figure="frr",bound="value"} 0.5"#,
            r#"medseg_quality_figure{model="m/1",figure="slice_far",bound="value"} 0.25"#,
            r#"medseg_quality_alarm{model="m/1"} 1"#,
            r#"medseg_quality_evidence{model="m/1"} 4"#,
            r#"medseg_quality_figure{model="m/1",figure="dice",bound="low"} 0.25"#,
            r#"medseg_quality_figure{model="m/1",figure="far",bound="low"} NaN"#,
        ] {
            assert!(text.lines().any(|said| said == line), "{line}: {text}");
        }
        // Its scans are too old by now.
        let text = shown_by(&[], &mut shown);
        for line in [
            r#"medseg_quality_scans{model="m/1",of="answered"} 0"#,
            r#"medseg_quality_alarm{model="m/1"} 0"#,
            r#"medseg_quality_figure{model="m/1",figure="frr",bound="value"} NaN"#,
        ] {
            assert!(text.lines().any(|said| said == line), "{line}: {text}");
        }
    }
}
