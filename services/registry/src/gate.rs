//! Whether a version may serve: pure, from what it came to and what the one came to that serves.

use proto::registry::{Check, Evaluation};

use crate::GateRules;

/// How alike the golden phantom's mask must be to the one that came with the version: other processors round otherwise, and
/// move the rim of a mask by a pixel here and there.
const GOLDEN_DICE_MIN: f64 = 0.98;

/// What the gate finds, check by check; the version may serve when all have passed. `serving`: of the version that serves, if
/// one does; of one without figures, an evaluation that says why it failed.
///
/// A figure passes while chance alone could make the difference: while the version's 95 % interval holds the other's figure.
pub fn checks(
    candidate: Option<&Evaluation>,
    serving: Option<&Evaluation>,
    rules: &GateRules,
) -> Vec<Check> {
    let Some(candidate) = candidate else {
        let words = "no worker has evaluated it yet: try again in a minute";
        return vec![check("evaluated", false, words.to_owned())];
    };
    if !candidate.failure.is_empty() {
        let words = format!("{}; it is evaluated once more", candidate.failure);
        return vec![check("evaluated", false, words)];
    }
    let mut checks = vec![
        check("evaluated", true, format!("on {}, {}", candidate.gate_set, candidate.device)),
        golden(candidate),
        latency(candidate, serving, rules),
    ];
    let Some(serving) = serving else { return checks };
    // Figures that are missing are nothing to be better than.
    if !serving.failure.is_empty() {
        let words = format!(
            "what serves has no figures to compare with ({}): it is evaluated anew, so try again in a few minutes",
            serving.failure
        );
        checks.push(check("comparable", false, words));
        return checks;
    }
    if serving.gate_set != candidate.gate_set {
        let words = format!(
            "it was evaluated on {}, and what serves on {}: both are evaluated anew, so try again in a few minutes",
            candidate.gate_set, serving.gate_set
        );
        checks.push(check("comparable", false, words));
        return checks;
    }
    checks.extend([
        compared(
            "dice",
            candidate.dice_mean,
            serving.dice_mean,
            candidate.dice_high >= serving.dice_mean,
        ),
        compared("far", candidate.far, serving.far, candidate.far_low <= serving.far),
        compared("frr", candidate.frr, serving.frr, candidate.frr_low <= serving.frr),
    ]);
    checks
}

/// The evaluations that are to be made anew before the gate can tell: one that failed, for what ailed the worker may be over;
/// or both where each is of another gate set, as after an upgrade that brings one.
pub fn outdated<'a>(
    candidate: Option<&'a Evaluation>,
    serving: Option<&'a Evaluation>,
) -> Vec<&'a Evaluation> {
    match (candidate, serving) {
        (Some(candidate), _) if !candidate.failure.is_empty() => vec![candidate],
        (_, Some(serving)) if !serving.failure.is_empty() => vec![serving],
        (Some(candidate), Some(serving)) if candidate.gate_set != serving.gate_set => {
            vec![candidate, serving]
        }
        _ => Vec::new(),
    }
}

fn golden(candidate: &Evaluation) -> Check {
    match candidate.golden_dice {
        Some(dice) => Check {
            candidate: Some(dice),
            ..check(
                "golden",
                dice >= GOLDEN_DICE_MIN,
                format!(
                    "the golden phantom's mask must be the stored one to a Dice of {GOLDEN_DICE_MIN}"
                ),
            )
        },
        None => check(
            "golden",
            false,
            "no mask of the golden phantom came with it (golden.pbm)".to_owned(),
        ),
    }
}

fn latency(candidate: &Evaluation, serving: Option<&Evaluation>, rules: &GateRules) -> Check {
    let limit = rules.gate_ms_per_slice;
    let words = format!("a slice may take {limit} ms (GATE_MS_PER_SLICE)");
    Check {
        candidate: Some(candidate.ms_per_slice),
        serving: serving.filter(|it| it.failure.is_empty()).map(|serving| serving.ms_per_slice),
        ..check("latency", candidate.ms_per_slice <= limit, words)
    }
}

fn compared(name: &str, candidate: f64, serving: f64, passed: bool) -> Check {
    let words =
        if passed { "no worse than chance could make it" } else { "worse than what serves" };
    Check {
        candidate: Some(candidate),
        serving: Some(serving),
        ..check(name, passed, words.to_owned())
    }
}

fn check(name: &str, passed: bool, words: String) -> Check {
    Check { name: name.to_owned(), passed, words, candidate: None, serving: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation() -> Evaluation {
        Evaluation {
            gate_set: "phantoms-1".into(),
            dice_mean: 0.90,
            dice_low: 0.88,
            dice_high: 0.92,
            far: 0.02,
            far_low: 0.01,
            far_high: 0.05,
            frr: 0.03,
            frr_low: 0.01,
            frr_high: 0.06,
            ms_per_slice: 80.0,
            golden_dice: Some(0.999),
            ..Evaluation::default()
        }
    }

    fn refused_by(candidate: Option<&Evaluation>, serving: Option<&Evaluation>) -> Vec<String> {
        let checks = checks(candidate, serving, &GateRules::default());
        checks.into_iter().filter(|check| !check.passed).map(|check| check.name).collect()
    }

    #[test]
    fn a_version_serves_while_it_is_no_worse_than_chance_could_make_it() {
        let serving = evaluation();
        assert_eq!(refused_by(Some(&evaluation()), Some(&serving)), [""; 0]);
        assert_eq!(refused_by(Some(&evaluation()), None), [""; 0]);
        let nearly = Evaluation { dice_mean: 0.89, dice_high: 0.90, ..evaluation() };
        assert_eq!(refused_by(Some(&nearly), Some(&serving)), [""; 0]);
    }

    #[test]
    fn each_check_refuses_by_itself() {
        let serving = evaluation();
        for (worse, by) in [
            (Evaluation { dice_mean: 0.85, dice_high: 0.899, ..evaluation() }, "dice"),
            (Evaluation { far: 0.1, far_low: 0.021, ..evaluation() }, "far"),
            (Evaluation { frr: 0.1, frr_low: 0.031, ..evaluation() }, "frr"),
            (Evaluation { golden_dice: Some(0.97), ..evaluation() }, "golden"),
            (Evaluation { golden_dice: None, ..evaluation() }, "golden"),
            (Evaluation { golden_dice: Some(f64::NAN), ..evaluation() }, "golden"),
            (Evaluation { ms_per_slice: 1000.1, ..evaluation() }, "latency"),
            (Evaluation { gate_set: "phantoms-2".into(), ..evaluation() }, "comparable"),
            (Evaluation { failure: "no such tensor".into(), ..evaluation() }, "evaluated"),
        ] {
            assert_eq!(refused_by(Some(&worse), Some(&serving)), [by]);
        }
        assert_eq!(refused_by(None, Some(&serving)), ["evaluated"]);
    }

    #[test]
    fn what_serves_without_figures_is_nothing_to_be_better_than() {
        let failed = Evaluation { failure: "out of memory".into(), ..Evaluation::default() };
        assert_eq!(refused_by(Some(&evaluation()), Some(&failed)), ["comparable"]);
        let checks = checks(Some(&evaluation()), Some(&failed), &GateRules::default());
        assert!(checks.iter().all(|check| check.serving.is_none()), "{checks:?}");
        assert!(checks.iter().any(|check| check.words.contains("out of memory")), "{checks:?}");
    }

    #[test]
    fn what_failed_or_is_of_another_gate_set_is_evaluated_anew() {
        let sound = evaluation();
        let failed = Evaluation { failure: "out of memory".into(), ..evaluation() };
        let other = Evaluation { gate_set: "phantoms-2".into(), ..evaluation() };
        assert_eq!(outdated(Some(&sound), Some(&sound)), [&sound; 0]);
        assert_eq!(outdated(None, Some(&sound)), [&sound; 0]);
        assert_eq!(outdated(Some(&failed), Some(&sound)), [&failed]);
        assert_eq!(outdated(Some(&sound), Some(&failed)), [&failed]);
        assert_eq!(outdated(Some(&other), Some(&sound)), [&other, &sound]);
    }
}
