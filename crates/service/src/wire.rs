//! Conversions between domain types and messages that several services need.

mod audit;
mod feedback;
mod identity;

pub use audit::{audit_entry, audit_filters, audit_heads, audit_search, audit_stretch};
pub use feedback::{review_state, review_state_of, word, word_of};
pub use identity::{identity, identity_of};

use domain::Priority;
use proto::storage;

/// The message's enum of a priority.
pub fn priority(priority: Priority) -> storage::Priority {
    match priority {
        Priority::Routine => storage::Priority::Routine,
        Priority::Stat => storage::Priority::Stat,
    }
}

/// The priority of a message's enum; an unset one is routine.
pub fn priority_of(wire: storage::Priority) -> Priority {
    match wire {
        storage::Priority::Stat => Priority::Stat,
        storage::Priority::Routine | storage::Priority::Unspecified => Priority::Routine,
    }
}
