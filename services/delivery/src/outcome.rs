/// What became of an attempt.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The receiver has it, and what it has said besides.
    Delivered(String),
    /// It does not have it now; the destination is tried again later.
    Later(String),
    /// It has answered that it does not take it, and may another time: it is tried a few times.
    Objected(String),
    /// Something of ours is away: the destination has nothing to do with it.
    Away(String),
    /// Nothing may go out of the hospital now: it was not tried.
    Held(String),
    /// It will not have it, however often it is sent.
    Refused(String),
    /// There is nothing of such a scan that could be sent.
    Absent(String),
    /// What is to be sent could not be made of what is stored: somebody of ours has to look.
    Unmade(String),
}

impl Outcome {
    /// The name used in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Delivered(_) => "delivered",
            Outcome::Later(_) => "later",
            Outcome::Objected(_) => "objected",
            Outcome::Away(_) => "away",
            Outcome::Held(_) => "held",
            Outcome::Refused(_) => "refused",
            Outcome::Absent(_) => "absent",
            Outcome::Unmade(_) => "unmade",
        }
    }

    pub fn words(&self) -> &str {
        match self {
            Outcome::Delivered(words)
            | Outcome::Later(words)
            | Outcome::Objected(words)
            | Outcome::Away(words)
            | Outcome::Held(words)
            | Outcome::Refused(words)
            | Outcome::Absent(words)
            | Outcome::Unmade(words) => words,
        }
    }
}

/// An outcome, and what the destination has said that it takes, if it has.
#[derive(Clone, Debug)]
pub struct Attempted {
    pub outcome: Outcome,
    pub takes: Option<String>,
}

impl From<Outcome> for Attempted {
    fn from(outcome: Outcome) -> Attempted {
        Attempted { outcome, takes: None }
    }
}
