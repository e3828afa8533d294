//! The files of one series, each of them one slice, as one volume.

use super::{Image, decoded, geometry, reordered};
use crate::decode::{Decoded, Limits};
use crate::{Format, Identity, Problem, Refusal, Shape};

/// Joins the slices of one series of one patient, ordered by their positions.
pub(in crate::decode) fn join(images: Vec<Image>, limits: &Limits) -> Result<Decoded, Refusal> {
    one_series(&images)?;
    let planes: Vec<_> = images.iter().flat_map(|image| image.planes.iter().cloned()).collect();
    let (order, geometry) = match &*planes {
        [plane] => (vec![0], plane.alone()),
        planes => geometry::stack(planes).map(|(order, geometry)| (order, Some(geometry)))?,
    };
    let mut images = images;
    let uids = order
        .iter()
        .filter_map(|index| images.get(*index)?.identity.sop_instance_uids.first().cloned());
    let uids = uids.collect();
    let middle = order[order.len() / 2].min(images.len() - 1);
    let window = images[middle].window;
    let Shape { rows, columns, .. } = images[0].shape;
    let shape = limits.shape(planes.len(), rows, columns)?;
    let voxels = images.iter_mut().flat_map(|image| std::mem::take(&mut image.voxels)).collect();
    let first = images.swap_remove(0);
    let identity = Identity { sop_instance_uids: uids, ..first.identity.clone() };
    let joined = Image { shape, voxels, window, identity, ..first };
    let voxels = reordered(&joined, &order);
    decoded(Image { voxels, ..joined }, geometry, Format::Zip)
}

/// Refuses files that are not slices of one and the same series.
fn one_series(images: &[Image]) -> Result<(), Refusal> {
    let mixed = |what: &str| Err(Problem::MixedSeries.refuse(what));
    let Some(first) = images.first() else {
        return Err(Problem::NotAnImage.refuse("The archive holds no image."));
    };
    let whose = |image: &Image| {
        let Identity { patient_id, issuer_of_patient_id, .. } = &image.identity;
        (patient_id.clone(), issuer_of_patient_id.clone(), image.identity.patient_name.clone())
    };
    let series = |image: &Image| {
        let Identity { study_instance_uid, series_instance_uid, frame_of_reference_uid, .. } =
            &image.identity;
        (study_instance_uid.clone(), series_instance_uid.clone(), frame_of_reference_uid.clone())
    };
    for image in images {
        if images.len() > 1 && image.shape.slices > 1 {
            return mixed("The archive holds several multi-frame files.");
        }
        if whose(image) != whose(first) {
            return mixed("The archive holds images of more than one patient.");
        }
        if series(image) != series(first) || image.modality != first.modality {
            return mixed("The archive holds images of more than one series.");
        }
        if image.shape != first.shape {
            return mixed("The archive holds images of different sizes.");
        }
    }
    Ok(())
}
