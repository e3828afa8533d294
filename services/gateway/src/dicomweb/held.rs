//! The studies that scans here are of: their own images, and what results are as DICOM objects.

use std::collections::{HashMap, HashSet};

use domain::artefact::ALL;
use domain::{Artefact, Identity};
use imaging::{Instance, Limits, StoredInstance};
use proto::storage::StudySearch;
use report::dicom::{ObjectFacts, is_uid};

use super::index;
use crate::caller::Caller;
use crate::problem::{INTERNAL, NOT_FOUND, Problem};
use crate::scans::Scan;
use crate::{Gateway, dicom, identity};

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
    /// The scan that it is of: of images the newest.
    pub held: &'s Held,
    /// Earlier scans of the same images, or of others of the same series; newest first.
    older: Vec<&'s Held>,
    /// The object that it is of; None: it is the scan's own images.
    pub object: Option<&'s ObjectFacts>,
}

/// One instance of a series, with what is known of it.
pub struct Item<'s> {
    pub series: &'s Series<'s>,
    /// The scan that has it.
    pub held: &'s Held,
    pub uid: String,
    pub class: String,
    pub bytes: Bytes,
}

/// Where the bytes of an instance are.
pub enum Bytes {
    /// In the upload.
    Stored(Box<StoredInstance>),
    /// In the upload, of which no index says where: they are not handed out.
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

    /// Its series: each of images once, of all scans that have some of it, and those of every result.
    pub fn series(&self) -> Vec<Series<'_>> {
        let mut images: Vec<Series<'_>> = Vec::new();
        let mut places = HashMap::new();
        for held in &self.scans {
            let place = *places.entry(series_of(&held.identity)).or_insert(images.len());
            match images.get_mut(place) {
                None => images.push(Series { study: self, held, older: Vec::new(), object: None }),
                // One UID for two patients again: the images of the one are not put among those of the other.
                Some(known) => {
                    let whose = known.held.identity.patient_key();
                    let own = Some(held).filter(|held| held.identity.patient_key() == whose);
                    known.older.extend(own);
                }
            }
        }
        let results = self.scans.iter().flat_map(|held| {
            held.objects.iter().map(move |object| Series {
                study: self,
                held,
                older: Vec::new(),
                object: Some(object),
            })
        });
        images.into_iter().chain(results).collect()
    }
}

impl<'s> Series<'s> {
    /// The scans that have some of it, newest first.
    pub fn scans(&self) -> impl Iterator<Item = &'s Held> {
        std::iter::once(self.held).chain(self.older.iter().copied())
    }

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
        if self.object.is_some() {
            return 1;
        }
        self.scans().flat_map(uids).collect::<HashSet<String>>().len()
    }

    /// Its instances; of images those alone that have this UID, if one is named.
    pub async fn items(
        &self,
        gateway: &mut Gateway,
        caller: &Caller,
        named_uid: Option<&str>,
    ) -> Result<Vec<Item<'_>>, Problem> {
        let Some(object) = self.object else {
            return self.images(gateway, caller, named_uid).await;
        };
        let artefact = named(object.name)?;
        let class = object.class.to_owned();
        if let Some(uid) = object.instance.clone() {
            let bytes = Bytes::Object(artefact);
            return Ok(vec![Item { series: self, held: self.held, uid, class, bytes }]);
        }
        let made = self.made(gateway, caller, artefact).await?;
        let uid = described(&made)?.sop_instance;
        Ok(vec![Item { series: self, held: self.held, uid, class, bytes: Bytes::Made(made) }])
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

    /// Its images: each as the newest scan has it that has it at all.
    async fn images(
        &self,
        gateway: &mut Gateway,
        caller: &Caller,
        named_uid: Option<&str>,
    ) -> Result<Vec<Item<'_>>, Problem> {
        let (mut items, mut seen) = (Vec::new(), HashSet::new());
        for held in self.scans() {
            let named = uids(held).filter(|uid| named_uid.is_none_or(|named| named == uid));
            let wanted: Vec<String> = named.filter(|uid| seen.insert(uid.clone())).collect();
            // Mostly a later scan has all that an earlier one has, whose index need not be read.
            if wanted.is_empty() {
                continue;
            }
            let class = plain(held.identity.sop_class_uid.as_deref().unwrap_or_default());
            let stored = index::of(gateway, caller, &held.scan.id).await?;
            let known = index::known(stored, &wanted, class).into_iter();
            let item = |(uid, class, bytes)| Item { series: self, held, uid, class, bytes };
            items.extend(known.map(item));
        }
        Ok(items)
    }
}

/// The instances of the scan's images.
fn uids(held: &Held) -> impl Iterator<Item = String> {
    held.identity.sop_instance_uids.iter().map(|uid| plain(uid).to_owned())
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
