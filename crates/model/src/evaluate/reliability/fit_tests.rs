use super::*;

/// A hundred pixels called `called`, of which so many are tumour.
fn seen(pairs: &[(f32, usize)]) -> Reliability {
    let mut seen = Reliability::default();
    for (called, tumour) in pairs {
        let truth: Vec<u8> = (0..100).map(|pixel| u8::from(pixel < *tumour)).collect();
        seen.add(&[*called; 100], &truth);
    }
    seen
}

#[test]
fn a_calibration_never_turns_words_about() {
    // Called likely where it is seldom, and seldom where it is likely.
    let turned = seen(&[(0.2, 80), (0.8, 20)]);
    assert_eq!(turned.fit(), Calibration::default());
}

#[test]
fn where_all_is_tumour_or_none_nothing_is_fitted() {
    for pairs in [
        &[(0.4, 0)][..],
        &[(0.4, 100)],
        // Patients without a tumour alone: every offset that is lower would be likelier.
        &[(0.02, 0), (0.05, 0), (0.6, 0)],
        &[(0.4, 100), (0.6, 100), (0.9, 100)],
        // What is ruled out says nothing of the rest.
        &[(0.005, 50), (0.4, 0), (0.6, 0)],
    ] {
        assert_eq!(seen(pairs).fit(), Calibration::default(), "{pairs:?}");
    }
}

#[test]
fn words_that_are_always_right_stay_in_their_order() {
    let fit = seen(&[(0.3, 0), (0.6, 100)]).fit();
    assert!(fit.slope > 0.0 && fit.slope.is_finite() && fit.offset.is_finite(), "{fit:?}");
    assert!(fit.apply(0.3) < 0.05 && fit.apply(0.6) > 0.95, "{fit:?}");
}

#[test]
fn what_is_certain_is_counted_and_what_is_ruled_out_is_not() {
    let certain = seen(&[(0.0, 0), (0.009, 50), (1.0, 100)]);
    let curve = certain.curve();
    assert_eq!(curve, [ReliabilityBin { called: 1.0, observed: 1.0, pixels: 100 }]);
    assert_eq!(certain.error(), Some(0.0));
    assert_eq!(seen(&[(0.0, 0), (0.009, 50)]).error(), None);
}

#[test]
fn a_calibration_moves_what_was_called_and_no_pixel_that_was_seen() {
    let before = seen(&[(0.3, 10), (0.8, 60)]);
    let calibration = Calibration { slope: 2.0, offset: -0.5 };
    let after = before.calibrated(calibration);
    let (before, after) = (before.curve(), after.curve());
    assert_eq!(after.len(), 2);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((after.pixels, after.observed), (before.pixels, before.observed));
        let called = f64::from(calibration.apply(before.called as f32));
        assert!((after.called - called).abs() < 1e-6, "{} is not {called}", after.called);
    }
}
