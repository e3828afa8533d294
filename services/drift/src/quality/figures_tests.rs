use domain::Answer::{Found, NoneFound};
use domain::feedback::Verdict;

use super::*;
use crate::quality::groups::Size;
use crate::quality::reasons::Reasons;
use crate::quality::reviewed::{Word, reviewed};

/// What `reader` says of `scan`, which drift has seen completed.
fn word(scan: &str, reader: &str, verdict: Verdict, answer: Answer) -> Word {
    let size = if answer == Found { Size::Small } else { Size::Nothing };
    Word {
        scan: scan.into(),
        reader: reader.into(),
        feedback: format!("{scan}{reader}"),
        given_ms: 1,
        verdict,
        truth: None,
        dice: None,
        slices: None,
        adjudicates: Vec::new(),
        reasons: Reasons::default(),
        answer,
        traits: Traits::new("m", "1", "flair", size),
        certainty: Certainty::High,
        expected_dice: None,
        completed_ms: Some(0),
    }
}

fn seen(scans: usize) -> Seen {
    Seen {
        traits: Traits::new("m", "1", "flair", Size::Small),
        at_ms: 0,
        scans,
        answer: Found,
        certainty: Certainty::High,
        expected: (0.0, 0),
    }
}

/// The figures of scans of which nobody tells how long they took.
fn figures(by: By, seen: &[Seen], reviewed: &[Reviewed]) -> Vec<Group> {
    super::figures(by, seen, reviewed, &[], Bound::default())
}

/// Seven scans of one model, an eighth word being of a second reader.
fn words() -> Vec<Word> {
    let without = |word: Word| Word { truth: Some(Truth::NoTumour), ..word };
    vec![
        word("a", "x", Verdict::Agree, Found),
        Word { dice: Some(0.75), ..word("b", "x", Verdict::Correct, Found) },
        word("c", "x", Verdict::Agree, NoneFound),
        without(word("d", "x", Verdict::Reject, Found)),
        word("e", "x", Verdict::Correct, NoneFound),
        word("f", "x", Verdict::Unsure, Found),
        word("g", "x", Verdict::Agree, Found),
        without(word("g", "y", Verdict::Reject, Found)),
    ]
}

fn close(value: f64, expected: f64) {
    assert!((value - expected).abs() < 5e-5, "{value} is not {expected}");
}

#[test]
fn the_figures_of_seven_scans_counted_by_hand() {
    let groups = figures(By::Model, &[seen(4), seen(6)], &reviewed(words()));
    let [group] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((group.name.as_str(), group.scans, group.reviewed), ("m/1", 10, 7));
    assert_eq!((group.share_reviewed(), group.disputed), (Some(0.7), 1));
    // Without a tumour are c and d, in which one was found.
    assert_eq!((group.far.count, group.far.of), (1, 2));
    // With one are a, b and e, in which none was found.
    assert_eq!((group.frr.count, group.frr.of), (1, 3));
    // Of a to e and g, all agree on a and c.
    assert_eq!((group.agree.count, group.agree.of), (2, 6));
    // 0.75 of b; 1 of c, which is empty; 0 of d and e. Nobody has outlined a.
    let dice = group.dice.unwrap();
    assert_eq!((dice.mean, dice.count, dice.empty), (1.75 / 4.0, 4, 1));
    assert_eq!(dice.mean_not_empty, Some(0.25));
    let [low, high] = dice.interval;
    assert!((0.0..dice.mean).contains(&low) && high > dice.mean && high <= 1.0, "{low} {high}");
    assert_eq!(figures(By::Model, &[seen(10)], &reviewed(words())), groups, "drawn alike again");
}

#[test]
fn slices_and_expected_dice_are_counted_by_hand() {
    let slices = |both, model_only, reader_only, neither| {
        Some(SliceCounts { both, model_only, reader_only, neither })
    };
    let scans = vec![
        Word { slices: slices(3, 1, 0, 6), expected_dice: Some(0.5), ..words().remove(1) },
        Word { slices: slices(2, 0, 2, 6), ..word("h", "x", Verdict::Agree, Found) },
        Word { expected_dice: Some(0.25), ..word("i", "x", Verdict::Agree, Found) },
    ];
    let answered = Seen { expected: (1.5, 2), ..seen(4) };
    let groups = figures(By::Model, &[answered], &reviewed(scans));
    let of = groups[0].slices.unwrap();
    // Not marked by a reader are 1 + 6 and 6; marked by one are 3 and 2 + 2.
    assert_eq!((of.far.count, of.far.of, of.frr.count, of.frr.of), (1, 13, 2, 7));
    assert_eq!(of.scans, 2);
    // Of one of the three both are known; of the four that were answered the model expects a Dice of two.
    let expected = groups[0].expected.unwrap();
    assert_eq!((expected.expected, expected.observed, expected.count), (Some(0.5), Some(0.75), 1));
    assert_eq!((expected.all, expected.all_count), (0.75, 2));
    let known = groups[0].clone().for_readers();
    let hidden = known.expected.unwrap();
    assert_eq!((hidden.observed, hidden.count, hidden.all_count), (None, 0, 2));
    assert_eq!((known.slices, known.weighted, known.alarm), (None, None, None));
}

#[test]
fn an_alarm_is_of_one_models_confirmed_answers_in_the_order_in_which_they_were_given() {
    // Of seven scans the truth is known of five: right, right, right, wrong, wrong.
    let groups = figures(By::Model, &[], &reviewed(words()));
    let alarm = groups[0].alarm.unwrap();
    assert_eq!((alarm.evidence.of, alarm.evidence.errors), (5, 2));
    assert!((alarm.evidence.peak - 4.0).abs() < 1e-12 && !alarm.evidence.is_alarm, "{alarm:?}");
    let wrong = |n: usize| Word {
        truth: Some(Truth::NoTumour),
        ..word(&n.to_string(), "x", Verdict::Reject, Found)
    };
    // Ten in a row are worth 2^10.
    let groups = figures(By::Model, &[], &reviewed((0..10).map(wrong).collect()));
    assert!(groups[0].alarm.unwrap().evidence.is_alarm);
    let groups = figures(By::Week, &[], &reviewed((0..10).map(wrong).collect()));
    assert_eq!(groups[0].alarm, None, "a week has several models");
}

#[test]
fn intervals_are_wilsons_and_as_wide_as_few_scans_make_them() {
    let groups = figures(By::Model, &[], &reviewed(words()));
    // By the formula of Wilson 1927 with z = 1.96: 1 of 2, 1 of 3, 2 of 6.
    for (rate, low, high) in [
        (groups[0].far, 0.09453, 0.90547),
        (groups[0].frr, 0.06149, 0.79234),
        (groups[0].agree, 0.09677, 0.70001),
    ] {
        close(rate.interval[0], low);
        close(rate.interval[1], high);
    }
    // Newcombe 1998, table I, method 3: 15 of 148.
    let scan = |n: usize| {
        let answer = if n < 15 { Found } else { NoneFound };
        let truth = Some(Truth::NoTumour);
        Word { truth, ..word(&n.to_string(), "x", Verdict::Reject, answer) }
    };
    let groups = figures(By::Model, &[], &reviewed((0..148).map(scan).collect()));
    close(groups[0].far.interval[0], 0.0624);
    close(groups[0].far.interval[1], 0.1605);
}

#[test]
fn a_group_that_nobody_has_reviewed_is_told_with_nothing_known() {
    let groups = figures(By::Kind, &[seen(3)], &[]);
    let [group] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((group.name.as_str(), group.scans, group.reviewed), ("flair", 3, 0));
    assert_eq!((group.share_reviewed(), group.dice), (Some(0.0), None));
    for rate in [group.far, group.frr, group.agree] {
        assert_eq!((rate.rate, rate.interval, rate.of), (None, [0.0, 1.0], 0));
    }
    assert!(figures(By::Kind, &[], &[]).is_empty());
}

#[test]
fn scans_are_apart_by_what_they_are_grouped_by() {
    let week_ms = 7 * 24 * 3600 * 1000;
    let late = Word { completed_ms: Some(week_ms), ..word("h", "x", Verdict::Agree, Found) };
    let mut large = word("i", "x", Verdict::Agree, Found);
    large.traits = Traits::new("m", "2", "t1_contrast", Size::Large);
    let scans = reviewed([words(), vec![late, large]].concat());
    let counts = |by| {
        let groups = figures(by, &[], &scans);
        groups.into_iter().map(|group| (group.name, group.reviewed)).collect::<Vec<_>>()
    };
    let named = |groups: &[(&str, usize)]| {
        groups.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Vec<_>>()
    };
    assert_eq!(counts(By::Model), named(&[("m/1", 8), ("m/2", 1)]));
    assert_eq!(counts(By::Week), named(&[("1970-W01", 8), ("1970-W02", 1)]));
    assert_eq!(counts(By::Kind), named(&[("flair", 8), ("t1_contrast", 1)]));
    let sizes = [("nothing marked", 2), ("under 0.1 % of the volume", 6), ("over 1 %", 1)];
    assert_eq!(counts(By::Size), named(&sizes));
}

#[test]
fn a_reviewed_scan_of_which_drift_knows_no_more_is_counted_once_all_the_same() {
    let unseen = Word { completed_ms: None, ..word("z", "x", Verdict::Agree, Found) };
    let groups = figures(By::Model, &[seen(7)], &reviewed([words(), vec![unseen]].concat()));
    assert_eq!(
        (groups[0].scans, groups[0].reviewed, groups[0].share_reviewed()),
        (8, 8, Some(1.0))
    );
    // Never more reviewed scans than scans.
    let groups = figures(By::Model, &[seen(2)], &reviewed(words()));
    assert_eq!((groups[0].scans, groups[0].share_reviewed()), (7, Some(1.0)));
}

#[test]
fn remarks_name_the_groups_that_are_too_small_and_what_was_left_out() {
    let scan = |n: usize| word(&n.to_string(), "x", Verdict::Agree, Found);
    let enough = figures(By::Model, &[], &reviewed((0..SCANS_MIN).map(scan).collect()));
    let general = remarks(By::Model, &enough, false);
    assert!(general[0].words.contains("not drawn by chance"), "{general:?}");
    assert!(general.iter().all(|remark| remark.scans == 0), "{general:?}");

    let few = figures(By::Size, &[], &reviewed(words()));
    let remarks = remarks(By::Size, &few, true);
    let said = "Fewer than 30 reviewed scans, too few to conclude anything: nothing marked (2), \
                under 0.1 % of the volume (5).";
    let few = Remark { name: "few_reviewed", scans: SCANS_MIN, words: said.into() };
    assert!(remarks.contains(&few), "{remarks:?}");
    assert!(remarks.iter().any(|remark| remark.words.starts_with("Sizes are of")), "{remarks:?}");
    assert!(remarks.last().unwrap().words.contains("left out"), "{remarks:?}");
}

#[test]
fn readers_are_shown_no_figure_of_few_scans() {
    let groups: Vec<Group> =
        figures(By::Size, &[], &reviewed(words())).into_iter().map(Group::for_readers).collect();
    let [few, enough] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((few.scans, few.reviewed, few.disputed, few.dice), (2, 2, 0, None));
    assert_eq!((few.far.of, few.frr.of, few.agree.of), (0, 0, 0));
    assert_eq!((enough.reviewed, enough.disputed, enough.agree.of), (5, 1, 4));
    assert!(enough.dice.is_some());
}
