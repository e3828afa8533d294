use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// What medseg says of a scan: one of four, never confused with one another.
#[derive(
    Clone,
    Copy,
    Debug,
    Deserialize,
    EnumString,
    Eq,
    Hash,
    IntoStaticStr,
    PartialEq,
    Serialize,
    VariantArray,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
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
        self.into()
    }

    /// The answer of that [`name`](Answer::name).
    pub fn named(name: &str) -> Option<Answer> {
        name.parse().ok()
    }
}

/// Why a scan has no answer that says anything of the patient.
#[derive(Clone, Copy, Debug, EnumString, Eq, IntoStaticStr, PartialEq, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Unanswered {
    /// No registered model may judge it.
    NoModel,
    /// The hospital takes no answer of the model until somebody decides.
    Stopped,
    /// Something broke on our side.
    Failed,
}

impl Unanswered {
    /// The name used in events and in SQL.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_is_no_answer_has_a_name_of_its_own() {
        let names: Vec<&str> = Unanswered::VARIANTS.iter().map(|why| why.name()).collect();
        assert_eq!(names, ["no_model", "stopped", "failed"]);
    }

    #[test]
    fn json_says_the_same_name() {
        for &answer in Answer::VARIANTS {
            assert_eq!(Answer::named(answer.name()), Some(answer));
            assert_eq!(serde_json::to_value(answer).unwrap(), answer.name());
        }
        let names: Vec<&str> = Answer::VARIANTS.iter().map(|answer| answer.name()).collect();
        assert_eq!(names, ["found", "none_found", "not_analysable", "failed"]);
        assert_eq!(Answer::named("Found"), None);
    }
}
