//! The vocabulary that every crate shares. No I/O.

#![deny(missing_docs)]

mod answer;
pub mod artefact;
mod clock;
mod equipment;
mod error;
pub mod evidence;
pub mod feedback;
mod hex;
mod id;
pub mod identity;
pub mod limits;
mod moment;
mod network;
mod pause;
mod priority;
#[cfg(feature = "statistics")]
pub mod statistics;
#[cfg(feature = "wire")]
mod wire;

pub use answer::{Answer, Unanswered};
pub use artefact::Artefact;
pub use clock::{Clock, ManualClock, Random};
pub use equipment::{Equipment, tesla};
pub use error::{Error, ErrorKind, Result};
pub use hex::hex;
pub use id::{
    BatchId, DeliveryId, DestinationId, ErasureId, EvaluationId, FeedbackId, HoldId, IncidentId,
    IncidentLinkId, JobId, PartialUploadId, RefusalId, ScanId, SecurityKeyId, SeriesRuleId,
    TenantId, UserId, WindowId,
};
pub use identity::Identity;
pub use moment::rfc3339;
pub use network::{Network, neighbourhood};
pub use pause::{seconds_said, try_again_in};
pub use priority::Priority;
