use serde::{Deserialize, Serialize};

/// What medseg says of a scan: one of four, never confused with one another.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// At least one finding.
    Found,
    /// Analysed in full, and nothing was found.
    NoneFound,
    /// The scan is sound but no registered model may judge it; the result says why.
    NotAnalysable,
    /// Something broke on our side; says nothing about the patient.
    Failed,
}

impl Answer {
    /// The name used in SQL, JSON, logs and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NoneFound => "none_found",
            Self::NotAnalysable => "not_analysable",
            Self::Failed => "failed",
        }
    }

    /// The answer of that [`name`](Answer::name).
    pub fn named(name: &str) -> Option<Answer> {
        [Self::Found, Self::NoneFound, Self::NotAnalysable, Self::Failed]
            .into_iter()
            .find(|answer| answer.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_name() {
        for answer in [Answer::Found, Answer::NoneFound, Answer::NotAnalysable, Answer::Failed] {
            assert_eq!(Answer::named(answer.name()), Some(answer));
            assert_eq!(serde_json::to_value(answer).unwrap(), answer.name());
        }
    }
}
