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
            // Which of two gate sets is the newer one nobody knows; figures that tell no kinds are the older ones.
            let both = vec![candidate, serving];
            let untold: Vec<_> = both.iter().copied().filter(|it| it.kinds.is_empty()).collect();
            if untold.is_empty() { both } else { untold }
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
            "it was evaluated on {own}, and what serves on {others}: what is out of date is evaluated anew, so try again in a few minutes"
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
#[path = "gate_tests.rs"]
mod tests;
