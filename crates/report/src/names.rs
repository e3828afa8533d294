//! What things of a result are called, in every format alike.

use imaging::{Finding, ResultDocument};

use crate::dicom::uid::uid;

/// The words that name something of a result: another scan's, or another model's, is another one.
pub fn of<'a>(result: &'a ResultDocument, words: &[&'a str]) -> Vec<&'a str> {
    let [name, version, digest] = model(result);
    let named = ["medseg", result.scan_id.as_str(), name, version, digest];
    [&named[..], words].concat()
}

/// The UID by which a finding is the same in all formats.
pub fn tracking_uid(result: &ResultDocument, finding: &Finding) -> String {
    uid(&of(result, &["finding", &finding.label.to_string()]))
}

/// The UID of what has observed it: the same for all results of one model.
pub fn uid_of_model(result: &ResultDocument) -> String {
    let [name, version, digest] = model(result);
    uid(&["medseg", "device", name, version, digest])
}

/// What tells models from each other: engines without weights differ in their names alone. Empty where none was run.
fn model(result: &ResultDocument) -> [&str; 3] {
    let model = result.model.as_ref();
    model.map_or([""; 3], |model| {
        [model.name.as_str(), model.version.as_str(), model.sha256.as_str()]
    })
}
