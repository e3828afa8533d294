//! The studies that scans here are of: their own images, and what results are as DICOM objects.

use std::collections::{HashMap, HashSet};

use domain::artefact::ALL;
use domain::{Artefact, Identity};
use imaging::{Instance, Limits, StoredInstance};
use proto::storage::{FoundStudies, StudySearch};
use report::dicom::{ObjectFacts, is_uid};

use super::Target;
use super::budget::Budget;
use super::index::{self, Telling};
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
    /// Whether older ones are left out, as there are too many.
    cut: bool,
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
    /// Earlier scans of the same images, or of others of the same series and patient; newest first.
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
    /// In the upload; all that is told is what it says of itself, as JSON.
    Told(Vec<u8>),
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
    told(gateway.scans.find_studies(caller.request(asked)).await?.into_inner())
}

/// The studies of those scans.
fn told(found: FoundStudies) -> Result<Studies, Problem> {
    let (more, cut) = (found.more || found.cut, found.cut);
    let mut studies: Vec<Study> = Vec::new();
    for one in found.scans {
        let (Some(scan), Some(told)) = (one.scan, one.identity) else { continue };
        let (identity, reference) = identity::said(told);
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
            None => studies.push(Study { uid, patient, scans: vec![held], cut }),
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

impl Studies {
    /// Whether whoever knows whose one of them is knows it of all.
    pub fn are_of_one_patient(&self) -> bool {
        self.studies.windows(2).all(|two| two[0].patient == two[1].patient)
    }
}

impl Study {
    /// What is to be said of an answer about that part of it.
    pub fn warnings(&self, target: &Target) -> Vec<&'static str> {
        const CUT: &str = "older scans of this study are left out, as one answer has no more of them: they are listed at /v1/scans";
        const SHARED: &str = "images of several patients have one series' UID, by their sender's mistake: those of the newest scan's patient are \
            handed out, and those of the others one by one, by their own UIDs, as a search for instances lists them";
        const SAME: &str = "images of several patients have this very UID, by their sender's mistake: this is the newest scan's, and the others \
            are in the `original` of theirs";
        let is_one = target.instance.is_some();
        let cut = (self.cut && !is_one).then_some(CUT);
        let shared = self.is_shared(target).then_some(if is_one { SAME } else { SHARED });
        cut.into_iter().chain(shared).collect()
    }

    /// Whether images of several patients go by the UIDs that are meant.
    fn is_shared(&self, target: &Target) -> bool {
        let mut patients = HashMap::new();
        self.scans.iter().any(|held| {
            let series = series_of(&held.identity);
            let is_meant = target.series.as_ref().is_none_or(|wanted| *wanted == series)
                && target
                    .instance
                    .as_ref()
                    .is_none_or(|wanted| uids(held).any(|uid| uid == *wanted));
            let patient = held.identity.patient_key();
            is_meant && *patients.entry(series).or_insert_with(|| patient.clone()) != patient
        })
    }

    /// What is said where there is no such part of it.
    pub fn unknown(&self) -> Problem {
        if !self.cut {
            return unknown();
        }
        NOT_FOUND.problem("no such series or instance among the newest scans of the study: older ones are left out, as there are too many")
    }

    /// Adds what the results of its scans are.
    async fn add_objects(&mut self, gateway: &mut Gateway, caller: &Caller) -> Result<(), Problem> {
        for held in &mut self.scans {
            held.objects = dicom::objects(gateway, caller, &held.scan, &held.identity).await?;
        }
        Ok(())
    }

    /// Its series: each of images once, of all scans of one patient that have some of it, and those of every result. One UID for two
    /// patients is a mistake again: the images of the one are not put among those of the other.
    pub fn series(&self) -> Vec<Series<'_>> {
        let mut images: Vec<Series<'_>> = Vec::new();
        let mut places = HashMap::new();
        for held in &self.scans {
            let key = (series_of(&held.identity), held.identity.patient_key());
            let place = *places.entry(key).or_insert(images.len());
            match images.get_mut(place) {
                None => images.push(Series { study: self, held, older: Vec::new(), object: None }),
                Some(known) => known.older.push(held),
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

    /// Its instances; of images those alone that have one of these UIDs, if any are named, and as much of each as is to be told.
    pub async fn items(
        &self,
        gateway: &mut Gateway,
        caller: &Caller,
        named_uids: Option<&[String]>,
        telling: &Telling,
        budget: &Budget,
    ) -> Result<Vec<Item<'_>>, Problem> {
        let Some(object) = self.object else {
            return self.images(gateway, caller, named_uids, telling, budget).await;
        };
        let artefact = named(object.name)?;
        let class = object.class.to_owned();
        if let Some(uid) = object.instance.clone() {
            let bytes = Bytes::Object(artefact);
            return Ok(vec![Item { series: self, held: self.held, uid, class, bytes }]);
        }
        let made = self.made(gateway, caller, artefact).await?;
        budget.hold(made.len())?;
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
        named_uids: Option<&[String]>,
        telling: &Telling,
        budget: &Budget,
    ) -> Result<Vec<Item<'_>>, Problem> {
        let (mut items, mut seen) = (Vec::new(), HashSet::new());
        let asked: Option<HashSet<&String>> = named_uids.map(|uids| uids.iter().collect());
        for held in self.scans() {
            let named =
                uids(held).filter(|uid| asked.as_ref().is_none_or(|asked| asked.contains(uid)));
            let wanted: Vec<String> = named.filter(|uid| seen.insert(uid.clone())).collect();
            // Mostly a later scan has all that an earlier one has, whose index need not be read.
            if wanted.is_empty() {
                continue;
            }
            let class = plain(held.identity.sop_class_uid.as_deref().unwrap_or_default());
            let scan = &held.scan.id;
            let known = index::of(gateway, caller, scan, &wanted, telling, budget).await?;
            let known = index::with_left_out(known, &wanted, class).into_iter();
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

#[cfg(test)]
mod tests {
    use proto::storage::{self, ScanIdentity, StudyScan};

    use super::*;

    /// A scan of that patient, of one study and one series.
    fn scan(patient: &str, instances: &[&str]) -> StudyScan {
        let some = |text: &str| Some(text.to_owned());
        let identity = storage::Identity {
            patient_id: some(patient),
            study_instance_uid: some("1.2"),
            series_instance_uid: some("1.2.5"),
            sop_instance_uids: instances.iter().map(|uid| (*uid).to_owned()).collect(),
            ..storage::Identity::default()
        };
        let id = format!("{patient} {}", instances.join(" "));
        let scan =
            storage::Scan { id, state: storage::State::Queued.into(), ..storage::Scan::default() };
        let identity = ScanIdentity { identity: Some(identity), ..ScanIdentity::default() };
        StudyScan { scan: Some(scan), identity: Some(identity) }
    }

    /// All of the study, as somebody retrieves it.
    fn study(scans: Vec<StudyScan>, cut: bool) -> Study {
        let found = told(FoundStudies { scans, more: false, cut }).unwrap();
        let mut studies = found.studies.into_iter();
        let mut study = studies.next().unwrap();
        study.scans.extend(studies.flat_map(|other| other.scans));
        study
    }

    fn said(study: &Study, target: &Target) -> String {
        study.warnings(target).join("; ")
    }

    #[test]
    fn of_a_study_with_too_many_scans_it_is_said_that_older_ones_are_left_out() {
        let all = Target::study("1.2".into());
        let one = Target::instance("1.2".into(), "1.2.5".into(), "1.5.1".into());
        let cut = study(vec![scan("4711", &["1.5.1"])], true);
        assert!(said(&cut, &all).contains("older scans"));
        assert_eq!(said(&cut, &one), "");
        assert!(cut.unknown().to_string().contains("older ones are left out"));
        let whole = study(vec![scan("4711", &["1.5.1"])], false);
        assert_eq!(said(&whole, &all), "");
        assert_eq!(whole.unknown().to_string(), unknown().to_string());
    }

    #[test]
    fn one_series_of_two_patients_is_two_and_it_is_said_wherever_their_uids_are_one() {
        let scans = vec![
            scan("4712", &["1.5.1", "1.5.9"]),
            scan("4711", &["1.5.1", "1.5.2"]),
            scan("4711", &["1.5.3"]),
        ];
        assert!(
            !told(FoundStudies { scans: scans.clone(), ..FoundStudies::default() })
                .unwrap()
                .are_of_one_patient()
        );
        let study = study(scans, false);
        let series = study.series();
        let of = |series: &Series<'_>| series.scans().flat_map(uids).collect::<Vec<_>>().join(" ");
        let all: Vec<(String, String)> = series.iter().map(|one| (one.uid(), of(one))).collect();
        let expected =
            ["1.5.1 1.5.9", "1.5.1 1.5.2 1.5.3"].map(|uids| ("1.2.5".to_owned(), uids.to_owned()));
        assert_eq!(all, expected);
        let one = |uid: &str| Target::instance("1.2".into(), "1.2.5".into(), uid.into());
        assert!(
            said(&study, &Target::series("1.2".into(), "1.2.5".into())).contains("one series' UID")
        );
        assert!(said(&study, &one("1.5.1")).contains("this very UID"));
        assert_eq!(said(&study, &one("1.5.9")) + &said(&study, &one("1.5.3")), "");
    }
}
