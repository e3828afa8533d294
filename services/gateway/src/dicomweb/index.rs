//! The index of a scan's instances, which the jail has made of its upload: where the bytes of each are.
//!
//! It is read in one piece and understood instance by instance: no more is kept of each than is asked for, and that is counted.

use std::collections::{BTreeSet, HashSet};

use domain::ErrorKind;
use domain::artefact::INSTANCES;
use imaging::{Extent, Instance, PixelExtents, StoredInstance};
use report::dicom::is_uid;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Map;
use serde_json::value::RawValue;

use super::budget::{Budget, PARSED_TIMES};
use super::held::{Bytes, plain};
use super::json;
use crate::caller::Caller;
use crate::problem::{INTERNAL, NOT_ACCEPTABLE, Problem};
use crate::{Gateway, artefacts};

/// What an instance takes of which no more is kept than where it is.
const PLACE_BYTES: usize = 1024;
/// What an instance may say of itself where its attributes are read, as JSON: those of thousands of frames.
const SAID_BYTES_MAX: usize = 8 << 20;

/// How much is told of each instance.
#[derive(Clone)]
pub enum Telling {
    /// Where its bytes are.
    Place,
    /// And where its pixels and its long values are.
    Parts,
    /// And those of its attributes that are not long: the ones with these tags, or all.
    Fields(Option<BTreeSet<String>>),
    /// All that it says of itself, as JSON alone. Instances have their addresses behind this one.
    Metadata(String),
}

/// UID, class and bytes of an instance.
pub type Known = (String, String, Bytes);

/// What the index of the scan has of the wanted instances, in its order; nothing where there is none.
pub async fn of(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &str,
    wanted: &[String],
    telling: &Telling,
    budget: &Budget,
) -> Result<Vec<Known>, Problem> {
    // Its size first: nothing of it comes before there is room for all of it.
    let Some(bytes) = artefacts::size(gateway, caller, scan, INSTANCES.name).await? else {
        return Ok(Vec::new());
    };
    let attributes = matches!(telling, Telling::Fields(_) | Telling::Metadata(_));
    let room = gateway.indexes.room(caller.tenant(), bytes, attributes).await;
    let Some(index) = artefacts::whole(gateway, caller, scan, INSTANCES.name).await? else {
        return Ok(Vec::new());
    };
    let reading = Reading {
        scan: scan.to_owned(),
        wanted: wanted.iter().cloned().collect(),
        telling: telling.clone(),
        budget: budget.clone(),
    };
    let read = tokio::task::spawn_blocking(move || {
        let _room = room;
        reading.read(&index)
    });
    read.await.map_err(|error| {
        ErrorKind::Internal.error("an index of instances could not be read").because(error)
    })?
}

/// An index that is read.
struct Reading {
    scan: String,
    wanted: HashSet<String>,
    telling: Telling,
    budget: Budget,
}

impl Reading {
    fn read(&self, index: &[u8]) -> Result<Vec<Known>, Problem> {
        let all: Vec<&RawValue> =
            serde_json::from_slice(index).map_err(|error| self.none(&error))?;
        let mut known = Vec::new();
        for one in all {
            let place: Place = self.parsed(one)?;
            let uid = plain(&place.instance.sop_instance).to_owned();
            if self.wanted.contains(&uid) {
                let class = plain(&place.instance.sop_class).to_owned();
                let bytes = self.told(place, one)?;
                known.push((uid, class, bytes));
            }
        }
        Ok(known)
    }

    /// As much of an instance as is to be told.
    fn told(&self, place: Place, json: &RawValue) -> Result<Bytes, Problem> {
        // What calls itself by no UID, or is in something that is none, is not handed out: whoever has sent it may have put
        // anything there, and it would stand in the heads of parts.
        let Named { sop_instance, transfer_syntax, frames, .. } = &place.instance;
        if !is_uid(plain(sop_instance)) || !is_uid(plain(transfer_syntax)) {
            return Ok(Bytes::Unindexed);
        }
        match &self.telling {
            Telling::Place => {
                self.budget.hold(PLACE_BYTES)?;
                let instance = Named { pixels: None, bulk: Vec::new(), ..place.instance };
                Ok(Bytes::Stored(Box::new(Place { instance, ..place }.stored())))
            }
            Telling::Parts => {
                let frames = (*frames as usize).saturating_mul(size_of::<Vec<Extent>>());
                self.budget.hold(PLACE_BYTES.saturating_add(frames))?;
                Ok(Bytes::Stored(Box::new(place.stored())))
            }
            Telling::Fields(tags) => {
                let mut stored = self.whole(json)?;
                stored.instance.attributes.retain(|tag, attribute| {
                    let is_wanted = tags.as_ref().is_none_or(|tags| tags.contains(tag));
                    is_wanted && attribute.get("BulkDataURI").is_none()
                });
                let said = json::written(&stored.instance.attributes)?.len();
                self.budget.hold(PLACE_BYTES.saturating_add(said.saturating_mul(PARSED_TIMES)))?;
                Ok(Bytes::Stored(Box::new(stored)))
            }
            Telling::Metadata(instances) => {
                let address = format!("{instances}/{}", plain(sop_instance));
                let stored = self.whole(json)?;
                let told = json::written(&json::metadata(stored.instance.attributes, &address))?;
                self.budget.hold(PLACE_BYTES.saturating_add(told.len()))?;
                Ok(Bytes::Told(told))
            }
        }
    }

    /// An instance with all that it says of itself.
    fn whole(&self, json: &RawValue) -> Result<StoredInstance, Problem> {
        if json.get().len() > SAID_BYTES_MAX {
            return Err(NOT_ACCEPTABLE.problem(
                "an instance says more of itself than can be told apart from it: ask for all of that instance",
            ));
        }
        self.parsed(json)
    }

    fn parsed<T: DeserializeOwned>(&self, json: &RawValue) -> Result<T, Problem> {
        serde_json::from_str(json.get()).map_err(|error| self.none(&error))
    }

    fn none(&self, error: &serde_json::Error) -> Problem {
        tracing::error!(%error, scan.id = %self.scan, "an index of instances is none");
        INTERNAL.problem("internal error")
    }
}

/// An instance of an index ([`StoredInstance`]) without its attributes, which are passed over.
#[derive(Deserialize)]
struct Place {
    stored: Extent,
    packed: bool,
    bytes: u64,
    sha256: String,
    instance: Named,
}

#[derive(Deserialize)]
struct Named {
    sop_class: String,
    sop_instance: String,
    transfer_syntax: String,
    frames: u32,
    pixels: Option<PixelExtents>,
    bulk: Vec<(String, Extent)>,
}

impl Place {
    fn stored(self) -> StoredInstance {
        let Place { stored, packed, bytes, sha256, instance } = self;
        let Named { sop_class, sop_instance, transfer_syntax, frames, pixels, bulk } = instance;
        let attributes = Map::new();
        let instance =
            Instance { sop_class, sop_instance, transfer_syntax, attributes, frames, pixels, bulk };
        StoredInstance { stored, packed, bytes, sha256, instance }
    }
}

/// What is known, and behind it those of the wanted instances that the index leaves out, of which no more than the scan's class is known.
/// None is passed over: who asks would take what is left for all.
pub fn with_left_out(mut known: Vec<Known>, wanted: &[String], class: &str) -> Vec<Known> {
    let indexed: HashSet<&str> = known.iter().map(|(uid, ..)| uid.as_str()).collect();
    let left_out = wanted.iter().filter(|uid| !indexed.contains(uid.as_str()));
    let left_out = left_out.map(|uid| (uid.clone(), class.to_owned(), Bytes::Unindexed));
    let left_out: Vec<_> = left_out.collect();
    known.extend(left_out);
    known
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::budget::Memory;
    use super::*;

    const EXPLICIT: &str = "1.2.840.10008.1.2.1";

    fn stored(uid: &str, syntax: &str, note: &str) -> StoredInstance {
        let mut attributes = Map::new();
        attributes.insert("00104000".into(), json!({ "vr": "LT", "Value": [note] }));
        let pixels = json!({ "vr": "OW", "BulkDataURI": "bulkdata/7FE00010" });
        attributes.insert("7FE00010".into(), pixels);
        let all = Extent { at: 0, bytes: 1 };
        StoredInstance {
            stored: all,
            packed: false,
            bytes: 1,
            sha256: String::new(),
            instance: Instance {
                sop_class: "1.2".into(),
                sop_instance: uid.into(),
                transfer_syntax: syntax.into(),
                attributes,
                frames: 1,
                pixels: Some(PixelExtents::Native { all, frame_bits: 8, swapped: false }),
                bulk: vec![("00104001".into(), all)],
            },
        }
    }

    fn read(
        index: &[StoredInstance],
        wanted: &[String],
        telling: Telling,
    ) -> Result<Vec<Known>, Problem> {
        let tenant = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let reading = Reading {
            scan: String::new(),
            wanted: wanted.iter().cloned().collect(),
            telling,
            budget: Memory::default().budget(tenant),
        };
        reading.read(&serde_json::to_vec(index).unwrap())
    }

    #[test]
    fn what_is_no_uid_stands_in_the_head_of_no_part() {
        let is_stored = |uid: &str, syntax| {
            let index = [stored(uid, syntax, "")];
            let known = read(&index, &[plain(uid).to_owned()], Telling::Place).unwrap();
            matches!(known[..], [(_, _, Bytes::Stored(_))])
        };
        assert!(is_stored("1.2.3\0", EXPLICIT));
        assert!(!is_stored("1.2\r\nContent-Type: text/html\r\n\r\n", EXPLICIT));
        assert!(!is_stored("1.2.3", "1.2\r\nX: y"));
    }

    #[test]
    fn what_the_index_leaves_out_is_told_and_not_passed_over() {
        let index = ["1.2.9", "1.2.3\0"].map(|uid| stored(uid, EXPLICIT, ""));
        let wanted = ["1.2.4", "1.2.3"].map(str::to_owned);
        let known = with_left_out(read(&index, &wanted, Telling::Place).unwrap(), &wanted, "1.1");
        let told = known.iter().map(|(uid, class, bytes)| {
            (uid.as_str(), class.as_str(), matches!(bytes, Bytes::Stored(_)))
        });
        assert!(told.eq([("1.2.3", "1.2", true), ("1.2.4", "1.1", false)]));
    }

    #[test]
    fn no_more_is_kept_of_an_instance_than_is_asked_for() {
        let (index, wanted) = ([stored("1.2.3", EXPLICIT, "a word")], ["1.2.3".to_owned()]);
        let kept = |telling| match read(&index, &wanted, telling).unwrap().remove(0).2 {
            Bytes::Stored(stored) => {
                let Instance { attributes, pixels, bulk, .. } = stored.instance;
                (attributes.len(), pixels.is_some(), bulk.len())
            }
            _ => panic!("it is not stored"),
        };
        assert_eq!(kept(Telling::Place), (0, false, 0));
        assert_eq!(kept(Telling::Parts), (0, true, 1));
        assert_eq!(kept(Telling::Fields(None)), (1, true, 1));
        assert_eq!(kept(Telling::Fields(Some(BTreeSet::new()))), (0, true, 1));
        let told = read(&index, &wanted, Telling::Metadata("/instances".into())).unwrap();
        let [(_, _, Bytes::Told(told))] = &told[..] else { panic!("it is not told") };
        let told = String::from_utf8(told.clone()).unwrap();
        assert!(told.contains("\"/instances/1.2.3/bulkdata/7FE00010\""), "{told}");
        assert!(told.contains("a word"));
    }

    #[test]
    fn an_index_that_says_too_much_is_refused_in_words_and_its_bytes_are_still_found() {
        let long = "x".repeat(7 << 20);
        let index: Vec<_> =
            (0..6).map(|number| stored(&format!("1.2.{number}"), EXPLICIT, &long)).collect();
        let wanted: Vec<String> = (0..6).map(|number| format!("1.2.{number}")).collect();
        let metadata = || Telling::Metadata("/instances".into());
        for telling in [metadata(), Telling::Fields(None)] {
            let refused = read(&index, &wanted, telling).err().unwrap();
            assert!(refused.status() == 406 && refused.to_string().contains("one series"));
        }
        assert_eq!(read(&index, &wanted[..1], metadata()).unwrap().len(), 1);
        assert_eq!(read(&index, &wanted, Telling::Place).unwrap().len(), 6);
        let longer = [stored("1.2.3", EXPLICIT, &"x".repeat(9 << 20))];
        let refused = read(&longer, &["1.2.3".to_owned()], metadata()).err().unwrap();
        assert!(refused.status() == 406 && refused.to_string().contains("that instance"));
    }
}
