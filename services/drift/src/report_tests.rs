use super::*;

/// Evenly spread over 0 to 1 in a scrambled order.
fn spread(count: u32) -> impl Iterator<Item = f64> {
    (1..=count).map(|k| (f64::from(k) * 0.618_033_988_749_894_9) % 1.0)
}

fn reference() -> Reference {
    let sample: Vec<f64> = spread(500).collect();
    let distribution =
        Distribution { edges: vec![0.0, 0.25, 0.5, 0.75, 1.0], counts: vec![125; 4], sample };
    Reference { features: BTreeMap::from([("mean".to_owned(), distribution)]) }
}

fn window(means: impl Iterator<Item = f64>) -> Window {
    let scans = means
        .map(|mean| {
            let features = BTreeMap::from([("mean".to_owned(), mean)]);
            let observation = Some(Observation { features, ..Default::default() });
            CompletedScan { answer: Answer::Found, response_ms: Some(40), observation }
        })
        .collect();
    Window { from_ms: 0, to_ms: 10, scans, cut: false }
}

fn mean_of(window: &Window) -> Feature {
    let report = report("1".into(), 10, window, &reference());
    report.features.into_iter().find(|feature| feature.name == "mean").unwrap()
}

#[test]
fn scans_like_the_reference_are_stable() {
    assert_eq!(mean_of(&window(spread(100))).verdict, Verdict::Stable);
}

#[test]
fn a_slight_shift_is_watched_and_a_large_one_is_drift() {
    let bent = |by: f64| mean_of(&window(spread(300).map(move |value| value.powf(by)))).verdict;
    assert_eq!((bent(0.7), bent(0.4)), (Verdict::Watch, Verdict::Drift));
}

#[test]
fn too_few_scans_are_never_judged() {
    let far_away = |count| window(spread(count).map(|value| value + 5.0));
    let few = mean_of(&far_away(29));
    assert_eq!((few.verdict, few.scans), (Verdict::TooFewScans, 29));
    assert!(few.psi.unwrap() > PSI_DRIFT);
    assert_eq!(mean_of(&far_away(30)).verdict, Verdict::Drift);
}

#[test]
fn a_feature_that_the_reference_does_not_know_is_said_so() {
    let report = report("1".into(), 10, &window(spread(100)), &Reference::default());
    assert_eq!(report.verdict, Verdict::NoReference);
    let [mean] = &report.features[..] else { panic!("one feature") };
    assert_eq!((mean.verdict, mean.psi, &mean.histogram), (Verdict::NoReference, None, &None));
}

#[test]
fn the_gravest_verdict_is_the_reports() {
    let mut window = window(spread(100));
    for scan in &mut window.scans {
        scan.observation.as_mut().unwrap().features.insert("unknown".into(), 1.0);
    }
    let report = report("1".into(), 10, &window, &reference());
    let verdicts: Vec<_> = report.features.iter().map(|f| (f.name.as_str(), f.verdict)).collect();
    assert_eq!(verdicts, [("mean", Verdict::Stable), ("unknown", Verdict::NoReference)]);
    assert_eq!(report.verdict, Verdict::Stable);
}

#[test]
fn values_beyond_the_reference_are_drawn_outside_it() {
    let histogram = mean_of(&window([-1.0, 0.0, 0.25, 1.0, 1.5].into_iter())).histogram.unwrap();
    assert_eq!(histogram.window, [0.2, 0.2, 0.0, 0.2]);
    assert_eq!((histogram.below, histogram.above), (0.2, 0.2));
    assert_eq!(histogram.reference, [0.25; 4]);
}

#[test]
fn answers_times_and_models_are_counted() {
    let mut window = window(spread(4));
    window.scans.push(CompletedScan {
        answer: Answer::Failed,
        response_ms: None,
        observation: None,
    });
    let report = report("1".into(), 10, &window, &reference());
    let answers: Vec<_> = report.answers.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(answers, [("failed", 1), ("found", 4), ("none_found", 0), ("not_analysable", 0)]);
    assert_eq!(report.response_ms, Some(Times { scans: 4, p50: 40.0, p95: 40.0, p99: 40.0 }));
    assert_eq!((report.compute_ms, report.models[0].scans), (None, 4));
}

#[test]
fn json_tells_the_whole_report() {
    let report = report("1".into(), 10, &window(spread(50)), &reference());
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}
