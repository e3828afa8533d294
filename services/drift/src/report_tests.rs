use super::*;

/// Evenly spread over 0 to 1 in a scrambled order.
fn spread(count: u32) -> impl Iterator<Item = f64> {
    (1..=count).map(|k| (f64::from(k) * 0.618_033_988_749_894_9) % 1.0)
}

fn reference() -> Reference {
    let sample: Vec<f64> = spread(500).collect();
    let distribution =
        Distribution { edges: vec![0.0, 0.25, 0.5, 0.75, 1.0], counts: vec![125; 4], sample };
    Reference {
        features: BTreeMap::from([("mean".to_owned(), distribution)]),
        ..Reference::default()
    }
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

#[test]
fn what_may_be_chance_is_stable_however_much_the_bins_differ() {
    // Six scans evenly in every other tenth: bins differ by far, and the sums up to any value hardly.
    let every_other = (0..30).map(|scan| {
        let (tenth, within) = (f64::from(2 * (scan % 5)), (f64::from(scan / 5) + 0.5) / 6.0);
        (tenth + within) / 10.0
    });
    let uneven = mean_of(&window(every_other));
    assert!(uneven.psi.unwrap() > 4.0 * PSI_DRIFT && uneven.ks_p_value.unwrap() > 0.5);
    assert_eq!(uneven.verdict, Verdict::Stable);
}

#[test]
fn what_is_too_small_to_matter_is_stable_however_sure_it_is() {
    let bent = mean_of(&window(spread(5000).map(|value| value.powf(0.8))));
    assert!(bent.psi.unwrap() < PSI_WATCH && bent.ks_p_value.unwrap() < P_MAX);
    assert_eq!(bent.verdict, Verdict::Stable);
}

#[test]
fn the_improbable_is_shared_out_among_the_features_that_are_compared() {
    let mut window = window(spread(40));
    for scan in &mut window.scans {
        let features = &mut scan.observation.as_mut().unwrap().features;
        features.extend([("std".to_owned(), 0.5), ("unknown".to_owned(), 0.5)]);
    }
    let mut reference = reference();
    for name in ["std", "never seen"] {
        let distribution = reference.features["mean"].clone();
        reference.features.insert(name.to_owned(), distribution);
    }
    let report = report("1".into(), 10, &window, &reference);
    // Of the mean and the deviation; the two others can raise no alarm.
    assert_eq!(report.thresholds.p_max, P_MAX / 2.0);
    let unseen = report.features.iter().find(|feature| feature.name == "never seen").unwrap();
    assert_eq!((unseen.verdict, unseen.scans), (Verdict::TooFewScans, 0));
    assert_eq!((unseen.median, unseen.psi, unseen.ks_statistic), (None, None, None));
    assert_eq!(unseen.histogram.as_ref().unwrap().window, [0.0; 4]);
}

#[test]
fn a_reference_of_few_values_judges_nobody() {
    let mut short = reference();
    short.features.get_mut("mean").unwrap().sample.truncate(29);
    let report = report("1".into(), 10, &window(spread(300).map(|value| value + 5.0)), &short);
    assert_eq!(report.verdict, Verdict::TooFewScans);
}

#[test]
fn quantiles_of_response_times_lie_between_the_ranks() {
    let mut window = window(spread(100));
    // 1 to 100 ms, the slowest first.
    for (scan, ms) in window.scans.iter_mut().zip((1..=100).rev()) {
        scan.response_ms = Some(ms);
        scan.observation.as_mut().unwrap().compute_ms = Some(ms as f64 / 2.0);
    }
    let report = report("1".into(), 10, &window, &reference());
    for (times, scale) in [(report.response_ms, 1.0), (report.compute_ms, 0.5)] {
        let Times { scans, p50, p95, p99 } = times.unwrap();
        assert_eq!(scans, 100);
        for (quantile, expected) in [(p50, 50.5), (p95, 95.05), (p99, 99.01)] {
            assert!((quantile - scale * expected).abs() < 1e-9, "{quantile}");
        }
    }
}

#[test]
fn scans_of_each_model_are_counted_apart() {
    let mut window = window(spread(5));
    for (scan, version) in window.scans.iter_mut().zip(["2", "1", "2", "1", "2"]) {
        let model = ModelIdentity { version: version.into(), ..ModelIdentity::default() };
        scan.observation.as_mut().unwrap().model = Some(model);
    }
    let report = report("1".into(), 10, &window, &reference());
    let counts: Vec<_> =
        report.models.iter().map(|count| (count.model.version.as_str(), count.scans)).collect();
    assert_eq!(counts, [("1", 2), ("2", 3)]);
}
