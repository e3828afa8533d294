//! Volumes with their masks, written slice by slice.

use std::ops::Range;

use domain::Result;
use imaging::{Decoded, Limits, Shape, Volume, decode, marked};

use super::Importing;
use super::slice::files;
use crate::dataset::{Patient, beside, grid};

/// How a file cannot be taken, in words.
pub type Fitting<T> = std::result::Result<T, String>;

/// What is in a file, or why it is left out.
pub fn decoded(bytes: &[u8]) -> Fitting<Decoded> {
    decode(bytes, &Limits::default()).map_err(|refusal| refusal.to_string())
}

/// What a mask says of each voxel of its image, where it is one and lies on it.
pub fn truth(image: &Volume, mask: Volume) -> Fitting<Vec<u8>> {
    let mask = beside(image, mask);
    if mask.shape != image.shape {
        let [own, other] = [image.shape, mask.shape]
            .map(|Shape { slices, rows, columns }| format!("{slices} x {rows} x {columns}"));
        return Err(format!("its mask has {other} voxels in place of {own}"));
    }
    if let Some(how) = grid::differ(image, &mask) {
        return Err(format!("its mask does not fit: {how}"));
    }
    marked(&mask).ok_or_else(|| "what is named as its mask is an image".to_owned())
}

/// The image of a file, and what the file of its mask says of each of its voxels.
pub fn labelled(image: &[u8], mask: &[u8]) -> Fitting<(Volume, Vec<u8>)> {
    of_both(decoded(image)?.volume, decoded(mask)?.volume)
}

/// An image, and what its mask says of each of its voxels.
pub fn of_both(image: Volume, mask: Volume) -> Fitting<(Volume, Vec<u8>)> {
    if imaging::is_label_map(&image) {
        return Err("it is a mask itself".to_owned());
    }
    let truth = truth(&image, mask)?;
    Ok((image, truth))
}

impl Importing<'_> {
    /// Writes a volume and its mask as slices that are numbered from 1. Empty ones at its ends show nothing to learn from.
    pub fn add_volume(
        &mut self,
        name: &str,
        patient: &Patient,
        image: &Volume,
        truth: &[u8],
    ) -> Result<()> {
        let kept = filled(image, truth);
        if kept.is_empty() {
            self.leave_out(name, "all of its slices are empty");
            return Ok(());
        }
        match image.shape.slices - kept.len() {
            0 => {}
            1 => self.pass_over(name, "1 empty slice at its ends"),
            empty => self.pass_over(name, format!("{empty} empty slices at its ends")),
        }
        for (number, slice) in (1..).zip(kept) {
            let truth = &truth[slice * image.shape.slice_len()..][..image.shape.slice_len()];
            let [image, mask] = files(image, slice, truth)?;
            self.made.add(patient, number, &image, &mask)?;
        }
        Ok(())
    }
}

/// From the first slice with anything in it to the last.
fn filled(image: &Volume, truth: &[u8]) -> Range<usize> {
    let is_filled = |slice: &usize| {
        let voxels = image.slice(*slice);
        let truth = &truth[slice * image.shape.slice_len()..][..image.shape.slice_len()];
        voxels.iter().any(|voxel| *voxel != voxels[0]) || truth.contains(&1)
    };
    let first = (0..image.shape.slices).find(is_filled);
    let last = (0..image.shape.slices).rfind(is_filled);
    first.zip(last).map_or(0..0, |(first, last)| first..last + 1)
}
