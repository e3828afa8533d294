use super::*;

/// For each pair, 10,000 pixels called `called` of which the part `true_part` is tumour.
fn seen(pairs: &[(f32, f64)]) -> Reliability {
    let mut seen = Reliability::default();
    for (called, true_part) in pairs {
        let tumour = (10_000.0 * true_part).round() as usize;
        let truth: Vec<u8> = (0..10_000).map(|i| u8::from(i < tumour)).collect();
        seen.add(&[*called; 10_000], &truth);
    }
    seen
}

#[test]
fn the_error_of_a_case_counted_by_hand() {
    let true_words = seen(&[(0.3, 0.3), (0.7, 0.7), (0.001, 0.0)]);
    assert!(true_words.error().unwrap() < 1e-6);
    // Off by 0.1 and 0.3; what is ruled out does not count.
    let off = seen(&[(0.3, 0.2), (0.7, 1.0), (0.001, 0.5)]);
    assert!((off.error().unwrap() - 0.2).abs() < 1e-6, "{:?}", off.error());
    assert_eq!(Reliability::default().error(), None);
}

#[test]
fn a_fit_undoes_words_that_are_too_sure() {
    // Logits doubled and moved: 0.5 lower, then twice as far from it.
    let too_sure: Vec<(f32, f64)> = (1..40)
        .map(|i| {
            let truth = f64::from(i) / 40.0;
            let logit = 2.0 * (logit(truth) - 0.5);
            ((1.0 / (1.0 + (-logit).exp())) as f32, truth)
        })
        .collect();
    let seen = seen(&too_sure);
    let fit = seen.fit();
    assert!((fit.slope - 0.5).abs() < 0.01 && (fit.offset - 0.5).abs() < 0.02, "{fit:?}");
    assert!(seen.error().unwrap() > 0.1);
    assert!(seen.calibrated(fit).error().unwrap() < 0.01);
    assert_eq!(Reliability::default().fit(), Calibration::default());
}

#[test]
fn merged_halves_are_the_whole() {
    let (a, b) = ((0.2, 0.3), (0.8, 0.6));
    let mut halves = seen(&[a]);
    halves.merge(&seen(&[b]));
    assert_eq!(halves.curve(), seen(&[a, b]).curve());
}

#[test]
fn the_plot_marks_every_stretch_and_escapes_its_title() {
    let curve = seen(&[(0.3, 0.25), (0.7, 0.75)]).curve();
    let svg = reliability_plot(&curve, "<a> & \"b\"");
    assert_eq!(svg.matches("<circle").count(), curve.len());
    assert!(svg.contains("called 0.300, observed 0.250, 10000 pixels"), "{svg}");
    assert!(svg.contains("&lt;a&gt; &amp; &quot;b&quot;") && svg.ends_with("</svg>\n"), "{svg}");
}
