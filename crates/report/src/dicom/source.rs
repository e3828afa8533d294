//! The images that a result is of.

use std::collections::HashSet;

use dicom_core::VR;
use dicom_dictionary_std::tags;
use domain::{Identity, Result};
use imaging::{Geometry, Orientation, Shape, StoredGrid};

use super::Unmade;
use super::element::{Element, Item, reference, sequence, text};
use super::uid::is_uid;

const NO_IDENTITY: &str = "the scan did not come as DICOM, or not with study, series and instance: there is no study that such an object could belong to";
const NO_PLACE: &str = "its files do not say where its slices lie in the patient (position, orientation, frame of reference)";
const OTHER_SLICES: &str = "its files are not one for each slice, nor one whose frames are known: no slice can be referred to";

/// Whose images they are, and where their voxels lie.
pub struct Source {
    pub identity: Identity,
    pub study: String,
    pub series: String,
    class: String,
    /// As pictures and all indices of a result count them.
    pub shape: Shape,
    pub geometry: Option<Geometry>,
    /// The way to the grid of the files.
    pub to_own_grid: Orientation,
    pub own_shape: Shape,
    own_geometry: Option<Geometry>,
}

/// Where the voxels of the files lie, in coordinates that the files' own frame of reference names.
pub struct Place<'a> {
    pub frame_of_reference: &'a str,
    /// Of the grid of the files.
    pub own: Geometry,
    /// Of the grid that pictures and indices have.
    pub shown: Geometry,
}

impl Source {
    pub fn new(identity: Identity, grid: &StoredGrid) -> Result<Source, Unmade> {
        let uid = |value: &Option<String>| {
            let value = value.as_deref().map(plain).filter(|value| is_uid(value));
            value.map(str::to_owned).ok_or(Unmade::Absent(NO_IDENTITY))
        };
        let (study, series) =
            (uid(&identity.study_instance_uid)?, uid(&identity.series_instance_uid)?);
        let class = uid(&identity.sop_class_uid)?;
        let instances = &identity.sop_instance_uids;
        if instances.is_empty() || !instances.iter().all(|instance| is_uid(plain(instance))) {
            return Err(Unmade::Absent(NO_IDENTITY));
        }
        let (own_shape, own_geometry) = grid.own_grid();
        if !names_each_slice(&identity, own_shape.slices) {
            return Err(Unmade::Absent(OTHER_SLICES));
        }
        Ok(Source {
            study,
            series,
            class,
            shape: grid.shape(),
            geometry: grid.geometry(),
            to_own_grid: grid.to_own_grid(),
            own_shape,
            own_geometry,
            identity,
        })
    }

    /// Where the voxels lie in the patient.
    pub fn place(&self) -> Result<Place<'_>, Unmade> {
        let frame = self.identity.frame_of_reference_uid.as_deref().map(plain);
        let placed = |geometry: &Option<Geometry>| geometry.as_ref()?.in_patient().copied();
        let place = frame.filter(|frame| is_uid(frame)).and_then(|frame_of_reference| {
            let (own, shown) = (placed(&self.own_geometry)?, placed(&self.geometry)?);
            Some(Place { frame_of_reference, own, shown })
        });
        place.ok_or(Unmade::Absent(NO_PLACE))
    }

    /// References to all instances, each once.
    pub fn instances(&self) -> Vec<Item> {
        let of = |instance: &String| reference(&self.class, plain(instance), None);
        self.identity.sop_instance_uids.iter().map(of).collect()
    }

    /// The instance that a slice of the files' grid is, and which frame of it.
    pub fn slice(&self, own_slice: usize, more: Vec<Element>) -> Item {
        let instances = &self.identity.sop_instance_uids;
        let instance =
            if instances.len() == 1 { instances.first() } else { instances.get(own_slice) };
        let frame = self.identity.frame_numbers.get(own_slice).filter(|_| instances.len() == 1);
        let frame =
            frame.map(|frame| text(tags::REFERENCED_FRAME_NUMBER, VR::IS, frame.to_string()));
        let mut item =
            reference(&self.class, instance.map_or("", |instance| plain(instance)), frame);
        for element in more {
            item.put(element);
        }
        item
    }

    /// The series with its instances, as the Common Instance Reference module has it.
    pub fn referenced_series(&self) -> Element {
        let of_series = vec![
            text(tags::SERIES_INSTANCE_UID, VR::UI, &self.series),
            sequence(tags::REFERENCED_INSTANCE_SEQUENCE, self.instances()),
        ];
        sequence(tags::REFERENCED_SERIES_SEQUENCE, vec![super::element::item(of_series)])
    }
}

/// Whether each of so many slices is one instance or one known frame of the only one: under a name that two share, or of an image whose
/// neighbours have none, a finding would be shown on another slice.
fn names_each_slice(identity: &Identity, slices: usize) -> bool {
    let Identity { sop_instance_uids: instances, frame_numbers, .. } = identity;
    if instances.len() == 1 {
        return slices == 1 || frame_numbers.len() == slices;
    }
    let different: HashSet<&str> = instances.iter().map(|instance| plain(instance)).collect();
    instances.len() == slices && different.len() == slices
}

/// Without the padding that files have around UIDs.
fn plain(uid: &str) -> &str {
    uid.trim_matches([' ', '\0'])
}
