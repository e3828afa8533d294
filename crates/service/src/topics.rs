//! The names of the queues, and what their messages mean.

/// One message for every job that waits for a worker; the body is the job's id.
pub const SCAN_READY: &str = "scan.ready";

/// One message for every scan that is done; the body is a CloudEvents 1.0 event (JSON).
pub const SCAN_COMPLETED: &str = "scan.completed";
