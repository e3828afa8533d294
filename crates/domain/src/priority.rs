use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::{Error, ErrorKind, Result};

/// How urgent an analysis is, in DICOM's words for a requested procedure (PS3.3 C.4.11, attribute 0040,1003).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
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
pub enum Priority {
    /// In its turn.
    #[default]
    Routine,
    /// Before what is routine; while many are urgent, one in four in hand is not.
    Stat,
}

impl Priority {
    /// The name used in SQL, JSON and logs.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The priority of that [`name`](Priority::name).
    pub fn named(name: &str) -> Option<Priority> {
        name.parse().ok()
    }
}

impl TryFrom<String> for Priority {
    type Error = Error;

    /// As a column holds it.
    fn try_from(name: String) -> Result<Priority> {
        Priority::named(&name)
            .ok_or_else(|| ErrorKind::Internal.error("a priority that nobody knows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_name_and_what_is_not_urgent_is_routine() {
        for &priority in Priority::VARIANTS {
            assert_eq!(Priority::named(priority.name()), Some(priority));
            assert_eq!(serde_json::to_value(priority).unwrap(), priority.name());
        }
        let names: Vec<&str> = Priority::VARIANTS.iter().map(|priority| priority.name()).collect();
        assert_eq!(names, ["routine", "stat"]);
        assert_eq!(Priority::default(), Priority::Routine);
        assert_eq!(Priority::named("urgent"), None);
    }

    #[test]
    fn a_column_that_holds_another_word_is_a_mistake_of_ours() {
        assert_eq!(Priority::try_from("stat".to_owned()).unwrap(), Priority::Stat);
        for word in ["", "STAT", "urgent"] {
            let refused = Priority::try_from(word.to_owned()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Internal, "{word:?}");
        }
    }
}
