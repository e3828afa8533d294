//! Which objects there are of a result, before any of them is made.

use super::file::{self, Kind};
use super::{DicomResult, basic_text, capture, document, seg, sr};

/// One object of a result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ObjectFacts {
    /// The name of the artefact that is this object.
    pub name: &'static str,
    /// Its SOP class.
    pub class: &'static str,
    /// As DICOM has it: `SEG`, `SR`, `OT` or `DOC`.
    pub modality: &'static str,
    /// The number of its series.
    pub series_number: u32,
    /// What its series is called.
    pub series_description: &'static str,
    /// The UID of its series, in which it is alone.
    pub series: String,
    /// Its own UID; None of one that is named by its bytes, so that it has to be made first.
    pub instance: Option<String>,
}

impl DicomResult {
    /// The objects that there are of this result.
    pub fn objects(&self) -> Vec<ObjectFacts> {
        let has_segmentation = seg::instance_uid(self).is_ok();
        let segmentation = Some(&seg::KIND).filter(|_| has_segmentation);
        let others = [&sr::KIND, &basic_text::KIND, &capture::KIND];
        let named = segmentation.into_iter().chain(others);
        let named = named.map(|kind| {
            let instance = self.uid(&[kind.name, "instance"]);
            self.facts(kind, Some(instance))
        });
        named.chain([self.facts(&document::KIND, None)]).collect()
    }

    fn facts(&self, kind: &Kind, instance: Option<String>) -> ObjectFacts {
        ObjectFacts {
            name: kind.name,
            class: kind.class,
            modality: kind.modality,
            series_number: kind.series_number,
            series_description: kind.description,
            series: file::series_uid(self, kind),
            instance,
        }
    }
}
