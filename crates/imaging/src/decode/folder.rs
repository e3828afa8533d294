//! The files of an archive as one scan: which of them are its slices, and what is left out.
//!
//! What a file is, its content says. A label map is never a slice; what belongs to two series is never one volume.

mod pictures;
#[cfg(test)]
mod tests;

use std::io::{Cursor, Read, Seek};

use self::pictures::Picture;
use super::dicom::{self, Content};
use super::holes::{Hole, holes};
use super::left_out::{ARCHIVE, LeftOut, only_labels};
use super::{Archive, Decoded, Kind, Limits, gzip, nifti, raster, unknown};
use crate::label_map::{PixelContent, is_label_map, pixel_content};
use crate::names::{says_mask, shown};
use crate::{Format, Refusal, RefusalReason, Volume};

/// What a file without a byte is called.
const EMPTY: &str = "an empty file";

/// The one scan that an archive holds.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, Refusal> {
    let archive = Archive::open(Cursor::new(bytes), *limits)?;
    Folder::open(archive, *limits)?.decode()
}

struct Folder<R> {
    archive: Archive<R>,
    limits: Limits,
    /// What the entries are, by their first bytes, with their names.
    entries: Vec<(Option<Kind>, String)>,
    /// Of each that is none of these, what picture it is all the same.
    unread: Vec<Option<&'static str>>,
    left_out: LeftOut,
}

impl<R: Read + Seek> Folder<R> {
    fn open(mut archive: Archive<R>, limits: Limits) -> Result<Folder<R>, Refusal> {
        let names: Vec<String> = archive.names().map(str::to_owned).collect();
        let (mut entries, mut unread) = (Vec::with_capacity(names.len()), Vec::new());
        for (place, name) in names.into_iter().enumerate() {
            let head = archive.head(place).map_err(|refusal| refusal.at(&shown(&name)))?;
            entries.push((Kind::of_head(&head), name));
            unread.push(if head.is_empty() { Some(EMPTY) } else { super::unread(&head) });
        }
        Ok(Folder { archive, limits, entries, unread, left_out: LeftOut::default() })
    }

    fn decode(mut self) -> Result<Decoded, Refusal> {
        for ((kind, name), unread) in self.entries.iter().zip(&self.unread) {
            match kind {
                None => self.left_out.other(name, unread.unwrap_or("no image")),
                Some(Kind::Archive) => self.left_out.other(name, ARCHIVE),
                Some(_) => {}
            }
        }
        self.whole(|kind| kind == Kind::Dicom)?;
        let slices = self.dicom_slices()?;
        let volumes = self.volumes()?;
        let Decoded { mut volume, identity, equipment } = match (slices.is_empty(), volumes.len()) {
            (true, 0) => self.pictures()?,
            (false, 0) => {
                self.leave_pictures();
                dicom::join(slices, &self.limits, &mut self.left_out)?
            }
            (true, 1) => {
                self.leave_pictures();
                let volume = volumes.into_iter().map(|(_, volume)| volume).next();
                let volume = volume.ok_or_else(|| self.left_out.nothing_else())?;
                Decoded::unsaid(Volume { format: Format::Zip, ..volume })
            }
            (true, _) => return Err(several(&volumes[0].0, &volumes[1].0, "are two scans")),
            (false, _) => return Err(several(slices[0].name(), &volumes[0].0, "are two scans")),
        };
        volume.remarks.extend(self.left_out.remarks());
        Ok(Decoded { volume, identity, equipment })
    }

    /// The slices among the DICOM files.
    fn dicom_slices(&mut self) -> Result<Vec<dicom::Image>, Refusal> {
        self.each(
            |kind| kind == Kind::Dicom,
            |left_out, name, _, bytes, limits| match dicom::content(bytes, limits)? {
                Content::Slice(image) => {
                    if let PixelContent::Labels(_) = pixel_content(image.voxels(), image.columns())
                    {
                        left_out.label_map(name);
                        return Ok(None);
                    }
                    Ok(Some((image.voxels().len(), image.named(name))))
                }
                Content::LabelMap => {
                    left_out.label_map(name);
                    Ok(None)
                }
                Content::Other(what) => {
                    left_out.other(name, what);
                    Ok(None)
                }
            },
        )
    }

    /// The NIfTI volumes that are no label maps, by their content or by their name beside a scan, with their names.
    fn volumes(&mut self) -> Result<Vec<(String, Volume)>, Refusal> {
        let volumes = self.unlabelled()?;
        if volumes.iter().all(|(name, _)| says_mask(name)) {
            return Ok(volumes);
        }
        // One that is empty, or a map of probabilities, does not look like one.
        let may_be = |volume: &Volume| {
            let between = |voxel: &f32| (0.0..=1.0).contains(voxel);
            is_label_map(volume) || volume.voxels.iter().all(between)
        };
        let (masks, scans): (Vec<_>, Vec<_>) =
            volumes.into_iter().partition(|(name, volume)| says_mask(name) && may_be(volume));
        masks.iter().for_each(|(name, _)| self.left_out.label_map(name));
        Ok(scans)
    }

    fn unlabelled(&mut self) -> Result<Vec<(String, Volume)>, Refusal> {
        self.each(
            |kind| kind == Kind::Nifti,
            |left_out, name, _, bytes, limits| {
                let volume = nifti::decode(bytes, limits)?;
                if let PixelContent::Labels(_) = pixel_content(&volume.voxels, volume.shape.columns)
                {
                    left_out.label_map(name);
                    return Ok(None);
                }
                Ok(Some((volume.voxels.len(), (name.to_owned(), volume))))
            },
        )
    }

    /// Refuses a file that is not read and, by its name, is one of the slices of the `wanted` kind: left out, it would leave
    /// a hole.
    fn whole(&self, wanted: impl Fn(Kind) -> bool) -> Result<(), Refusal> {
        let places: Vec<usize> = (0..self.entries.len())
            .filter(|place| self.entries[*place].0.is_none_or(&wanted))
            .collect();
        let names: Vec<&str> = places.iter().map(|place| self.entries[*place].1.as_str()).collect();
        let is_slice: Vec<bool> =
            places.iter().map(|place| self.entries[*place].0.is_some()).collect();
        let is_picture: Vec<bool> = places
            .iter()
            .map(|place| self.unread[*place].is_some_and(|what| what != EMPTY))
            .collect();
        let holes = holes(&names, &is_slice, &is_picture);
        let Some(Hole { place, number, of, .. }) = holes.first().copied() else { return Ok(()) };
        let refusal = match self.unread[places[place]] {
            Some(EMPTY) => RefusalReason::Truncated.refuse("The file is empty."),
            Some(what) => RefusalReason::Unsupported
                .refuse(format!("This is {what}, which is not read here.")),
            None => RefusalReason::Corrupt.refuse(
                "By its name it is one of the slices, but it holds no image that is read here.",
            ),
        };
        Err(refusal.at(&format!("Slice {number} of {of} ({})", shown(names[place]))))
    }

    /// The pictures, as slices without geometry.
    fn pictures(&mut self) -> Result<Decoded, Refusal> {
        self.whole(|kind| matches!(kind, Kind::Raster(_)))?;
        let pictures = self.each(
            |kind| matches!(kind, Kind::Raster(_)),
            |_, name, kind, bytes, limits| {
                let Kind::Raster(format) = kind else { return Err(unknown(bytes)) };
                let picture = Picture::new(name, raster::decode(bytes, format, limits)?);
                Ok(Some((picture.voxels(), picture)))
            },
        )?;
        let volume = pictures::join(pictures, &self.limits, &mut self.left_out)?;
        let Some(volume) = volume else { return Err(self.left_out.nothing_else()) };
        Ok(Decoded::unsaid(volume))
    }

    /// Beside a scanner's own files, pictures are a viewer's.
    fn leave_pictures(&mut self) {
        for (kind, name) in &self.entries {
            if matches!(kind, Some(Kind::Raster(_))) {
                self.left_out.other(name, "a picture");
            }
        }
    }

    /// What `take` makes of each entry of the `wanted` kind, within the limit on all voxels together. A refusal says
    /// which of them it speaks of.
    fn each<T>(
        &mut self,
        wanted: impl Fn(Kind) -> bool,
        take: impl Fn(&mut LeftOut, &str, Kind, &[u8], &Limits) -> Result<Option<(usize, T)>, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        let places: Vec<usize> = (0..self.entries.len())
            .filter(|place| self.entries[*place].0.is_some_and(&wanted))
            .collect();
        let (mut found, mut left) = (Vec::new(), self.limits.voxels);
        for (number, place) in (1..).zip(&places) {
            let name = &self.entries[*place].1;
            let limits = Limits { voxels: left, ..self.limits };
            let taken = self.archive.read(*place).and_then(|bytes| {
                let bytes = gzip::unpacked(&bytes, &limits)?;
                let kind = Kind::of(&bytes).ok_or_else(|| unknown(&bytes))?;
                take(&mut self.left_out, name, kind, &bytes, &limits)
            });
            let taken = taken.map_err(|refusal| match places.len() {
                1 => refusal.at(&shown(name)),
                all => refusal.at(&format!("Slice {number} of {all} ({})", shown(name))),
            })?;
            if let Some((voxels, image)) = taken {
                left = left.saturating_sub(voxels);
                found.push(image);
            }
        }
        Ok(found)
    }
}

/// The refusal of what belongs to two scans, of which `one` and `other` are files.
pub(super) fn several(one: &str, other: &str, what: &str) -> Refusal {
    RefusalReason::MixedSeries.refuse(format!("{} and {} {what}.", shown(one), shown(other)))
}

/// The refusal of a label map that came alone.
pub(crate) fn label_map_alone() -> Refusal {
    only_labels("It is")
}
