//! The names of the queues, and what their messages mean.

/// One message for every job that waits for a worker; the body is the job's id.
pub const SCAN_READY: &str = "scan.ready";

/// One message for every scan that is done; the body is a CloudEvents 1.0 event (JSON).
pub const SCAN_COMPLETED: &str = "scan.completed";

/// Whether what is said under that name is news for whoever wants it, and not work for one.
pub fn is_event(topic: &str) -> bool {
    topic == SCAN_COMPLETED
}
