//! What the doors do by their tables, for the conformance statement (PS3.2), which is written from it.

pub use super::commitment::CLASS as COMMITMENT;
pub use super::contexts::{VERIFICATION, taken};
pub use super::dimse::statuses;
pub use super::part10::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
pub use super::stow::REASONS;
