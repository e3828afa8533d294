//! The jail that an upload is decoded in: a process of its own (`medseg-decode`) that opens nothing, reaches nobody and can
//! only read the one file that it was handed, or the few of one sender whose headers it looks at, think, and answer.
//!
//! Who starts it needs [`handover::give`], [`answer::DecoderAnswer`], [`answer::series_digest`] and [`export::Names`], and nothing else of this crate. It links what decoding
//! needs: no network, no database, no runtime.

#![deny(missing_docs)]

pub mod answer;
mod calls;
mod confine;
pub mod export;
pub mod handover;

pub use confine::{confine, limit};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What `medseg-decode` ends with when its jail is not what was demanded. It has read no byte of the file.
pub const UNJAILED: u8 = 3;

/// What becomes of decoding where the kernel cannot build the whole jail.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Demand {
    /// Nothing is decoded outside of a whole jail.
    #[default]
    Required,
    /// It goes on within what there is.
    BestEffort,
}

/// The walls that stand around a decoder.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Walls {
    /// The version of landlock that is in force, with all that this kernel has of it; 0: it has none.
    pub landlock: u32,
    /// Whether any system call that decoding does not need ends the process.
    pub seccomp: bool,
}

impl Demand {
    /// How the command line spells it.
    pub fn term(self) -> &'static str {
        match self {
            Demand::Required => "required",
            Demand::BestEffort => "best-effort",
        }
    }
}

impl Walls {
    /// What there is not; None: they are whole.
    pub fn missing(&self) -> Option<&'static str> {
        match (self.landlock, self.seccomp) {
            (0, false) => Some("landlock and seccomp"),
            (0, true) => Some("landlock"),
            (_, false) => Some("seccomp"),
            (_, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_is_spelled_as_the_command_line_reads_it() {
        for demand in Demand::value_variants() {
            assert_eq!(Demand::from_str(demand.term(), false), Ok(*demand));
        }
    }

    #[test]
    fn a_jail_is_whole_with_both_walls_only() {
        let missing = |landlock, seccomp| Walls { landlock, seccomp }.missing();
        assert_eq!(missing(1, true), None);
        assert_eq!(missing(0, true), Some("landlock"));
        assert_eq!(missing(7, false), Some("seccomp"));
        assert_eq!(Walls::default().missing(), Some("landlock and seccomp"));
    }
}
