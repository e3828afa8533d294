//! Pictures of confirmed scans: files that do not say which way the patient lies, taken as they are.

use imaging::{Limits, RefusalReason, Volume, decode, decode_flat};

use super::volume::{Fitting, of_both};

/// Values of a picture: whole numbers of 8 or 16 bits. With fewer levels than these there is nothing left to learn from.
const LEVELS_MIN: f32 = 32.0;
const LEVELS_MAX: f32 = 65535.0;

/// The image of a file that medseg has handed out, and what the file of its mask says of each of its voxels.
pub fn labelled(image: &[u8], mask: &[u8]) -> Fitting<(Volume, Vec<u8>)> {
    let image = volume(image)?;
    if image.geometry.is_none() && !is_picture(&image) {
        return Err("it does not say which way the patient lies, and is no picture".to_owned());
    }
    of_both(image, volume(mask)?)
}

fn volume(bytes: &[u8]) -> Fitting<Volume> {
    let limits = Limits::default();
    let read = match decode(bytes, &limits) {
        Err(refusal) if refusal.problem == RefusalReason::UnknownOrientation => {
            decode_flat(bytes, &limits)
        }
        read => read.map(|decoded| decoded.volume),
    };
    read.map_err(|refusal| refusal.to_string())
}

fn is_picture(image: &Volume) -> bool {
    let voxels = || image.voxels.iter().copied();
    let highest = voxels().fold(0.0, f32::max);
    voxels().all(|voxel| voxel >= 0.0) && (LEVELS_MIN..=LEVELS_MAX).contains(&highest)
}
