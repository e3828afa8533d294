use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// How urgent an analysis is, in DICOM's words for a requested procedure (PS3.3 C.4.11, attribute 0040,1003).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// In its turn.
    #[default]
    Routine,
    /// Before everything that is routine.
    Stat,
}

impl Priority {
    /// Most urgent first.
    pub const ALL: [Priority; 2] = [Self::Stat, Self::Routine];

    /// The name used in SQL, JSON and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::Stat => "stat",
        }
    }

    /// The priority of that [`name`](Priority::name).
    pub fn named(name: &str) -> Option<Priority> {
        Self::ALL.into_iter().find(|priority| priority.name() == name)
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
        for priority in Priority::ALL {
            assert_eq!(Priority::named(priority.name()), Some(priority));
            assert_eq!(serde_json::to_value(priority).unwrap(), priority.name());
        }
        assert_eq!(Priority::default(), Priority::Routine);
        assert_eq!(Priority::named("urgent"), None);
    }
}
