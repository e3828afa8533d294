//! The studies that scans here are of: their own images, and what results are as DICOM objects.

use std::collections::HashSet;

use domain::artefact::{ALL, INSTANCES};
use domain::{Artefact, ErrorKind, Identity};
use imaging::{Instance, Limits, StoredInstance};
use proto::storage::StudySearch;
use report::dicom::{ObjectFacts, is_uid};

use crate::caller::Caller;
use crate::problem::{INTERNAL, NOT_FOUND, Problem};
use crate::scans::Scan;
use crate::{Gateway, artefacts, dicom, identity};

/// A scan that came as DICOM, and whose it is.
pub struct Held {
    pub scan: Scan,
    pub identity: Identity,
    /// What its sender calls it.
    pub reference: Option<String>,
    /// The objects that its result is.
    pub objects: Vec<ObjectFacts>,
}

/// All that is here of one study.
pub struct Study {
    pub uid: String,
    /// Whose it is; None: its files name nobody.
    patient: Option<String>,
    /// Newest first.
    pub scans: Vec<Held>,
}

/// What a search for studies has found.
pub struct Studies {
    pub studies: Vec<Study>,
    /// Whether there is more than that.
    pub more: bool,
}

/// One series of a study.
pub struct Series<'s> {
    pub study: &'s Study,
    pub held: &'s Held,
    /// The object that it is of; None: it is the scan's own images.
    pub object: Option<&'s ObjectFacts>,
}

/// One instance of a series, with what is known of it.
pub struct Item<'s> {
    pub series: &'s Series<'s>,
    pub uid: String,
    pub class: String,
    pub bytes: Bytes,
}

/// Where the bytes of an instance are.
pub enum Bytes {
    /// In the upload.
    Stored(Box<StoredInstance>),
    /// In the upload, of which no index was made: they are not handed out.
    Unindexed,
    /// They are made when they are asked for.
    Object(&'static Artefact),
    /// They were, as their name depends on them.
    Made(Vec<u8>),
}

/// The studies for which all holds that is asked for, with whose they are. Whoever may not know that is refused.
pub async fn studies(
    gateway: &mut Gateway,
    caller: &Caller,
    asked: StudySearch,
) -> Result<Studies, Problem> {
    let mut found = images(gateway, caller, asked).await?;
    for study in &mut found.studies {
        study.add_objects(gateway, caller).await?;
    }
    Ok(found)
}

/// The same without what results are.
async fn images(
    gateway: &mut Gateway,
    caller: &Caller,
    asked: StudySearch,
) -> Result<Studies, Problem> {
    let found = gateway.scans.find_studies(caller.request(asked)).await?.into_inner();
    let more = found.more || found.cut;
    let mut studies: Vec<Study> = Vec::new();
    for one in found.scans {
        let (Some(scan), Some(told)) = (one.scan, one.identity) else { continue };
        let (identity, reference) = identity::said(told)?;
        let [_, _, uid] = identity.keys();
        // What has no series and no instances did not come as DICOM.
        if !is_uid(&uid) || !is_uid(&series_of(&identity)) || identity.sop_instance_uids.is_empty()
        {
            continue;
        }
        let scan = Scan::try_from(scan)?;
        let held = Held { scan, identity, reference, objects: Vec::new() };
        let patient = held.identity.patient_key();
        // One UID for two patients is a mistake that others have made: nobody is told of the one as the other's.
        match studies.iter_mut().find(|study| study.uid == uid && study.patient == patient) {
            Some(study) => study.scans.push(held),
            None => studies.push(Study { uid, patient, scans: vec![held] }),
        }
    }
    Ok(Studies { studies, more })
}

/// The study of that UID; another hospital's is none, as is one that never was. Where a series of images is meant, without what results
/// are: viewers ask for frame after frame.
pub async fn study(
    gateway: &mut Gateway,
    caller: &Caller,
    uid: &str,
    series: Option<&str>,
) -> Result<Study, Problem> {
    if !is_uid(uid) {
        return Err(unknown());
    }
    let asked =
        StudySearch { limit: 1, study_uids: vec![uid.to_owned()], ..StudySearch::default() };
    let found = images(gateway, caller, asked).await?.studies;
    let mut found = found.into_iter().filter(|study| study.uid == uid);
    let mut study = found.next().ok_or_else(unknown)?;
    // Each instance says itself whose it is.
    study.scans.extend(found.flat_map(|other| other.scans));
    let is_images =
        |series: &str| study.scans.iter().any(|held| series_of(&held.identity) == series);
    if !series.is_some_and(is_images) {
        study.add_objects(gateway, caller).await?;
    }
    Ok(study)
}

/// What is said of a study, a series and an instance that there is not, whichever the reason.
pub fn unknown() -> Problem {
    NOT_FOUND.problem("no such study, series or instance")
}

/// The series that the scan's images are of.
fn series_of(identity: &Identity) -> String {
    plain(identity.series_instance_uid.as_deref().unwrap_or_default()).to_owned()
}

/// Without the padding that files have around UIDs.
pub fn plain(uid: &str) -> &str {
    uid.trim_matches([' ', '\0'])
}

impl Study {
    /// Adds what the results of its scans are.
    async fn add_objects(&mut self, gateway: &mut Gateway, caller: &Caller) -> Result<(), Problem> {
        for held in &mut self.scans {
            held.objects = dicom::objects(gateway, caller, &held.scan, &held.identity).await?;
        }
        Ok(())
    }

    /// Its series: each of images once, as the newest scan of it has them, and those of every result.
    pub fn series(&self) -> Vec<Series<'_>> {
        let mut seen = HashSet::new();
        let images = self.scans.iter().filter(|held| seen.insert(series_of(&held.identity)));
        let images: Vec<Series<'_>> =
            images.map(|held| Series { study: self, held, object: None }).collect();
        let results = self.scans.iter().flat_map(|held| {
            held.objects.iter().map(move |object| Series {
                study: self,
                held,
                object: Some(object),
            })
        });
        images.into_iter().chain(results).collect()
    }
}

impl Series<'_> {
    pub fn uid(&self) -> String {
        self.object.map_or_else(|| series_of(&self.held.identity), |object| object.series.clone())
    }

    pub fn modality(&self) -> String {
        match self.object {
            Some(object) => object.modality.to_owned(),
            None => self.held.scan.modality.clone().unwrap_or_else(|| "OT".to_owned()),
        }
    }

    pub fn number(&self) -> Option<String> {
        match self.object {
            Some(object) => Some(object.series_number.to_string()),
            None => self.held.identity.series_number.clone(),
        }
    }

    pub fn description(&self) -> Option<String> {
        match self.object {
            Some(object) => Some(object.series_description.to_owned()),
            None => self.held.identity.series_description.clone(),
        }
    }

    /// How many instances it has.
    pub fn count(&self) -> usize {
        if self.object.is_some() { 1 } else { self.uids().len() }
    }

    /// The instances of its images, each once.
    fn uids(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let uids = self.held.identity.sop_instance_uids.iter().map(|uid| plain(uid).to_owned());
        uids.filter(|uid| seen.insert(uid.clone())).collect()
    }

    /// Its instances.
    pub async fn items(
        &self,
        gateway: &mut Gateway,
        caller: &Caller,
    ) -> Result<Vec<Item<'_>>, Problem> {
        let Some(object) = self.object else { return self.images(gateway, caller).await };
        let artefact = named(object.name)?;
        let class = object.class.to_owned();
        if let Some(uid) = object.instance.clone() {
            return Ok(vec![Item { series: self, uid, class, bytes: Bytes::Object(artefact) }]);
        }
        let made = self.made(gateway, caller, artefact).await?;
        let uid = described(&made)?.sop_instance;
        Ok(vec![Item { series: self, uid, class, bytes: Bytes::Made(made) }])
    }

    /// The object that the artefact is.
    pub async fn made(
        &self,
        gateway: &mut Gateway,
        caller: &Caller,
        artefact: &'static Artefact,
    ) -> Result<Vec<u8>, Problem> {
        let Held { scan, identity, reference, .. } = self.held;
        dicom::object(gateway, caller, scan, (identity, reference), artefact).await
    }

    async fn images(
        &self,
        gateway: &mut Gateway,
        caller: &Caller,
    ) -> Result<Vec<Item<'_>>, Problem> {
        let index = artefacts::whole(gateway, caller, &self.held.scan.id, INSTANCES.name).await?;
        let Some(index) = index else {
            let class = plain(self.held.identity.sop_class_uid.as_deref().unwrap_or_default());
            let unindexed =
                |uid| Item { series: self, uid, class: class.to_owned(), bytes: Bytes::Unindexed };
            return Ok(self.uids().into_iter().map(unindexed).collect());
        };
        let read = tokio::task::spawn_blocking(move || {
            serde_json::from_slice::<Vec<StoredInstance>>(&index)
        });
        let read = read.await.map_err(|error| {
            ErrorKind::Internal.error("an index of instances could not be read").because(error)
        })?;
        let stored = read.map_err(|error| {
            tracing::error!(%error, scan.id = self.held.scan.id, "an index of instances is none");
            INTERNAL.problem("internal error")
        })?;
        let item = |stored: StoredInstance| Item {
            series: self,
            uid: plain(&stored.instance.sop_instance).to_owned(),
            class: plain(&stored.instance.sop_class).to_owned(),
            bytes: handed_out(stored),
        };
        Ok(stored.into_iter().map(item).collect())
    }
}

/// Where the instance's bytes are. What calls itself by no UID, or is in something that is none, is not handed out: whoever has sent
/// it may have put anything there, and it would stand in the heads of parts.
fn handed_out(stored: StoredInstance) -> Bytes {
    let Instance { sop_instance, transfer_syntax, .. } = &stored.instance;
    if is_uid(plain(sop_instance)) && is_uid(plain(transfer_syntax)) {
        Bytes::Stored(Box::new(stored))
    } else {
        Bytes::Unindexed
    }
}

/// The row of the table of artefacts that an object is.
fn named(name: &str) -> Result<&'static Artefact, Problem> {
    ALL.iter().find(|artefact| artefact.name == name).ok_or_else(unknown)
}

/// What an object of ours says of itself.
pub fn described(object: &[u8]) -> Result<Instance, Problem> {
    imaging::instance(object, &Limits::default()).map_err(|refusal| {
        tracing::error!(%refusal, "an object of a result cannot be read back");
        INTERNAL.problem("internal error")
    })
}

#[cfg(test)]
mod tests {
    use imaging::Extent;
    use serde_json::Map;

    use super::*;

    #[test]
    fn what_is_no_uid_stands_in_the_head_of_no_part() {
        let stored = |uid: &str, syntax: &str| StoredInstance {
            stored: Extent { at: 0, bytes: 1 },
            packed: false,
            bytes: 1,
            sha256: String::new(),
            instance: Instance {
                sop_class: "1.2".into(),
                sop_instance: uid.into(),
                transfer_syntax: syntax.into(),
                attributes: Map::new(),
                frames: 1,
                pixels: None,
                bulk: Vec::new(),
            },
        };
        let is_stored = |uid, syntax| matches!(handed_out(stored(uid, syntax)), Bytes::Stored(_));
        assert!(is_stored("1.2.3\0", "1.2.840.10008.1.2.1"));
        assert!(!is_stored("1.2\r\nContent-Type: text/html\r\n\r\n", "1.2.840.10008.1.2.1"));
        assert!(!is_stored("1.2.3", "1.2\r\nX: y"));
    }
}
