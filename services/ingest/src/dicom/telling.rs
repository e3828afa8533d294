//! What is counted of the door.

use metrics::Unit::{Bytes, Count};
use metrics::{counter, describe_counter, describe_gauge, gauge};

use super::inbox::Full;

/// How an association ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    Released,
    /// The other side gave it up.
    Aborted,
    /// It was not let in.
    Rejected,
    /// The line was cut, silent for too long or spoke something else; or it took too long.
    Cut,
    /// This process stops.
    Stopped,
}

/// Tells what is counted.
pub fn describe() {
    describe_counter!(
        "medseg_dicom_associations_total",
        Count,
        "DICOM associations, by how they ended"
    );
    describe_counter!(
        "medseg_dicom_instances_total",
        Count,
        "DICOM instances: kept, refused, or no_image among those that were kept"
    );
    describe_counter!(
        "medseg_dicom_series_total",
        Count,
        "Series that were complete, by what became of them"
    );
    describe_gauge!(
        "medseg_dicom_inbox_bytes",
        Bytes,
        "Instances on disk, also of series that are done"
    );
    describe_counter!(
        "medseg_dicom_full_total",
        Count,
        "DICOM instances that found no room, by what was full: inbox, hospital (its share), sender (its own) or disk"
    );
    for full in Full::ALL {
        counter!("medseg_dicom_full_total", "full" => full.name()).increment(0);
    }
}

pub fn count_association(ended: Ended) {
    let ended = match ended {
        Ended::Released => "released",
        Ended::Aborted => "aborted",
        Ended::Rejected => "rejected",
        Ended::Cut => "cut",
        Ended::Stopped => "stopped",
    };
    counter!("medseg_dicom_associations_total", "ended" => ended).increment(1);
}

pub fn count_instance(became: &'static str) {
    counter!("medseg_dicom_instances_total", "became" => became).increment(1);
}

pub fn count_full(full: &'static str) {
    counter!("medseg_dicom_full_total", "full" => full).increment(1);
}

pub fn count_series(became: &'static str) {
    counter!("medseg_dicom_series_total", "became" => became).increment(1);
}

pub fn tell_room(bytes: u64) {
    gauge!("medseg_dicom_inbox_bytes").set(bytes as f64);
}
