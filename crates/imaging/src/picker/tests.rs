use super::*;

const MODELS: [ImageKind; 2] = [ImageKind::Flair, ImageKind::T1Contrast];

fn registered() -> Registered {
    Registered { modalities: vec![Modality::MagneticResonance], kinds: MODELS.to_vec() }
}

/// 24 slices of 5 mm of a FLAIR series, as its attributes say.
fn flair() -> SeriesFacts {
    SeriesFacts {
        study: "1.2".into(),
        modality: "MR".into(),
        kind_by_attributes: ImageKind::Flair,
        kind_said: ImageKind::Flair,
        slices: 24,
        grid: Some(SeriesGrid { slice_mm: 5.0, pixel_mm: [0.9, 0.9], coverage_mm: 120.0 }),
        description: "t2_tirm_tra_dark-fluid".into(),
        ..SeriesFacts::default()
    }
}

fn fit(series: &SeriesFacts) -> Fit {
    Fit::of(series, &registered(), &[])
}

fn with(mark: Mark) -> SeriesFacts {
    SeriesFacts { marks: [mark].into(), ..flair() }
}

#[test]
fn a_series_that_a_model_is_made_for_has_the_whole_score() {
    let found = fit(&flair());
    assert_eq!((found.score, found.fits), (1.0, true));
    assert_eq!((&*found.reasons, found.why_not()), (&[Reason::KindByAttributes][..], None));
}

#[test]
fn what_no_model_is_made_for_does_not_fit_and_says_why() {
    let grid = |slice_mm, pixel_mm, coverage_mm| {
        let grid = Some(SeriesGrid { slice_mm, pixel_mm: [pixel_mm; 2], coverage_mm });
        SeriesFacts { grid, ..flair() }
    };
    let of_kind = |kind| SeriesFacts { kind_by_attributes: kind, kind_said: kind, ..flair() };
    let cases = [
        (with(Mark::Localizer), Reason::Localizer),
        (with(Mark::Mosaic), Reason::Mosaic),
        (with(Mark::Capture), Reason::Capture),
        (with(Mark::Projection), Reason::Projection),
        (with(Mark::Subtraction), Reason::Subtraction),
        (with(Mark::Map), Reason::Map),
        (with(Mark::MotionCorrected), Reason::MotionCorrected),
        (SeriesFacts { grid: None, ..with(Mark::Crossed) }, Reason::Crossed),
        (SeriesFacts { modality: "CT".into(), ..flair() }, Reason::WrongModality),
        (SeriesFacts { modality: String::new(), ..flair() }, Reason::WrongModality),
        (SeriesFacts { slices: 2, ..flair() }, Reason::FewSlices),
        (SeriesFacts { grid: None, ..flair() }, Reason::NoGrid),
        (grid(1.0, 0.9, 24.0), Reason::ShortCoverage),
        (of_kind(ImageKind::Other), Reason::OtherKind),
    ];
    for (series, reason) in cases {
        let found = fit(&series);
        assert!(!found.fits && found.score < FITS_FROM, "{reason:?}: {found:?}");
        assert!(found.reasons.contains(&reason), "{reason:?}: {found:?}");
        assert!(found.why_not().unwrap().contains(reason.words()), "{found:?}");
    }
    // Each of these alone leaves a series fit, with a lower score; two of them do not.
    for series in [
        with(Mark::Derived),
        with(Mark::Motion),
        grid(9.0, 0.9, 120.0),
        grid(5.0, 3.0, 120.0),
        of_kind(ImageKind::Unknown),
    ] {
        let found = fit(&series);
        assert!(found.fits && found.score < 1.0, "{found:?}");
    }
    let twice = SeriesFacts {
        kind_by_attributes: ImageKind::Unknown,
        kind_said: ImageKind::Unknown,
        ..with(Mark::Derived)
    };
    assert!(!fit(&twice).fits);
}

#[test]
fn attributes_come_before_content_and_content_before_words() {
    let content = |kind, probability| Some(KindPrediction { kind, probability });
    let series = |by_attributes, by_content, said| SeriesFacts {
        kind_by_attributes: by_attributes,
        kind_by_content: by_content,
        kind_said: said,
        ..flair()
    };
    let told = |series: SeriesFacts| (kind(&series), fit(&series).reasons[0]);
    let (flair, t1, other, unknown) =
        (ImageKind::Flair, ImageKind::T1Contrast, ImageKind::Other, ImageKind::Unknown);
    let cases = [
        (series(flair, content(t1, 0.99), other), (flair, Reason::KindByAttributes)),
        (series(unknown, content(t1, 0.99), other), (t1, Reason::KindByContent)),
        (series(unknown, content(t1, 0.6), flair), (flair, Reason::KindByDescription)),
        (series(unknown, None, other), (other, Reason::OtherKindByDescription)),
        (series(unknown, content(other, 0.95), flair), (other, Reason::OtherKindByContent)),
        (series(unknown, None, unknown), (unknown, Reason::UnknownKind)),
        (series(other, content(flair, 1.0), flair), (other, Reason::OtherKind)),
    ];
    for (series, expected) in cases {
        assert_eq!(told(series.clone()), expected, "{series:?}");
    }
    // Whoever is told that it looks otherwise is told so; and what is silent is not denied.
    let denied = |said| {
        fit(&series(unknown, content(flair, 0.97), said))
            .reasons
            .contains(&Reason::DescriptionDenied)
    };
    assert_eq!([other, t1, flair, unknown].map(denied), [true, true, false, false]);
    let one = Registered { kinds: vec![ImageKind::T1Contrast], ..registered() };
    assert_eq!(Fit::of(&self::flair(), &one, &[]).reasons, [Reason::NoModel]);
}

#[test]
fn only_where_the_kind_decides_and_no_attribute_tells_it_the_image_is_to_be_looked_at() {
    let silent = SeriesFacts { kind_by_attributes: ImageKind::Unknown, ..flair() };
    let open = |series: &SeriesFacts, rules: &[Rule]| is_open(series, &registered(), rules);
    // Also where words say something: they may be wrong.
    for said in [ImageKind::Unknown, ImageKind::Flair, ImageKind::Other] {
        assert!(open(&SeriesFacts { kind_said: said, ..silent.clone() }, &[]), "{said:?}");
    }
    assert!(!open(&flair(), &[]), "its attributes tell it");
    for closed in [
        SeriesFacts { marks: [Mark::Localizer].into(), ..silent.clone() },
        SeriesFacts { grid: None, ..silent.clone() },
        SeriesFacts { modality: "CT".into(), ..silent.clone() },
    ] {
        assert!(!open(&closed, &[]), "{closed:?}");
    }
    for preference in [Preference::Prefer, Preference::Never] {
        let rule = Rule { site: String::new(), contains: "tirm".into(), preference };
        assert!(!open(&silent, &[rule]), "{preference:?}");
    }
}

#[test]
fn a_rule_of_the_site_has_the_first_word_but_makes_no_mr_of_a_ct() {
    let rule = |contains: &str, preference| Rule {
        site: String::new(),
        contains: contains.into(),
        preference,
    };
    let of = |series: &SeriesFacts, rules: &[Rule]| {
        let found = Fit::of(series, &registered(), rules);
        (found.fits, found.score)
    };
    let (prefer, never) = (Preference::Prefer, Preference::Never);
    assert_eq!(of(&flair(), &[rule("DARK-fluid", never)]), (false, 0.0));
    assert_eq!(of(&with(Mark::Projection), &[rule("tirm", prefer)]), (true, 1.0));
    assert_eq!(of(&flair(), &[rule("tirm", prefer), rule("tra", never)]), (false, 0.0));
    assert_eq!(
        of(&flair(), &[rule("mprage", never), rule("", never), rule("  ", never)]),
        (true, 1.0)
    );
    let ct = SeriesFacts { modality: "CT".into(), ..flair() };
    assert_eq!(of(&ct, &[rule("tirm", prefer)]), (false, 0.0));
    let north = Rule { site: "North".into(), ..rule("tirm", never) };
    assert_eq!(of(&flair(), std::slice::from_ref(&north)), (true, 1.0));
    assert_eq!(of(&SeriesFacts { site: "north ".into(), ..flair() }, &[north]), (false, 0.0));
}

#[test]
fn of_a_study_those_are_picked_that_fit_and_all_where_none_does() {
    let picked = |series: &[SeriesFacts]| -> Vec<bool> {
        pick(series, &registered(), &[]).into_iter().map(|pick| pick.picked).collect()
    };
    let of = |study: &str, series: SeriesFacts| SeriesFacts { study: study.into(), ..series };
    assert_eq!(picked(&[with(Mark::Localizer), flair(), with(Mark::Map)]), [false, true, false]);
    assert_eq!(picked(&[flair(), flair()]), [true, true]);
    // One series alone, studies of one each, and series of no study are what somebody wants analysed.
    assert_eq!(picked(&[with(Mark::Localizer)]), [true]);
    assert_eq!(picked(&[with(Mark::Localizer), of("1.3", flair())]), [true, true]);
    assert_eq!(picked(&[of("", with(Mark::Localizer)), of("", flair())]), [true, true]);
    assert_eq!(picked(&[with(Mark::Localizer), with(Mark::Map)]), [true, true]);
    assert!(picked(&[]).is_empty());
}

#[test]
fn a_reason_is_read_back_by_its_name_and_no_reason_quotes_a_description() {
    for reason in [Reason::Preferred, Reason::Localizer, Reason::ShortCoverage] {
        assert_eq!(reason.name().parse::<Reason>(), Ok(reason));
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
    }
    let series = SeriesFacts { description: "FLAIR for Jane Canary".into(), ..with(Mark::Motion) };
    let shown = serde_json::to_string(&fit(&series)).unwrap() + &fit(&series).why_not().unwrap();
    assert!(!shown.to_lowercase().contains("canary"), "{shown}");
}
