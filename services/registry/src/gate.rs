//! Whether a version may serve: pure, from what it came to and what the one came to that serves.

use std::collections::BTreeSet;

use proto::registry::{Check, Evaluation, KindFigures};

use crate::GateRules;
use crate::table::KINDS;

/// How alike the golden phantom's mask must be to the one that came with the version: other processors round otherwise, and
/// move the rim of a mask by a pixel here and there.
const GOLDEN_DICE_MIN: f64 = 0.98;

/// What the gate finds, check by check; the version may serve `kind` (empty: every kind) when all have passed. `serving`: of
/// the version that serves, if one does; of one without figures, an evaluation that says why it failed.
///
/// A figure passes while chance alone could make the difference: while the version's 95 % interval holds the other's figure.
/// For one kind these are the figures of its own cases; for every kind those of all cases, and of each kind's.
pub fn checks(
    candidate: Option<&Evaluation>,
    serving: Option<&Evaluation>,
    kind: &str,
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
        cases(candidate, kind),
    ];
    let Some(serving) = serving else { return checks };
    if let Some(words) = incomparable(candidate, serving) {
        checks.push(check("comparable", false, words));
        return checks;
    }
    if kind.is_empty() {
        checks.extend(compared(&in_all(candidate), &in_all(serving)));
    }
    // Of the same kinds in the same order, or they could not be compared.
    let kinds = candidate.kinds.iter().zip(&serving.kinds);
    let meant = kinds.filter(|(of, _)| kind.is_empty() || of.image_kind == kind);
    checks.extend(meant.flat_map(|(candidate, serving)| compared(candidate, serving)));
    checks
}

/// The evaluations that are to be made anew before the gate can tell: one that failed, for what ailed the worker may be over;
/// one without figures by kind, of a worker of the version before; or both where each is of other cases, as after an upgrade
/// that brings a gate set.
pub fn outdated<'a>(
    candidate: Option<&'a Evaluation>,
    serving: Option<&'a Evaluation>,
) -> Vec<&'a Evaluation> {
    match (candidate, serving) {
        (Some(candidate), _) if !candidate.failure.is_empty() => vec![candidate],
        (_, Some(serving)) if !serving.failure.is_empty() => vec![serving],
        (Some(candidate), Some(serving))
            if candidate.kinds.is_empty() || cases_of(candidate) != cases_of(serving) =>
        {
            vec![candidate, serving]
        }
        (Some(candidate), None) if candidate.kinds.is_empty() => vec![candidate],
        _ => Vec::new(),
    }
}

/// Why the figures of both are nothing to compare.
fn incomparable(candidate: &Evaluation, serving: &Evaluation) -> Option<String> {
    // Figures that are missing are nothing to be better than.
    if !serving.failure.is_empty() {
        return Some(format!(
            "what serves has no figures to compare with ({}): it is evaluated anew, so try again in a few minutes",
            serving.failure
        ));
    }
    let (own, others) = (cases_of(candidate), cases_of(serving));
    (own != others).then(|| {
        format!(
            "it was evaluated on {own}, and what serves on {others}: both are evaluated anew, so try again in a few minutes"
        )
    })
}

/// What a version was evaluated on: the gate set, and the kinds of image that there are figures of.
fn cases_of(evaluation: &Evaluation) -> String {
    let kinds: Vec<_> = evaluation.kinds.iter().map(|of| of.image_kind.as_str()).collect();
    match kinds.as_slice() {
        [] => evaluation.gate_set.clone(),
        kinds => format!("{} ({})", evaluation.gate_set, kinds.join(", ")),
    }
}

/// Whether the gate set has cases of what the version is to answer. Of every kind, those that it has none of are named; one
/// kind without a case is nothing to judge by.
fn cases(candidate: &Evaluation, kind: &str) -> Check {
    let Evaluation { gate_set, kinds, kinds_without_cases, .. } = candidate;
    if kinds.is_empty() {
        let words = format!(
            "its figures on {gate_set} are not told by kind of image: it is evaluated anew by a worker of this version, so try again in a few minutes"
        );
        return check("cases", false, words);
    }
    let has = |kind: &str| kinds.iter().any(|of| of.image_kind == kind);
    let meant: BTreeSet<&str> = match kind {
        "" => KINDS.into_iter().chain(kinds_without_cases.iter().map(String::as_str)).collect(),
        kind => BTreeSet::from([kind]),
    };
    let without: Vec<_> = meant.into_iter().filter(|&kind| !has(kind)).collect();
    let words = match without.as_slice() {
        [] => format!("there are cases of it in {}", cases_of(candidate)),
        without => format!(
            "{gate_set} has no case of {}: how the version reads that is not measured here",
            without.join(", ")
        ),
    };
    let passed = kind.is_empty() || without.is_empty();
    Check { image_kind: kind.to_owned(), ..check("cases", passed, words) }
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

fn compared(candidate: &KindFigures, serving: &KindFigures) -> [Check; 3] {
    // A figure that is as good holds, also where rounding puts it beside its own interval.
    let dice = candidate.dice_mean.max(candidate.dice_high) >= serving.dice_mean;
    let far = candidate.far.min(candidate.far_low) <= serving.far;
    let frr = candidate.frr.min(candidate.frr_low) <= serving.frr;
    [
        ("dice", candidate.dice_mean, serving.dice_mean, dice),
        ("far", candidate.far, serving.far, far),
        ("frr", candidate.frr, serving.frr, frr),
    ]
    .map(|(name, own, other, passed)| {
        let words =
            if passed { "no worse than chance could make it" } else { "worse than what serves" };
        Check {
            candidate: Some(own),
            serving: Some(other),
            image_kind: candidate.image_kind.clone(),
            ..check(name, passed, words.to_owned())
        }
    })
}

/// The figures of all cases.
fn in_all(of: &Evaluation) -> KindFigures {
    KindFigures {
        image_kind: String::new(),
        scans_with_tumour: of.scans_with_tumour,
        scans_without_tumour: of.scans_without_tumour,
        dice_mean: of.dice_mean,
        dice_low: of.dice_low,
        dice_high: of.dice_high,
        far: of.far,
        far_low: of.far_low,
        far_high: of.far_high,
        frr: of.frr,
        frr_low: of.frr_low,
        frr_high: of.frr_high,
    }
}

fn check(name: &str, passed: bool, words: String) -> Check {
    Check { name: name.to_owned(), passed, words, ..Check::default() }
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
            kinds: ["flair", "t1_contrast"].map(|kind| of_kind(kind, 0.9)).into(),
            ..Evaluation::default()
        }
    }

    /// A Dice that is known to 0.02.
    fn of_kind(kind: &str, dice_mean: f64) -> KindFigures {
        KindFigures {
            image_kind: kind.into(),
            dice_mean,
            dice_low: dice_mean - 0.02,
            dice_high: dice_mean + 0.02,
            ..KindFigures::default()
        }
    }

    fn refused_by(candidate: Option<&Evaluation>, serving: Option<&Evaluation>) -> Vec<String> {
        refused_at("", candidate, serving)
    }

    /// The checks that refuse it, those of a kind as NAME KIND.
    fn refused_at(
        kind: &str,
        candidate: Option<&Evaluation>,
        serving: Option<&Evaluation>,
    ) -> Vec<String> {
        let checks = checks(candidate, serving, kind, &GateRules::default());
        let failed = checks.into_iter().filter(|check| !check.passed);
        failed.map(|it| format!("{} {}", it.name, it.image_kind).trim_end().to_owned()).collect()
    }

    #[test]
    fn a_kinds_route_is_judged_by_its_own_cases_and_the_whole_by_each_kinds() {
        let serving = evaluation();
        let kinds = vec![of_kind("flair", 0.95), of_kind("t1_contrast", 0.7)];
        let better_at_flair = Evaluation { kinds, ..evaluation() };
        let refused = |kind: &str| refused_at(kind, Some(&better_at_flair), Some(&serving));
        assert_eq!(refused("flair"), [""; 0]);
        assert_eq!(refused("t1_contrast"), ["dice t1_contrast"]);
        assert_eq!(refused(""), ["dice t1_contrast"]);
        // What is worse in all is not what a kind is judged by.
        let worse = Evaluation { dice_mean: 0.85, dice_high: 0.899, ..evaluation() };
        assert_eq!(refused_at("flair", Some(&worse), Some(&serving)), [""; 0]);
        let alarming = KindFigures {
            far: 0.1,
            far_low: 0.01,
            frr: 0.2,
            frr_low: 0.1,
            ..of_kind("flair", 0.9)
        };
        let alarming =
            Evaluation { kinds: vec![alarming, of_kind("t1_contrast", 0.9)], ..evaluation() };
        assert_eq!(refused_by(Some(&alarming), Some(&serving)), ["far flair", "frr flair"]);
    }

    #[test]
    fn a_kind_without_a_case_is_named_and_has_no_route_by_the_gates_leave() {
        let flair_only = || Evaluation { kinds: vec![of_kind("flair", 0.9)], ..evaluation() };
        for serving in [None, Some(flair_only())] {
            let of = |kind: &str| refused_at(kind, Some(&flair_only()), serving.as_ref());
            assert_eq!(of("t1_contrast"), ["cases t1_contrast"]);
            assert_eq!((of("flair"), of("")), (vec![], vec![]));
        }
        let made_for = Evaluation { kinds_without_cases: vec!["other".into()], ..flair_only() };
        let checks = checks(Some(&made_for), None, "", &GateRules::default());
        let cases = checks.iter().find(|check| check.name == "cases").unwrap();
        assert!(cases.words.contains("no case of other, t1_contrast"), "{}", cases.words);
    }

    #[test]
    fn figures_that_tell_no_kinds_are_made_anew() {
        let before = Evaluation { kinds: Vec::new(), ..evaluation() };
        let now = evaluation();
        assert_eq!(refused_by(Some(&before), None), ["cases"]);
        assert_eq!(refused_by(Some(&now), Some(&before)), ["comparable"]);
        assert_eq!(outdated(Some(&before), None), [&before]);
        assert_eq!(outdated(Some(&before), Some(&before)), [&before, &before]);
        assert_eq!(outdated(Some(&now), Some(&before)), [&now, &before]);
        assert_eq!(outdated(Some(&now), None), [&now; 0]);
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
        let checks = checks(Some(&evaluation()), Some(&failed), "", &GateRules::default());
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
