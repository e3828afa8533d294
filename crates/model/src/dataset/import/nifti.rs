//! NIfTI volumes with a mask beside each, as BraTS ships them and as others do.

use std::collections::BTreeSet;
use std::mem;

use domain::Result;
use imaging::ImageKind;
use imaging::names::{says_mask, twin};

use super::Importing;
use super::files::{Files, folder, stem};
use super::volume::labelled;

/// What the last word of a name says of the sequence: BraTS's of 2023, those of before, and what others write.
const SEQUENCES: [(&str, ImageKind); 15] = [
    ("t2f", ImageKind::Flair),
    ("flair", ImageKind::Flair),
    ("t1c", ImageKind::T1Contrast),
    ("t1ce", ImageKind::T1Contrast),
    ("t1gd", ImageKind::T1Contrast),
    ("t1post", ImageKind::T1Contrast),
    ("t1", ImageKind::Other),
    ("t1n", ImageKind::Other),
    ("t1w", ImageKind::Other),
    ("t1pre", ImageKind::Other),
    ("t2", ImageKind::Other),
    ("t2w", ImageKind::Other),
    ("dwi", ImageKind::Other),
    ("adc", ImageKind::Other),
    ("swi", ImageKind::Other),
];

/// An image by its name.
struct Named {
    name: String,
    /// Where the scan is: its folder, and its name without the sequence.
    place: String,
    /// What it has in common with its mask.
    key: String,
    /// `Unknown` where the name does not say it.
    kind: ImageKind,
}

impl Named {
    fn new(name: String) -> Named {
        let stem = stem(&name);
        let (before, word) = stem.rsplit_once(['-', '_']).unwrap_or(("", stem));
        let said = SEQUENCES.iter().find(|(sequence, _)| word.eq_ignore_ascii_case(sequence));
        let base = if said.is_some() { before } else { stem };
        let place = format!("{}/{base}", folder(&name)).trim_matches('/').to_owned();
        let kind = said.map_or(ImageKind::Unknown, |(_, kind)| *kind);
        Named { key: key(&place), place, kind, name }
    }
}

/// Names of folders count with the files in them: a scan in a folder of its own has no other name.
fn key(place: &str) -> String {
    twin(place).trim_matches([' ', '/']).to_owned()
}

/// Takes the pairs, and tells of each file that is in none.
pub fn take(importing: &mut Importing, files: &mut Files) -> Result<()> {
    let (masks, images): (Vec<String>, Vec<String>) =
        mem::take(&mut files.nifti).into_iter().partition(|name| says_mask(name));
    let wanted = importing.import.sequence.unwrap_or(ImageKind::Flair);
    let images = images.into_iter().map(Named::new);
    let (images, others): (Vec<Named>, Vec<Named>) =
        images.partition(|image| image.kind == wanted || image.kind == ImageKind::Unknown);
    for other in others {
        importing.pass_over(&other.name, "another sequence");
    }
    let mask_of = importing.by_image(masks, key);
    let places: Vec<String> = images.iter().map(|image| image.place.clone()).collect();
    let mut taken = BTreeSet::new();
    for image in &images {
        match mask_of.get(&image.key) {
            None => importing.leave_out(&image.name, "no mask beside it"),
            Some(mask) if !taken.insert(mask) => {
                importing.leave_out(&image.name, format!("another image has the mask {mask}"));
            }
            Some(mask) => one(importing, files, image, mask, &places)?,
        }
    }
    for mask in mask_of.values().filter(|mask| !taken.contains(mask)) {
        importing.leave_out(mask, "no image of that sequence beside it");
    }
    Ok(())
}

fn one(
    importing: &mut Importing,
    files: &Files,
    image: &Named,
    mask: &str,
    places: &[String],
) -> Result<()> {
    let bytes = [files.read(&image.name)?, files.read(mask)?];
    match labelled(&bytes[0], &bytes[1]) {
        Err(why) => importing.leave_out(&image.name, why),
        Ok((volume, truth)) => {
            if let Some(patient) = importing.patient(&image.place, places, image.kind, None) {
                importing.add_volume(&image.name, &patient, &volume, &truth)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_finds_its_mask_by_name_in_every_layout() {
        for (image, mask) in [
            (
                "BraTS-GLI-00005-100/BraTS-GLI-00005-100-t2f.nii.gz",
                "BraTS-GLI-00005-100/BraTS-GLI-00005-100-seg.nii.gz",
            ),
            (
                "BraTS19_CBICA_AAB_1/BraTS19_CBICA_AAB_1_flair.nii.gz",
                "BraTS19_CBICA_AAB_1/BraTS19_CBICA_AAB_1_seg.nii.gz",
            ),
            ("patient1/flair.nii", "patient1/seg.nii"),
            ("case7.nii.gz", "case7_mask.nii.gz"),
            ("images/case7.nii.gz", "labels/case7.nii.gz"),
            ("imagesTr/BRATS_001.nii.gz", "labelsTr/BRATS_001.nii.gz"),
        ] {
            assert!(says_mask(mask) && !says_mask(image), "{image}");
            assert_eq!(Named::new(image.into()).key, key(mask), "{image}");
        }
        let named = |name: &str| Named::new(name.into()).kind;
        assert_eq!(named("a/b-t1c.nii.gz"), ImageKind::T1Contrast);
        assert_eq!(named("a/b_T1CE.nii"), ImageKind::T1Contrast);
        assert_eq!(named("a/b_t1.nii"), ImageKind::Other);
        assert_eq!(named("a/b.nii"), ImageKind::Unknown);
    }
}
