//! The newest offline figures of each model as metrics, whichever hospital has reported them.

use std::collections::{BTreeMap, BTreeSet};

use domain::Result;
use metrics::Unit::Seconds;
use metrics::{describe_gauge, gauge};

use super::offline::Evaluated;
use crate::store::Store;

/// How far back an evaluation is shown: a model that nobody measures any more has no figure.
const SHOWN_MS: i64 = 90 * 24 * 3600 * 1000;
/// Evaluations that are looked through, and models that are shown: those that were measured last.
const LOOKED_AT: i64 = 200;
const MODELS_MAX: usize = 20;

/// Shows the newest evaluation of each model.
pub async fn refresh(store: &Store, now_ms: i64, shown: &mut BTreeSet<String>) -> Result<()> {
    let newest = store.newest_evaluations(now_ms - SHOWN_MS, LOOKED_AT).await?;
    show(newest, shown);
    Ok(())
}

/// Sets the gauges. What was shown of a model that is shown no more is no number from now on.
fn show(newest: Vec<Evaluated>, shown: &mut BTreeSet<String>) {
    let mut of_models = BTreeMap::<String, Evaluated>::new();
    for evaluated in newest {
        let model = evaluated.model();
        if of_models.len() < MODELS_MAX || of_models.contains_key(&model) {
            of_models.entry(model).or_insert(evaluated);
        }
    }
    of_models.iter().for_each(|(model, evaluated)| gauges(model, Some(evaluated)));
    let there: BTreeSet<String> = of_models.into_keys().collect();
    shown.difference(&there).for_each(|gone| gauges(gone, None));
    *shown = there;
}

fn gauges(model: &str, evaluated: Option<&Evaluated>) {
    let rate = |of: fn(&Evaluated) -> domain::statistics::Rate| {
        let rate = evaluated.map(of)?;
        Some((rate.rate?, rate.interval))
    };
    let dice = evaluated.and_then(Evaluated::dice);
    for (figure, value) in
        [("dice", dice), ("slice_far", rate(Evaluated::far)), ("slice_frr", rate(Evaluated::frr))]
    {
        let (value, [low, high]) = value.unwrap_or((f64::NAN, [f64::NAN; 2]));
        for (bound, value) in [("value", value), ("low", low), ("high", high)] {
            gauge!("medseg_evaluation_figure", "model" => model.to_owned(), "figure" => figure, "bound" => bound)
                .set(value);
        }
    }
    let at_s = evaluated.map_or(f64::NAN, |evaluated| evaluated.evaluated_ms as f64 / 1000.0);
    gauge!("medseg_evaluation_timestamp_seconds", "model" => model.to_owned()).set(at_s);
}

pub fn describe() {
    describe_gauge!(
        "medseg_evaluation_figure",
        "As `medseg evaluate` has reported it last within 90 days: Dice by patient, false acceptance and rejection by slice, with 95 % intervals"
    );
    describe_gauge!(
        "medseg_evaluation_timestamp_seconds",
        Seconds,
        "When that was reported, since 1970"
    );
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    fn evaluated(version: &str, at_ms: i64, dice: f64) -> Evaluated {
        Evaluated {
            evaluated_ms: at_ms,
            model_name: "m".into(),
            model_version: version.into(),
            dice_mean: Some(dice),
            dice_low: Some(0.25),
            dice_high: Some(0.75),
            far_count: 1,
            far_of: 4,
            ..Evaluated::default()
        }
    }

    #[test]
    fn the_newest_evaluation_of_each_model_is_shown_until_there_is_none() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let mut shown = BTreeSet::new();
        let mut shown_by = |newest: Vec<Evaluated>| {
            metrics::with_local_recorder(&recorder, || show(newest, &mut shown));
            recorder.handle().render()
        };
        let text = shown_by(vec![
            evaluated("1", 9000, 0.5),
            evaluated("2", 8000, 0.625),
            evaluated("1", 7000, 0.375),
        ]);
        for line in [
            r#"medseg_evaluation_figure{model="m/1",figure="dice",bound="value"} 0.5"#,
            r#"medseg_evaluation_figure{model="m/1",figure="dice",bound="high"} 0.75"#,
            r#"medseg_evaluation_figure{model="m/2",figure="dice",bound="value"} 0.625"#,
            r#"medseg_evaluation_figure{model="m/1",figure="slice_far",bound="value"} 0.25"#,
            r#"medseg_evaluation_figure{model="m/1",figure="slice_frr",bound="value"} NaN"#,
            r#"medseg_evaluation_timestamp_seconds{model="m/1"} 9"#,
        ] {
            assert!(text.lines().any(|said| said == line), "{line}: {text}");
        }
        let text = shown_by(vec![evaluated("2", 8000, 0.625)]);
        for line in [
            r#"medseg_evaluation_figure{model="m/1",figure="dice",bound="value"} NaN"#,
            r#"medseg_evaluation_timestamp_seconds{model="m/1"} NaN"#,
        ] {
            assert!(text.lines().any(|said| said == line), "{line}: {text}");
        }
    }

    #[test]
    fn however_many_models_are_named_a_few_are_shown() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let many = (0..50).map(|version| evaluated(&version.to_string(), 9000, 0.5)).collect();
        let mut shown = BTreeSet::new();
        metrics::with_local_recorder(&recorder, || show(many, &mut shown));
        assert_eq!(shown.len(), MODELS_MAX);
    }
}
