use service::{system_clock, system_random};

use super::*;

fn said() -> OfflineEvaluation {
    let share = |count, of| Some(drift::Share { count, of, ..drift::Share::default() });
    OfflineEvaluation {
        model: Some(ModelIdentity { name: "m".into(), version: "1".into(), sha256: "ab".into() }),
        data_version: "kept".into(),
        patients: 10,
        slices: 100,
        dice: Some(drift::MeanDice {
            mean: 0.5,
            low: 0.25,
            high: 0.75,
            count: 9,
            empty: 2,
            mean_not_empty: Some(0.375),
        }),
        far: share(1, 4),
        frr: share(3, 96),
        ..OfflineEvaluation::default()
    }
}

fn checked(said: OfflineEvaluation) -> Result<Evaluated> {
    let (clock, random) = (system_clock(), system_random());
    Evaluated::checked(EvaluationId::new(&clock, &random), 7, said)
}

#[test]
fn what_is_told_of_an_evaluation_is_what_was_reported_with_intervals_of_its_counts() {
    let told = checked(said()).unwrap().message();
    assert_eq!((told.evaluated_ms, told.id.len()), (7, 36));
    let (far, frr) = (told.far.unwrap(), told.frr.unwrap());
    assert_eq!((far.rate, far.count, far.of), (Some(0.25), 1, 4));
    let Rate { interval: [low, high], .. } = Rate::new(1, 4);
    assert_eq!((far.low, far.high, frr.rate), (low, high, Some(3.0 / 96.0)));
    let again = OfflineEvaluation {
        id: String::new(),
        evaluated_ms: 0,
        far: said().far,
        frr: said().frr,
        ..told
    };
    assert_eq!(again, said());
}

#[test]
fn figures_that_no_set_can_have_are_refused_by_name() {
    let dice = said().dice.unwrap();
    let share = |count, of| Some(drift::Share { count, of, ..drift::Share::default() });
    let of_dice = |dice| OfflineEvaluation { dice: Some(dice), ..said() };
    for (strange, name) in [
        (OfflineEvaluation { model: None, ..said() }, "model.name"),
        (OfflineEvaluation { data_version: String::new(), ..said() }, "data_version"),
        (OfflineEvaluation { data_version: "a\nb".into(), ..said() }, "data_version"),
        (OfflineEvaluation { data_version: "x".repeat(191), ..said() }, "data_version"),
        (OfflineEvaluation { patients: u64::MAX, ..said() }, "patients"),
        (OfflineEvaluation { far: share(5, 4), ..said() }, "far.count"),
        (OfflineEvaluation { frr: share(0, 101), ..said() }, "frr.of"),
        (OfflineEvaluation { frr: share(0, 97), ..said() }, "frr.of"),
        (of_dice(drift::MeanDice { count: 11, ..dice }), "dice.count"),
        (of_dice(drift::MeanDice { count: 0, empty: 0, ..dice }), "dice.count"),
        (of_dice(drift::MeanDice { low: 0.875, ..dice }), "dice.low"),
        (of_dice(drift::MeanDice { empty: 10, ..dice }), "dice.empty"),
        (of_dice(drift::MeanDice { mean: 1.5, ..dice }), "dice.mean"),
        (of_dice(drift::MeanDice { low: f64::NAN, ..dice }), "dice.low"),
        (of_dice(drift::MeanDice { mean_not_empty: Some(-0.1), ..dice }), "dice.mean_not_empty"),
        (of_dice(drift::MeanDice { mean_not_empty: None, ..dice }), "dice.mean_not_empty"),
    ] {
        let refused = checked(strange).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains(&format!("`{name}`")), "{name}: {refused}");
    }
}

#[test]
fn of_nothing_measured_nothing_is_told() {
    let nothing = OfflineEvaluation { dice: None, far: None, frr: None, ..said() };
    let told = checked(nothing).unwrap().message();
    assert_eq!((told.dice, told.far.unwrap().rate), (None, None));
}

#[test]
fn a_cursor_is_one_of_ours_or_none() {
    let id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    assert_eq!(cursor("").unwrap(), BEGINNING);
    assert_eq!(cursor(id).unwrap(), id);
    assert_eq!(cursor("17").unwrap_err().kind(), ErrorKind::Invalid);
}
