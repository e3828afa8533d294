//! The topics of the queue: kinds of work and events, and what their messages hold.

use domain::Priority;
use platform::queue::{Event, Topic, Work};

/// One message for every job that waits for a worker; the body is the job's id.
pub const SCAN_READY: Work<'static> = Work("scan.ready");

/// The same for urgent ones: in a queue of their own they never wait behind what is not.
pub const SCAN_READY_STAT: Work<'static> = Work("scan.ready.stat");

/// The same for jobs that were tried before, of whatever priority: a worker does them alone, so that one that it does not
/// survive takes no other with it.
pub const SCAN_RETRY: Work<'static> = Work("scan.ready.again");

/// One message for every model version that waits for its evaluation on the gate set; the body is `NAME/VERSION`.
pub const MODEL_EVALUATE: Work<'static> = Work("model.evaluate");

/// The work topic of that priority.
pub fn scan_ready(priority: Priority) -> Work<'static> {
    match priority {
        Priority::Routine => SCAN_READY,
        Priority::Stat => SCAN_READY_STAT,
    }
}

/// One event for every scan that is done; the body is a [`CloudEvent`](crate::CloudEvent) with
/// [`ScanCompleted`](proto::events::ScanCompleted) in it.
pub const SCAN_COMPLETED: Event<'static> = Event("scan.completed");

/// One event for every word of a reader; the body is a [`CloudEvent`](crate::CloudEvent) with
/// [`FeedbackGiven`](proto::events::FeedbackGiven) in it.
pub const FEEDBACK_GIVEN: Event<'static> = Event("feedback.given");

/// One event for everything that somebody reports; the body is a [`CloudEvent`](crate::CloudEvent) with
/// [`IncidentReported`](proto::events::IncidentReported) in it.
pub const INCIDENT_REPORTED: Event<'static> = Event("incident.reported");

/// One event when scans of a hospital no longer look as in training; the body is a [`CloudEvent`](crate::CloudEvent) with
/// [`DriftDetected`](proto::events::DriftDetected) in it.
pub const DRIFT_DETECTED: Event<'static> = Event("drift.detected");

/// One event when they do again; the body is a [`CloudEvent`](crate::CloudEvent) with
/// [`DriftCleared`](proto::events::DriftCleared) in it.
pub const DRIFT_CLEARED: Event<'static> = Event("drift.cleared");

/// One event for every file that is refused at the door; the body is a [`CloudEvent`](crate::CloudEvent) with
/// [`UploadRefused`](proto::events::UploadRefused) in it.
pub const UPLOAD_REFUSED: Event<'static> = Event("upload.refused");

/// One event for every scan of a patient who is erased; the body is a [`CloudEvent`](crate::CloudEvent) with
/// [`ScanErased`](proto::events::ScanErased) in it.
pub const SCAN_ERASED: Event<'static> = Event("scan.erased");

/// All topics; `docs/asyncapi.yaml` describes the events.
pub const ALL: [Topic<'static>; 11] = [
    Topic::Work(SCAN_READY),
    Topic::Work(SCAN_READY_STAT),
    Topic::Work(SCAN_RETRY),
    Topic::Work(MODEL_EVALUATE),
    Topic::Event(SCAN_COMPLETED),
    Topic::Event(FEEDBACK_GIVEN),
    Topic::Event(INCIDENT_REPORTED),
    Topic::Event(DRIFT_DETECTED),
    Topic::Event(DRIFT_CLEARED),
    Topic::Event(UPLOAD_REFUSED),
    Topic::Event(SCAN_ERASED),
];

/// The topic of that name, as the outbox stores it.
pub fn named(name: &str) -> Option<Topic<'static>> {
    ALL.into_iter().find(|topic| topic.name() == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_topic_has_a_name_of_its_own() {
        let names: BTreeSet<_> = ALL.iter().map(|topic| topic.name()).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.into_iter().all(|topic| named(topic.name()) == Some(topic)));
        assert_eq!(named("scan"), None);
    }

    /// The queue of an event's group is called by both their names.
    #[test]
    fn no_topic_is_named_like_the_queue_of_a_group() {
        let events = ALL.iter().filter(|topic| matches!(topic, Topic::Event(_)));
        for event in events.map(|event| format!("{}.", event.name())) {
            assert!(ALL.iter().all(|topic| !topic.name().starts_with(&event)), "{event}");
        }
    }
}
