//! The names of the queues, and what their messages mean.

use domain::Priority;

/// One message for every job that waits for a worker; the body is the job's id.
pub const SCAN_READY: &str = "scan.ready";

/// The same for urgent ones: in a queue of their own they never wait behind what is not.
pub const SCAN_READY_STAT: &str = "scan.ready.stat";

/// The same for jobs that were tried before, of whatever priority: a worker does them alone, so that one that it does not
/// survive takes no other with it.
pub const SCAN_READY_AGAIN: &str = "scan.ready.again";

/// Where jobs of that priority wait.
pub fn scan_ready(priority: Priority) -> &'static str {
    match priority {
        Priority::Routine => SCAN_READY,
        Priority::Stat => SCAN_READY_STAT,
    }
}

/// One message for every scan that is done; the body is a CloudEvents 1.0 event (JSON).
pub const SCAN_COMPLETED: &str = "scan.completed";

/// Whether what is said under that name is news for whoever wants it, and not work for one.
pub fn is_event(topic: &str) -> bool {
    topic == SCAN_COMPLETED
}
