//! What several services say to each other in the same words.

use domain::Priority;
use proto::storage;

/// A priority as messages have it.
pub fn priority(priority: Priority) -> storage::Priority {
    match priority {
        Priority::Routine => storage::Priority::Routine,
        Priority::Stat => storage::Priority::Stat,
    }
}

/// The priority that a message asks for; one that says nothing is routine.
pub fn priority_of(wire: storage::Priority) -> Priority {
    match wire {
        storage::Priority::Stat => Priority::Stat,
        storage::Priority::Routine | storage::Priority::Unspecified => Priority::Routine,
    }
}
