use domain::{ManualClock, Random};
use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_000_000_000;
const BINDING: &str = "the binding";
const VOLUME: &str = "the digest";

const STALE: &str = "the job has passed to another attempt";
const OVER: &str = "the job is over";
const HELD: &str = "the job is leased to another worker";
const ALONE: &str = "the job was tried before: it is done alone";
const SPENT: &str = "parked: the analysis was tried 3 times and never finished";

fn job(state: State, attempt: u32, due_ms: i64) -> Job {
    let (clock, random) = (ManualClock::at(NOW).clock(), Random::new(|bytes| bytes.fill(7)));
    Job {
        tenant: TenantId::new(&clock, &random),
        id: JobId::new(&clock, &random),
        scan: ScanId::new(&clock, &random),
        state,
        attempt,
        due_ms,
        binding: BINDING.into(),
        accepted_ms: NOW - 60_000,
        volume_sha256: VOLUME.into(),
        traceparent: String::new(),
        priority: Priority::Routine,
        site: String::new(),
        scanner: String::new(),
        renewed_ms: 0,
    }
}

fn claim(alone: bool) -> Event {
    Event::Claim { worker: "worker".into(), alone }
}

fn complete(attempt: u32) -> Event {
    let (reason, observation) = (String::new(), None);
    let (answer, subject) = (Answer::Found, "worker".to_owned());
    let (unanswered, volume_ml) = (None, None);
    let outcome = Outcome { answer, reason, unanswered, observation, volume_ml, subject };
    Event::Complete { attempt, binding: BINDING.into(), volume_sha256: VOLUME.into(), outcome }
}

fn fail(attempt: u32, retry: bool) -> Event {
    Event::Fail { attempt, reason: "no memory".into(), retry }
}

/// The decision in a word or two.
fn said(decided: Result<Transition>) -> String {
    match decided {
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            error.to_string()
        }
        Ok(Transition::Stays) => "stays".into(),
        Ok(Transition::Leased { attempt, .. }) => format!("leased {attempt}"),
        Ok(Transition::Kept { .. }) => "kept".into(),
        Ok(Transition::Queued { topic: None, .. }) => "queued".into(),
        Ok(Transition::Queued { topic: Some(Work(topic)), .. }) => format!("announced: {topic}"),
        Ok(Transition::Ended { state: State::Done, .. }) => "done".into(),
        Ok(Transition::Ended { outcome, .. }) => format!("parked: {}", outcome.reason),
        Ok(Transition::Prioritised { topic: None, .. }) => "prioritised".into(),
        Ok(Transition::Prioritised { topic: Some(Work(topic)), .. }) => {
            format!("prioritised: {topic}")
        }
        Ok(Transition::Renewed { topic: Work(topic), .. }) => format!("renewed: {topic}"),
    }
}

/// Each state by each event; the worker that speaks has the second attempt, or the first where it is stale.
#[test]
fn every_event_in_every_state() {
    let (parked, again) = ("parked: no memory", "announced: scan.ready.again");
    let later = NOW + 1;
    #[rustfmt::skip]
    let table = [
        // With others     alone        alive  alive, stale  completes  fails     for good  due
        (State::Queued, 0, later, ["leased 1", "leased 1", STALE,  STALE, STALE,   STALE,    STALE,   "stays"]),
        (State::Queued, 0, NOW,   ["leased 1", "leased 1", STALE,  STALE, STALE,   STALE,    STALE,   "announced: scan.ready"]),
        (State::Queued, 2, later, [ALONE,      "leased 3", "kept", STALE, "done",  "queued", parked,  "stays"]),
        (State::Queued, 2, NOW,   [ALONE,      "leased 3", "kept", STALE, "done",  "queued", parked,  again]),
        (State::Leased, 2, later, [HELD,       HELD,       "kept", STALE, "done",  "queued", parked,  "stays"]),
        (State::Leased, 2, NOW,   [ALONE,      "leased 3", "kept", STALE, "done",  "queued", parked,  again]),
        (State::Leased, 3, later, [HELD,       HELD,       STALE,  STALE, STALE,   STALE,    STALE,   "stays"]),
        (State::Leased, 3, NOW,   [SPENT,      SPENT,      STALE,  STALE, STALE,   STALE,    STALE,   SPENT]),
        (State::Done,   2, NOW,   [OVER,       OVER,       OVER,   STALE, "stays", "stays",  "stays", "stays"]),
        (State::Done,   3, NOW,   [OVER,       OVER,       STALE,  STALE, STALE,   STALE,    STALE,   "stays"]),
        (State::Parked, 2, NOW,   [OVER,       OVER,       OVER,   STALE, OVER,    "stays",  "stays", "stays"]),
        (State::Parked, 3, NOW,   [OVER,       OVER,       STALE,  STALE, STALE,   STALE,    STALE,   "stays"]),
    ];
    for (state, attempt, due_ms, expected) in table {
        let events = [
            claim(false),
            claim(true),
            Event::Heartbeat { attempt: 2 },
            Event::Heartbeat { attempt: 1 },
            complete(2),
            fail(2, true),
            fail(2, false),
            Event::Due,
        ];
        let job = job(state, attempt, due_ms);
        let decided = events.map(|event| said(decide(&job, event, NOW, &Rules::default())));
        assert_eq!(decided, expected, "{state:?}, attempt {attempt}, due {}", due_ms - NOW);
    }
}

#[test]
fn what_waits_may_be_urgent_and_what_has_no_answer_is_analysed_anew() {
    const BEGUN: &str = "the scan does not wait any more: its analysis has begun, or is over";
    const ANSWERED: &str =
        "the scan has an answer: only what failed or could not be analysed is analysed anew";
    let (urgent, anew) = ("prioritised: scan.ready.stat", "renewed: scan.ready");
    #[rustfmt::skip]
    let table = [
        //                 urgent         routine  failed   not analysable  found
        (State::Queued, 0, [urgent,        "stays", "stays", "stays",        "stays"]),
        (State::Queued, 2, ["prioritised", "stays", "stays", "stays",        "stays"]),
        (State::Leased, 1, [BEGUN,         "stays", "stays", "stays",        "stays"]),
        (State::Done,   1, [BEGUN,         "stays", anew,    anew,           ANSWERED]),
        (State::Parked, 3, [BEGUN,         "stays", anew,    anew,           ANSWERED]),
    ];
    let renew = |answer| Event::Renew { answer: Some(answer), subject: "somebody".into() };
    for (state, attempt, expected) in table {
        let events = [
            Event::Prioritise { priority: Priority::Stat },
            Event::Prioritise { priority: Priority::Routine },
            renew(Answer::Failed),
            renew(Answer::NotAnalysable),
            renew(Answer::Found),
        ];
        let job = job(state, attempt, NOW + 1);
        let decided = events.map(|event| said(decide(&job, event, NOW, &Rules::default())));
        assert_eq!(decided, expected, "{state:?}, attempt {attempt}");
    }
}

#[test]
fn a_job_in_anothers_place_begins_with_its_first_attempt_and_is_timed_from_then() {
    let parked = job(State::Parked, 3, NOW);
    let event = Event::Renew { answer: Some(Answer::Failed), subject: "somebody".into() };
    let step = decide(&parked, event, NOW, &Rules::default()).unwrap().step(&parked);
    let expected = Step { state: State::Queued, attempt: 0, due_ms: NOW + ANNOUNCE_MS };
    assert_eq!(step, Some(expected));
    assert_eq!((parked.asked_ms(), parked.is_renewed()), (NOW - 60_000, false));
    assert_eq!(Job { renewed_ms: NOW, ..parked }.asked_ms(), NOW);
}

#[test]
fn times_are_as_the_rules_say() {
    let rules = Rules::default();
    let due_ms =
        |job: &Job, event| decide(job, event, NOW, &rules).unwrap().step(job).unwrap().due_ms - NOW;
    let (queued, leased) = (job(State::Queued, 0, NOW), job(State::Leased, 2, NOW + 5));
    assert_eq!(due_ms(&queued, claim(true)), 30_000);
    assert_eq!(due_ms(&leased, Event::Heartbeat { attempt: 2 }), 30_000);
    assert_eq!(due_ms(&leased, complete(2)), 0);
    let waits =
        [1, 2].map(|attempt| due_ms(&job(State::Leased, attempt, NOW), fail(attempt, true)));
    assert_eq!(waits, [2_000, 4_000]);
    // As long as it has waited, between half a minute and five.
    let pauses = [1_000, 60_000, 9_000_000]
        .map(|waited| due_ms(&Job { accepted_ms: NOW - waited, ..queued.clone() }, Event::Due));
    assert_eq!(pauses, [30_000, 60_000, 300_000]);
}

#[test]
fn the_last_attempt_is_not_tried_again() {
    let last = job(State::Leased, 3, NOW + 1);
    assert_eq!(said(decide(&last, fail(3, true), NOW, &Rules::default())), "parked: no memory");
}

#[test]
fn an_urgent_job_is_announced_as_urgent_until_it_was_tried() {
    let urgent = |attempt| Job { priority: Priority::Stat, ..job(State::Queued, attempt, NOW) };
    let due = |job| said(decide(&job, Event::Due, NOW, &Rules::default()));
    assert_eq!(due(urgent(0)), "announced: scan.ready.stat");
    assert_eq!(due(urgent(1)), "announced: scan.ready.again");
}

#[test]
fn a_result_about_something_else_is_invalid() {
    let leased = job(State::Leased, 2, NOW + 1);
    for other in [
        Job { binding: "of another patient".into(), ..leased.clone() },
        Job { volume_sha256: "of another volume".into(), ..leased },
    ] {
        let refused = decide(&other, complete(2), NOW, &Rules::default()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
}

/// What may come next in a job's life; `behind`: by how many attempts its sender is too late.
#[derive(Clone, Debug)]
enum Act {
    Wait(i64),
    Claim { alone: bool },
    Heartbeat { behind: u32 },
    Complete { behind: u32 },
    Fail { behind: u32, retry: bool },
    Sweep,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (-1_000_i64..60_000).prop_map(Act::Wait),
        3 => any::<bool>().prop_map(|alone| Act::Claim { alone }),
        2 => (0_u32..3).prop_map(|behind| Act::Heartbeat { behind }),
        1 => (0_u32..3).prop_map(|behind| Act::Complete { behind }),
        2 => (0_u32..3, any::<bool>()).prop_map(|(behind, retry)| Act::Fail { behind, retry }),
        2 => Just(Act::Sweep),
    ]
}

fn life() -> impl Strategy<Value = (Vec<Act>, u32)> {
    (prop::collection::vec(act(), 0..40), 1_u32..5)
}

/// One thing that has happened: the job before and after it, and what was decided.
struct Moment {
    now_ms: i64,
    before: Job,
    event: Event,
    decided: Result<Transition>,
    after: Job,
}

fn rules(attempts_max: u32) -> Rules {
    Rules { attempts_max, ..Rules::default() }
}

/// The job as the transition leaves it.
fn stepped(job: &Job, transition: &Transition) -> Job {
    match transition.step(job) {
        Some(Step { state, attempt, due_ms }) => Job { state, attempt, due_ms, ..job.clone() },
        None => job.clone(),
    }
}

fn played((acts, attempts_max): (Vec<Act>, u32)) -> Vec<Moment> {
    let rules = rules(attempts_max);
    let (mut now_ms, mut before) = (NOW, job(State::Queued, 0, NOW + ANNOUNCE_MS));
    let mut moments = Vec::new();
    for act in acts {
        let late = |behind| before.attempt.saturating_sub(behind);
        let event = match act {
            Act::Wait(ms) => {
                now_ms += ms;
                continue;
            }
            Act::Claim { alone } => claim(alone),
            Act::Heartbeat { behind } => Event::Heartbeat { attempt: late(behind) },
            Act::Complete { behind } => complete(late(behind)),
            Act::Fail { behind, retry } => fail(late(behind), retry),
            Act::Sweep => Event::Due,
        };
        let decided = decide(&before, event.clone(), now_ms, &rules);
        let after = decided.as_ref().map_or(before.clone(), |decided| stepped(&before, decided));
        moments.push(Moment { now_ms, before, event, decided, after: after.clone() });
        before = after;
    }
    moments
}

fn row(job: &Job) -> (State, u32, i64) {
    (job.state, job.attempt, job.due_ms)
}

proptest! {
    #[test]
    fn attempts_are_counted_one_by_one_and_never_exceed_the_maximum(life in life()) {
        let attempts_max = life.1;
        for Moment { before, event, after, .. } in played(life) {
            let begun = after.attempt - before.attempt;
            let claims = u32::from(matches!(event, Event::Claim { .. }));
            prop_assert!(begun <= claims);
            prop_assert!(after.attempt <= attempts_max);
        }
    }

    #[test]
    fn a_job_that_is_over_never_changes(life in life()) {
        for Moment { before, decided, after, .. } in played(life) {
            if before.is_over() {
                prop_assert!(!matches!(decided, Ok(ref decided) if *decided != Transition::Stays));
                prop_assert_eq!(row(&after), row(&before));
            }
        }
    }

    #[test]
    fn a_stale_attempt_never_wins(life in life()) {
        for Moment { before, event, decided, .. } in played(life) {
            let (Event::Heartbeat { attempt }
            | Event::Complete { attempt, .. }
            | Event::Fail { attempt, .. }) = event
            else {
                continue;
            };
            if attempt == 0 || attempt != before.attempt {
                let refused = decided.map_err(|error| (error.kind(), error.to_string()));
                prop_assert_eq!(refused, Err((ErrorKind::Conflict, STALE.to_owned())));
            }
        }
    }

    #[test]
    fn nobody_has_a_job_that_another_holds(life in life()) {
        for Moment { now_ms, before, event, decided, .. } in played(life) {
            let held = before.state == State::Leased && before.due_ms > now_ms;
            if held && matches!(event, Event::Claim { .. }) {
                prop_assert!(decided.is_err());
            }
        }
    }

    /// The clock may go back a little.
    #[test]
    fn a_lease_never_shrinks_by_a_heartbeat(life in life()) {
        for Moment { now_ms, before, decided, after, .. } in played(life) {
            if let Ok(Transition::Kept { until_ms, .. }) = decided {
                prop_assert!(until_ms >= now_ms + 30_000);
                prop_assert!(before.state != State::Leased || after.due_ms >= before.due_ms);
            }
        }
    }

    /// Whatever has happened: the sweeper alone brings each job that is not over before a worker again, or to its end.
    #[test]
    fn no_job_is_forgotten(life in life()) {
        let rules = rules(life.1);
        let longest_ms = 10 * ANNOUNCE_MS;
        for Moment { now_ms, after, .. } in played(life) {
            if after.is_over() {
                continue;
            }
            // A minute more than any pause, for a clock that went back.
            prop_assert!(after.due_ms <= now_ms + longest_ms + 60_000);
            let swept = decide(&after, Event::Due, after.due_ms, &rules).unwrap();
            let announced = matches!(swept, Transition::Queued { topic: Some(_), .. });
            prop_assert!(announced || stepped(&after, &swept).is_over());
        }
    }
}
