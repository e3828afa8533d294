//! What a reader says of a result, as a message.

use domain::feedback::{
    FindingVerdict, JudgedFinding, Place, Reason, ReviewState, Truth, Verdict, Word,
};
use domain::{ErrorKind, Result};
use proto::storage;

/// The message of a word.
pub fn word(word: Word) -> storage::Word {
    let Word { verdict, truth, reason, note, findings, missed, adjudicates } = word;
    let judged = |finding: JudgedFinding| storage::JudgedFinding {
        label: finding.label,
        verdict: judgement(finding.verdict).into(),
        reason: finding.reason.map(reason_said).unwrap_or_default().into(),
        note: finding.note,
    };
    let place = |Place { slice, row, column }: Place| storage::Place { slice, row, column };
    storage::Word {
        verdict: verdict_said(verdict).into(),
        truth: truth.map(truth_said).unwrap_or_default().into(),
        reason: reason.map(reason_said).unwrap_or_default().into(),
        note,
        findings: findings.into_iter().map(judged).collect(),
        missed: missed.into_iter().map(place).collect(),
        adjudicates,
    }
}

/// The word of a message; `Invalid` for one without a verdict, or with one that no finding can have.
pub fn word_of(wire: storage::Word) -> Result<Word> {
    let (verdict, truth, reason) =
        (verdict_of(wire.verdict())?, truth_of(wire.truth()), reason_of(wire.reason()));
    let judged = |finding: storage::JudgedFinding| -> Result<JudgedFinding> {
        let (verdict, reason) = (judgement_of(finding.verdict())?, reason_of(finding.reason()));
        Ok(JudgedFinding { label: finding.label, verdict, reason, note: finding.note })
    };
    let place =
        |storage::Place { slice, row, column }: storage::Place| Place { slice, row, column };
    Ok(Word {
        verdict,
        truth,
        reason,
        note: wire.note,
        findings: wire.findings.into_iter().map(judged).collect::<Result<_>>()?,
        missed: wire.missed.into_iter().map(place).collect(),
        adjudicates: wire.adjudicates,
    })
}

/// The message's enum of a state of review.
pub fn review_state(state: ReviewState) -> storage::ReviewState {
    match state {
        ReviewState::Unreviewed => storage::ReviewState::Unreviewed,
        ReviewState::Agreed => storage::ReviewState::Agreed,
        ReviewState::Corrected => storage::ReviewState::Corrected,
        ReviewState::Rejected => storage::ReviewState::Rejected,
        ReviewState::Unsure => storage::ReviewState::Unsure,
        ReviewState::Conflict => storage::ReviewState::Conflict,
    }
}

/// The state of review of a message's enum; None: it is not said.
pub fn review_state_of(wire: storage::ReviewState) -> Option<ReviewState> {
    match wire {
        storage::ReviewState::Unspecified => None,
        storage::ReviewState::Unreviewed => Some(ReviewState::Unreviewed),
        storage::ReviewState::Agreed => Some(ReviewState::Agreed),
        storage::ReviewState::Corrected => Some(ReviewState::Corrected),
        storage::ReviewState::Rejected => Some(ReviewState::Rejected),
        storage::ReviewState::Unsure => Some(ReviewState::Unsure),
        storage::ReviewState::Conflict => Some(ReviewState::Conflict),
    }
}

fn verdict_said(verdict: Verdict) -> storage::Verdict {
    match verdict {
        Verdict::Agree => storage::Verdict::Agree,
        Verdict::Correct => storage::Verdict::Correct,
        Verdict::Reject => storage::Verdict::Reject,
        Verdict::Unsure => storage::Verdict::Unsure,
    }
}

fn verdict_of(wire: storage::Verdict) -> Result<Verdict> {
    match wire {
        storage::Verdict::Agree => Ok(Verdict::Agree),
        storage::Verdict::Correct => Ok(Verdict::Correct),
        storage::Verdict::Reject => Ok(Verdict::Reject),
        storage::Verdict::Unsure => Ok(Verdict::Unsure),
        storage::Verdict::Unspecified => {
            Err(ErrorKind::Invalid.error("feedback without a verdict"))
        }
    }
}

fn judgement(verdict: FindingVerdict) -> storage::Verdict {
    match verdict {
        FindingVerdict::Agree => storage::Verdict::Agree,
        FindingVerdict::Reject => storage::Verdict::Reject,
        FindingVerdict::Unsure => storage::Verdict::Unsure,
    }
}

fn judgement_of(wire: storage::Verdict) -> Result<FindingVerdict> {
    match wire {
        storage::Verdict::Agree => Ok(FindingVerdict::Agree),
        storage::Verdict::Reject => Ok(FindingVerdict::Reject),
        storage::Verdict::Unsure => Ok(FindingVerdict::Unsure),
        storage::Verdict::Correct | storage::Verdict::Unspecified => Err(ErrorKind::Invalid
            .error("a finding is agreed with, rejected, or the reader is unsure of it")),
    }
}

fn truth_said(truth: Truth) -> storage::Truth {
    match truth {
        Truth::Tumour => storage::Truth::Tumour,
        Truth::NoTumour => storage::Truth::NoTumour,
    }
}

fn truth_of(wire: storage::Truth) -> Option<Truth> {
    match wire {
        storage::Truth::Unspecified => None,
        storage::Truth::Tumour => Some(Truth::Tumour),
        storage::Truth::NoTumour => Some(Truth::NoTumour),
    }
}

fn reason_said(reason: Reason) -> storage::FeedbackReason {
    match reason {
        Reason::Missed => storage::FeedbackReason::Missed,
        Reason::FalseFinding => storage::FeedbackReason::FalseFinding,
        Reason::Outline => storage::FeedbackReason::Outline,
        Reason::WrongSide => storage::FeedbackReason::WrongSide,
        Reason::Quality => storage::FeedbackReason::Quality,
        Reason::Other => storage::FeedbackReason::Other,
    }
}

fn reason_of(wire: storage::FeedbackReason) -> Option<Reason> {
    match wire {
        storage::FeedbackReason::Unspecified => None,
        storage::FeedbackReason::Missed => Some(Reason::Missed),
        storage::FeedbackReason::FalseFinding => Some(Reason::FalseFinding),
        storage::FeedbackReason::Outline => Some(Reason::Outline),
        storage::FeedbackReason::WrongSide => Some(Reason::WrongSide),
        storage::FeedbackReason::Quality => Some(Reason::Quality),
        storage::FeedbackReason::Other => Some(Reason::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERDICTS: [Verdict; 4] =
        [Verdict::Agree, Verdict::Correct, Verdict::Reject, Verdict::Unsure];
    const REASONS: [Reason; 6] = [
        Reason::Missed,
        Reason::FalseFinding,
        Reason::Outline,
        Reason::WrongSide,
        Reason::Quality,
        Reason::Other,
    ];
    const STATES: [ReviewState; 6] = [
        ReviewState::Unreviewed,
        ReviewState::Agreed,
        ReviewState::Corrected,
        ReviewState::Rejected,
        ReviewState::Unsure,
        ReviewState::Conflict,
    ];

    fn said(verdict: Verdict, truth: Option<Truth>, reason: Option<Reason>) -> Word {
        let doubted = JudgedFinding {
            reason,
            note: "of this one".into(),
            ..JudgedFinding::bare(9, FindingVerdict::Unsure)
        };
        Word {
            verdict,
            truth,
            reason,
            note: "in their own words".into(),
            findings: vec![
                JudgedFinding::bare(1, FindingVerdict::Agree),
                JudgedFinding::bare(7, FindingVerdict::Reject),
                doubted,
            ],
            missed: vec![Place { slice: 1, row: 2, column: 3 }],
            adjudicates: vec!["another word".into()],
        }
    }

    #[test]
    fn a_word_loses_nothing_on_its_way() {
        for verdict in VERDICTS {
            for truth in [None, Some(Truth::Tumour), Some(Truth::NoTumour)] {
                for reason in std::iter::once(None).chain(REASONS.map(Some)) {
                    let said = said(verdict, truth, reason);
                    assert_eq!(word_of(word(said.clone())).unwrap(), said);
                }
            }
        }
        for state in STATES {
            assert_eq!(review_state_of(review_state(state)), Some(state));
        }
        assert_eq!(review_state_of(storage::ReviewState::Unspecified), None);
    }

    #[test]
    fn a_word_without_a_verdict_is_none_and_no_finding_is_corrected() {
        let none = storage::Word::default();
        assert_eq!(word_of(none).unwrap_err().kind(), ErrorKind::Invalid);
        let mut corrected = word(said(Verdict::Correct, None, None));
        corrected.findings[0].verdict = storage::Verdict::Correct.into();
        assert_eq!(word_of(corrected).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
