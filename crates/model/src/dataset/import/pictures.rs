//! Pictures with a mask beside each, slice by slice.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::Path;

use domain::Result;
use image::DynamicImage;
use imaging::encode::grey_png;
use imaging::names::{says_mask, twin};
use imaging::{ImageKind, Limits, decode};

use super::Importing;
use super::files::{Files, folder, person};
use super::volume::{Fitting, decoded, truth};
use crate::dataset::made::{File, extension};
use crate::dataset::{barcode_site, folder as flat};

/// Takes the pictures that have a mask, and tells of the others. Names that differ in their last number are slices of one
/// patient.
pub fn take(importing: &mut Importing, files: &mut Files) -> Result<()> {
    let (masks, images): (Vec<String>, Vec<String>) =
        mem::take(&mut files.pictures).into_iter().partition(|name| says_mask(name));
    let mask_of = importing.by_image(masks, twin);
    let (mut used, mut folders) = (BTreeSet::new(), BTreeMap::<String, String>::new());
    for image in &images {
        let Some(mask) = mask_of.get(&twin(image)) else {
            importing.leave_out(image, "no mask beside it");
            continue;
        };
        used.insert(mask);
        let id = Some(flat::id(image)).filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| importing.source_name());
        let known = importing.people.contains_key(&id);
        let first = folders.entry(id.clone()).or_insert_with(|| folder(image).to_owned());
        if first != folder(image) || (known && !importing.of_pictures.contains(&id)) {
            importing.leave_out(image, format!("another scan is called {id}, too"));
            continue;
        }
        one(importing, files, image, mask, id)?;
    }
    for mask in mask_of.values().filter(|mask| !used.contains(mask)) {
        importing.leave_out(mask, "no image beside it");
    }
    Ok(())
}

fn one(
    importing: &mut Importing,
    files: &Files,
    image: &str,
    mask: &str,
    id: String,
) -> Result<()> {
    let lgg = barcode_site(&id).is_some() && extension(Path::new(image)).starts_with("tif");
    let kind = match lgg {
        true => importing.import.sequence.unwrap_or(ImageKind::Flair),
        false => ImageKind::Unknown,
    };
    let [bytes, mask_bytes] = [files.read(image)?, files.read(mask)?];
    let picture = match lgg.then(|| channel(&bytes, kind)).flatten().transpose()? {
        Some(png) => File { bytes: png, extension: "png".to_owned() },
        None => File { bytes, extension: extension(Path::new(image)) },
    };
    match fitting(&picture.bytes, &mask_bytes) {
        Err(why) => importing.leave_out(image, why),
        Ok(()) => {
            let mask = File { bytes: mask_bytes, extension: extension(Path::new(mask)) };
            let who = person(&id);
            importing.people.insert(id.clone(), who);
            importing.of_pictures.insert(id.clone());
            let number = flat::number(image).unwrap_or(1);
            importing.made.add(&importing.called(id, kind), number, &picture, &mask)?;
        }
    }
    Ok(())
}

/// The public LGG set has three sequences in the colours of one picture: T1 before contrast, FLAIR and T1 after it. The one
/// of that kind as PNG; None where the colours are one grey.
fn channel(bytes: &[u8], kind: ImageKind) -> Option<Result<Vec<u8>>> {
    // Held to the limits first: the other decoder has none.
    decode(bytes, &Limits::default()).ok()?;
    let DynamicImage::ImageRgb8(picture) = image::load_from_memory(bytes).ok()? else {
        return None;
    };
    if picture.pixels().all(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2]) {
        return None;
    }
    let place = if kind == ImageKind::T1Contrast { 2 } else { 1 };
    let grey: Vec<u8> = picture.pixels().map(|pixel| pixel.0[place]).collect();
    Some(grey_png(&grey, picture.height() as usize, picture.width() as usize))
}

/// Whether both are one slice, and the mask is one.
fn fitting(image: &[u8], mask: &[u8]) -> Fitting<()> {
    let [image, mask] = [decoded(image)?.volume, decoded(mask)?.volume];
    match image.shape.slices {
        1 => truth(&image, mask).map(drop),
        slices => Err(format!("it holds {slices} slices in place of one")),
    }
}
