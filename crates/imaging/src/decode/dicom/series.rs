//! The files of one series, each of them one slice, as one volume.

use std::collections::BTreeMap;

use domain::Identity;
use domain::identity::person;

use super::acquired::{self, Acquired};
use super::class::is_capture;
use super::described::Instance;
use super::geometry::Plane;
use super::reader::{DataSet, File};
use super::{
    Class, Image, class, common_window, decoded, frame_numbers, geometry, identity, kind, lossy,
    reordered,
};
use crate::decode::folder::several;
use crate::decode::left_out::LeftOut;
use crate::decode::{Decoded, Limits};
use crate::names::shown;
use crate::{Format, Refusal, RefusalReason, Shape};

/// Joins the slices of one series of one patient, ordered by their positions. Screen captures beside them, and what is
/// there twice, are left out.
pub(in crate::decode) fn join(
    images: Vec<Image>,
    limits: &Limits,
    left_out: &mut LeftOut,
) -> Result<Decoded, Refusal> {
    let mut images = without_copies(without_captures(images, left_out), left_out);
    one_series(&images)?;
    one_image_each(&images)?;
    one_volume(&images)?;
    let planes: Vec<_> = images.iter().flat_map(|image| image.planes.iter().cloned()).collect();
    let (order, geometry) = match &*planes {
        [plane] => (vec![0], plane.alone()),
        planes => {
            let stacked = geometry::stack(planes).map_err(|refusal| named(refusal, &images));
            stacked.map(|(order, geometry)| (order, Some(geometry)))?
        }
    };
    let uids = order
        .iter()
        .filter_map(|index| images.get(*index)?.identity.sop_instance_uids.first().cloned());
    let uids = uids.collect();
    // One file with several frames may come in an archive, too.
    let of_frames = images.len() == 1 && order.len() > 1;
    let frame_numbers = if of_frames { frame_numbers(&order) } else { Vec::new() };
    let window = common_window(images.iter().filter_map(|image| image.window));
    let Shape { rows, columns, .. } = images[0].shape;
    let shape = limits.shape(planes.len(), rows, columns)?;
    let mut voxels = Vec::with_capacity(shape.len());
    for image in &mut images {
        // Each slice is dropped once it is copied.
        voxels.extend(std::mem::take(&mut image.voxels));
    }
    let voxels = reordered(voxels, shape.slice_len(), &order);
    let kind = kind::common(images.iter().map(|image| image.kind));
    let told = images.iter().map(|image| &image.identity);
    let told = lossy::of_all(images[0].identity.clone(), told);
    // Of the slice that lies first, in whatever order the files came.
    let lies_first = order.first().and_then(|index| images.get(*index)).unwrap_or(&images[0]);
    let protocol = lies_first.protocol.clone();
    let first = images.swap_remove(0);
    let identity = Identity { sop_instance_uids: uids, frame_numbers, ..told };
    decoded(
        Image { shape, voxels, window, kind, protocol, identity, ..first },
        geometry,
        Format::Zip,
    )
}

/// Patient, study and series that a file says it belongs to; None of one that is no slice.
pub(in crate::decode) fn series_of(
    bytes: &[u8],
    limits: &Limits,
) -> Result<Option<[String; 3]>, Refusal> {
    let file = File::read(bytes, limits)?;
    let set = file.data_set()?;
    let Class::Image = class::of(&file, &set)? else { return Ok(None) };
    Ok(Some(belonging(&set)))
}

/// The same, with what the file says of its series.
pub(in crate::decode) fn slice_of(
    bytes: &[u8],
    limits: &Limits,
) -> Result<Option<([String; 3], Instance)>, Refusal> {
    let file = File::read(bytes, limits)?;
    let set = file.data_set()?;
    let Class::Image = class::of(&file, &set)? else { return Ok(None) };
    Ok(Some((belonging(&set), Instance::of(&set))))
}

fn belonging(set: &DataSet) -> [String; 3] {
    let Identity { patient_id, patient_name, study_instance_uid, series_instance_uid, .. } =
        identity(set);
    // A backslash cannot stand in either part.
    let patient = [patient_id.unwrap_or_default(), person(patient_name.as_deref())].join("\\");
    let [study, series] = [study_instance_uid, series_instance_uid].map(Option::unwrap_or_default);
    [patient, study, series]
}

/// Beside a scanner's own slices, pictures of its screen are none.
fn without_captures(images: Vec<Image>, left_out: &mut LeftOut) -> Vec<Image> {
    let captured = |image: &Image| is_capture(image.identity.sop_class_uid.as_deref());
    if images.iter().all(captured) {
        return images;
    }
    let (captures, slices): (Vec<_>, Vec<_>) = images.into_iter().partition(captured);
    captures.iter().for_each(|image| left_out.other(&image.name, "a screen capture"));
    slices
}

/// Each instance once: exports write one twice (`IM3` and `IM3 (1)`).
fn without_copies(images: Vec<Image>, left_out: &mut LeftOut) -> Vec<Image> {
    let mut kept: Vec<Image> = Vec::with_capacity(images.len());
    for image in images {
        let uid = image.identity.sop_instance_uids.first();
        let same = |other: &Image| {
            other.identity.sop_instance_uids.first() == uid
                && (other.planes == image.planes && other.voxels == image.voxels)
        };
        if uid.is_some() && kept.iter().any(same) {
            left_out.copy();
        } else {
            kept.push(image);
        }
    }
    kept
}

/// The refusal with the name of the file that does not say where it lies, or of the two that do not go together.
fn named(refusal: Refusal, images: &[Image]) -> Refusal {
    let unsaid = |image: &Image| image.planes.iter().find_map(Plane::unsaid);
    if let Some((image, what)) = images.iter().find_map(|image| Some((image, unsaid(image)?))) {
        let what = format!("{} does not say {what}.", shown(&image.name));
        return RefusalReason::UnknownOrientation.refuse(what);
    }
    let planes: Vec<_> = images
        .iter()
        .flat_map(|image| image.planes.iter().map(move |plane| (image, plane)))
        .collect();
    let pair = planes.iter().enumerate().find_map(|(index, (image, plane))| {
        let other = planes[..index].iter().find(|(_, other)| !plane.goes_with(other));
        other.map(|(other, _)| (&other.name, &image.name))
    });
    match pair {
        Some((one, other)) if refusal.problem == RefusalReason::MixedSeries && one != other => {
            refusal.at(&format!("{} and {}", shown(one), shown(other)))
        }
        _ => refusal,
    }
}

/// Refuses files that are not slices of one and the same series.
fn one_series(images: &[Image]) -> Result<(), Refusal> {
    let Some(first) = images.first() else {
        return Err(RefusalReason::NotAnImage.refuse("The archive holds no image."));
    };
    let whose = |image: &Image| {
        let Identity { patient_id, issuer_of_patient_id, patient_name, .. } = &image.identity;
        (patient_id.clone(), issuer_of_patient_id.clone(), person(patient_name.as_deref()))
    };
    let series = |image: &Image| {
        let Identity { study_instance_uid, series_instance_uid, frame_of_reference_uid, .. } =
            &image.identity;
        // Files of one named series may leave out what its others say.
        let frame = frame_of_reference_uid.clone().filter(|_| series_instance_uid.is_none());
        (study_instance_uid.clone(), series_instance_uid.clone(), frame)
    };
    one_person(images)?;
    for image in images {
        let mixed = |what: &str| Err(several(&first.name, &image.name, what));
        if whose(image) != whose(first) {
            return mixed("are images of two patients");
        }
        if series(image) != series(first) || image.modality != first.modality {
            return mixed("are images of two series");
        }
        if images.len() > 1 && image.shape.slices > 1 {
            let other = if image.name == first.name { &images[1] } else { first };
            let what = "are two scans: the one has several frames";
            return Err(several(&image.name, &other.name, what));
        }
        if image.bytes_per_sample != first.bytes_per_sample {
            let [one, other] = [first, image].map(|image| 8 * image.bytes_per_sample);
            return mixed(&format!("have pixels of different depth ({one} and {other} bits)"));
        }
        if image.shape != first.shape {
            let [one, other] = [first, image].map(|image| image.shape);
            return mixed(&format!(
                "have different sizes ({} x {} and {} x {} pixels)",
                one.columns, one.rows, other.columns, other.rows
            ));
        }
    }
    differing(images, "are images of two series", |identity| {
        identity.frame_of_reference_uid.clone()
    })
}

/// Refuses two images that say that they are the same one: copies are gone by now, so one of them is somebody else's, or was changed.
fn one_image_each(images: &[Image]) -> Result<(), Refusal> {
    let mut known = BTreeMap::<&str, &Image>::new();
    for image in images {
        let Some(uid) = image.identity.sop_instance_uids.first() else { continue };
        if let Some(first) = known.insert(uid, image) {
            let what = "are different images with one and the same SOP Instance UID";
            return Err(several(&first.name, &image.name, what));
        }
    }
    Ok(())
}

/// Refuses images of people who cannot be one and the same, whatever they are called.
fn one_person(images: &[Image]) -> Result<(), Refusal> {
    differing(images, "are images of two patients: their dates of birth differ", |identity| {
        // Old files have points between its parts (PS3.5, 6.2: DA).
        Some(identity.patient_birth_date.as_deref()?.replace('.', ""))
    })?;
    differing(images, "are images of two patients: their sexes differ", |identity| {
        identity.patient_sex.clone()
    })
}

/// Refuses images of which two say different things. One that says nothing contradicts none.
fn differing(
    images: &[Image],
    what: &str,
    said: impl Fn(&Identity) -> Option<String>,
) -> Result<(), Refusal> {
    let mut said = images.iter().filter_map(|image| Some((image, said(&image.identity)?)));
    let Some((first, one)) = said.next() else { return Ok(()) };
    match said.find(|(_, other)| *other != one) {
        Some((image, _)) => Err(several(&first.name, &image.name, what)),
        None => Ok(()),
    }
}

/// Refuses slices that were not taken alike: two echoes are two volumes, though their slices may lie between each other.
pub(super) fn one_volume(images: &[Image]) -> Result<(), Refusal> {
    let taken =
        images.iter().flat_map(|image| image.acquired.iter().map(move |taken| (image, taken)));
    let (of, slices): (Vec<&Image>, Vec<&Acquired>) = taken.unzip();
    let Some(([one, other], what)) = acquired::difference(&slices) else { return Ok(()) };
    if of[one].name != of[other].name {
        return Err(several(&of[one].name, &of[other].name, &what));
    }
    Err(RefusalReason::MixedSeries.refuse(format!(
        "Slices {} and {} of {} {what}.",
        one + 1,
        other + 1,
        slices.len()
    )))
}
