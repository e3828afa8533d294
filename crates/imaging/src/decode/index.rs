//! The DICOM instances of an upload, and where they stand in it.

use std::collections::{HashMap, HashSet};
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::hex;
use sha2::{Digest, Sha256};

use super::{Archive, Kind, Limits, dicom};
use crate::instance::{Extent, Instance, StoredInstance};
use crate::{Refusal, RefusalReason};

/// What a DICOM file says of itself, without its pixels.
///
/// As [`decode`](crate::decode()), it never panics, whatever the bytes are.
pub fn instance(bytes: &[u8], limits: &Limits) -> Result<Instance, Refusal> {
    let read = catch_unwind(AssertUnwindSafe(|| dicom::instance(bytes, limits)));
    read.unwrap_or_else(|_| Err(RefusalReason::Corrupt.refuse("The file cannot be read.")))
}

/// Those of the `wanted` instances that the upload has, each once, in the order in which it has them. Of several objects that
/// have one and the same UID it is the slice: the one that a volume is made of, and no report or picture of a screen that was sent beside it.
///
/// Left out is what cannot be handed back as it came without unpacking more than one deflated entry: a file within another
/// compression. As [`decode`](crate::decode()), it never panics.
pub fn instances(bytes: &[u8], wanted: &[String], limits: &Limits) -> Vec<StoredInstance> {
    let found = catch_unwind(AssertUnwindSafe(|| found(bytes, limits))).unwrap_or_default();
    let wanted: HashSet<&str> = wanted.iter().map(|uid| plain(uid)).collect();
    // Slices come before captures, and then what comes first.
    let mut best = HashMap::<&str, (bool, usize)>::new();
    for (at, StoredInstance { instance, .. }) in found.iter().enumerate() {
        let uid = plain(&instance.sop_instance);
        if !wanted.contains(uid) || !may_be_slice(instance) {
            continue;
        }
        let this = (dicom::is_capture(Some(plain(&instance.sop_class))), at);
        let known = best.entry(uid).or_insert(this);
        *known = this.min(*known);
    }
    let taken: HashSet<usize> = best.into_values().map(|(_, at)| at).collect();
    let taken = found.into_iter().enumerate().filter(|(at, _)| taken.contains(at));
    taken.map(|(_, found)| found).collect()
}

/// Whether a volume can have been made of it.
fn may_be_slice(instance: &Instance) -> bool {
    instance.frames > 0 && dicom::is_of_slices(plain(&instance.sop_class))
}

/// Without the padding that files have around UIDs.
fn plain(uid: &str) -> &str {
    uid.trim_matches([' ', '\0'])
}

fn found(bytes: &[u8], limits: &Limits) -> Vec<StoredInstance> {
    match Kind::of(bytes) {
        Some(Kind::Dicom) => {
            let all = Extent { at: 0, bytes: bytes.len() as u64 };
            stored(bytes, all, false, limits).into_iter().collect()
        }
        Some(Kind::Archive) => within(bytes, limits).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn within(bytes: &[u8], limits: &Limits) -> Result<Vec<StoredInstance>, Refusal> {
    let mut archive = Archive::open(Cursor::new(bytes), *limits)?;
    let mut all = Vec::new();
    for place in 0..archive.len() {
        let Some((extent, packed)) = archive.stored(place)? else { continue };
        if Kind::of(&archive.head(place)?) != Some(Kind::Dicom) {
            continue;
        }
        all.extend(stored(&archive.read(place)?, extent, packed, limits));
    }
    Ok(all)
}

fn stored(file: &[u8], extent: Extent, packed: bool, limits: &Limits) -> Option<StoredInstance> {
    let instance = dicom::instance(file, limits).ok()?;
    let (bytes, sha256) = (file.len() as u64, hex(&Sha256::digest(file)));
    Some(StoredInstance { stored: extent, packed, bytes, sha256, instance })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Series, dicom, zip};
    use crate::phantom::{Phantom, Settings};

    /// MR images, raw data and secondary captures: as long as each other with the padding.
    const MR: &[u8] = b"1.2.840.10008.5.1.4.1.1.4\0";
    const RAW: &[u8] = b"1.2.840.10008.5.1.4.1.1.66";
    const CAPTURE: &[u8] = b"1.2.840.10008.5.1.4.1.1.7\0";

    fn of_class(file: &[u8], class: &[u8]) -> Vec<u8> {
        let mut changed = file.to_vec();
        for at in 0..file.len() - MR.len() {
            if file[at..].starts_with(MR) {
                changed[at..at + MR.len()].copy_from_slice(class);
            }
        }
        assert!(changed != file, "the file names no class");
        changed
    }

    #[test]
    fn of_objects_with_one_uid_the_index_names_the_slice_wherever_it_stands() {
        let volume = Phantom::new(&Settings::slice(1)).unwrap().volume;
        let slice = dicom(&volume, &Series::of_seed(1), 0).unwrap();
        let uid = instance(&slice, &Limits::default()).unwrap().sop_instance;
        let others = [of_class(&slice, RAW), of_class(&slice, CAPTURE)];
        let found = |files: &[&Vec<u8>]| {
            let named = (0..).zip(files).map(|(at, &file)| (format!("IM{at}"), file.clone()));
            let archive = zip(&named.collect::<Vec<_>>()).unwrap();
            let found = instances(&archive, std::slice::from_ref(&uid), &Limits::default());
            found.into_iter().map(|one| one.sha256).collect::<Vec<_>>()
        };
        let digest = hex(&Sha256::digest(&slice));
        let [raw, capture] = &others;
        for files in [[raw, capture, &slice], [&slice, raw, capture], [capture, &slice, raw]] {
            assert_eq!(found(&files), [digest.as_str()]);
        }
        assert!(found(&[raw]).is_empty());
        assert_eq!(found(&[capture]).len(), 1);
    }
}
