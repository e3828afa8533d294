//! DICOM images of MR and CT, single and enhanced multi-frame.

mod acquired;
mod character_set;
mod class;
mod codec;
mod cursor;
pub(super) mod deidentify;
mod described;
mod geometry;
mod instance;
mod kind;
mod lossy;
mod lut;
mod offered;
mod pixel_format;
mod pixels;
mod protocol;
mod reader;
mod segmentation;
mod series;
#[cfg(test)]
mod tests;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use domain::{Equipment, Identity};

pub(super) use class::{is_capture, is_of_slices, may_be_image};
pub(super) use codec::TRANSFER_SYNTAXES;
pub(super) use described::{Instance, facts};
pub(super) use instance::instance;
pub(super) use offered::instance_of;
pub(super) use reader::is_headless;
pub(super) use segmentation::segmentation;
pub(super) use series::{join, series_of, slice_of};

use self::acquired::Acquired;
use self::class::Class;
use self::geometry::Plane;
use self::lut::ModalityLut;
use self::pixel_format::PixelFormat;
use self::pixels::Padding;
use self::reader::{DataSet, File};
use super::{Decoded, Limits};
use crate::{
    Format, ImageKind, Modality, Orientation, Protocol, Refusal, RefusalReason, Shape, Volume,
    requirements,
};

/// One file's image: real-world values, and what its header says of them.
pub(super) struct Image {
    shape: Shape,
    bytes_per_sample: usize,
    voxels: Vec<f32>,
    /// One per frame.
    planes: Vec<Plane>,
    /// One per frame.
    acquired: Vec<Acquired>,
    window: Option<[f32; 2]>,
    /// DICOM's defined term, if the file gives one.
    modality: Option<String>,
    kind: ImageKind,
    protocol: Protocol,
    body_part: Option<String>,
    identity: Identity,
    equipment: Equipment,
    /// What its file is called in an archive.
    name: String,
}

impl Image {
    /// Real-world values (after the modality LUT), frame by frame, each in row, column order.
    pub fn voxels(&self) -> &[f32] {
        &self.voxels
    }

    /// The pixels of a row.
    pub fn columns(&self) -> usize {
        self.shape.columns
    }

    /// The name of its file in the archive; empty for a file that came alone.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same image, said to be of that file: refusals name it.
    pub fn named(self, name: &str) -> Image {
        Image { name: name.to_owned(), ..self }
    }
}

/// What a sound DICOM file holds.
pub(super) enum Content {
    Slice(Box<Image>),
    /// A segmentation.
    LabelMap,
    /// Something else, and what.
    Other(&'static str),
}

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, Refusal> {
    let mut image = read(bytes, limits)?;
    let geometry = match &*image.planes {
        [plane] => plane.alone(),
        planes => {
            series::one_volume(std::slice::from_ref(&image))?;
            let (order, geometry) = geometry::stack(planes)?;
            image.voxels = reordered(image.voxels, image.shape.slice_len(), &order);
            image.identity.frame_numbers = frame_numbers(&order);
            return decoded(image, Some(geometry), Format::Dicom);
        }
    };
    decoded(image, geometry, Format::Dicom)
}

/// Reads one file that must be an image, without asking where its slices lie.
fn read(bytes: &[u8], limits: &Limits) -> Result<Image, Refusal> {
    match content(bytes, limits)? {
        Content::Slice(image) => Ok(*image),
        Content::LabelMap => Err(super::label_map_alone()),
        Content::Other(what) => Err(RefusalReason::NotAnImage
            .refuse(format!("The DICOM file holds no image: it is {what}."))),
    }
}

/// Reads one file, whatever it holds, without asking where its slices lie.
pub(super) fn content(bytes: &[u8], limits: &Limits) -> Result<Content, Refusal> {
    let file = File::read(bytes, limits)?;
    let set = file.data_set()?;
    match class::of(&file, &set)? {
        Class::Image => Ok(Content::Slice(Box::new(image(&file, &set, limits)?))),
        Class::LabelMap => Ok(Content::LabelMap),
        Class::Other(what) => Ok(Content::Other(what)),
    }
}

fn image(file: &File, set: &DataSet, limits: &Limits) -> Result<Image, Refusal> {
    let format = PixelFormat::read(set, limits)?;
    let mut voxels = pixels::stored_values(set, &file.transfer_syntax, &format)?;
    let padding = Padding::read(set, &format);
    let padded: Option<Vec<bool>> =
        padding.map(|padding| voxels.iter().map(|value| padding.holds(*value)).collect());
    let modality = set.text(tags::MODALITY);
    // Hounsfield units mean what they mean, however they are to be shown.
    let inverted = format.inverted && modality.as_deref() != Some("CT");
    let mut frames = Frame::all(set, &format)?;
    for (frame, voxels) in frames.iter_mut().zip(voxels.chunks_mut(format.shape.slice_len())) {
        frame.lut.apply(voxels);
        if inverted {
            frame.invert(voxels, format.ends());
        }
    }
    if let Some(padded) = padded {
        pad_with_air(&mut voxels, &padded);
    }
    // Some files declare one value and are filled with another.
    super::fill_with_air(&mut voxels);
    let window = common_window(frames.iter().filter_map(|frame| frame.window));
    Ok(Image {
        shape: format.shape,
        bytes_per_sample: format.bytes_per_sample,
        voxels,
        acquired: frames.iter().map(|frame| frame.acquired.clone()).collect(),
        planes: frames.into_iter().map(|frame| frame.plane).collect(),
        window,
        kind: kind_of(set)?,
        protocol: protocol::protocol(set, &shared_groups(set)?),
        modality,
        body_part: set.text(tags::BODY_PART_EXAMINED),
        identity: lossy::told(identity(set), &file.transfer_syntax),
        equipment: equipment(set),
        name: String::new(),
    })
}

/// What fills the picture beside the measured values becomes the darkest of these, unless it lies between them and nought: a
/// value far from all that was measured would press the whole head into one grey, an extreme of the storage or not.
fn pad_with_air(voxels: &mut [f32], padded: &[bool]) {
    let measured = voxels.iter().zip(padded).filter(|(_, padded)| !**padded);
    let low = measured.fold(f32::INFINITY, |low, (value, _)| low.min(*value));
    if low == f32::INFINITY {
        return;
    }
    let dark = low.min(0.0)..=low;
    for (value, _) in voxels.iter_mut().zip(padded).filter(|(_, padded)| **padded) {
        if !dark.contains(value) {
            *value = low;
        }
    }
}

/// What kind of image the file says that it is; only MR has kinds.
fn kind_of(set: &DataSet) -> Result<ImageKind, Refusal> {
    if set.text(tags::MODALITY).as_deref() != Some(Modality::MagneticResonance.term()) {
        return Ok(ImageKind::Unknown);
    }
    Ok(kind::kind(set, &shared_groups(set)?))
}

/// What all frames of an enhanced file have in common; empty of any other.
fn shared_groups<'a>(set: &DataSet<'a>) -> Result<DataSet<'a>, Refusal> {
    let shared = set.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE)?.into_iter().next();
    Ok(shared.unwrap_or_default())
}

/// What the header says of one frame.
struct Frame {
    plane: Plane,
    acquired: Acquired,
    lut: ModalityLut,
    window: Option<[f32; 2]>,
}

impl Frame {
    fn all(set: &DataSet, format: &PixelFormat) -> Result<Vec<Frame>, Refusal> {
        let (frames, signed) = (format.shape.slices, format.signed);
        let own = set.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)?;
        let shared = set.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE)?.into_iter().next();
        if frames == 1 && own.is_empty() {
            return Ok(vec![Frame::single(shared.as_ref(), set, signed)?]);
        }
        // A gap would give a frame its neighbour's values.
        if own.len() != frames {
            return Err(RefusalReason::UnknownOrientation
                .refuse("The DICOM file has several frames and does not describe each of them."));
        }
        let shared = shared.unwrap_or_default();
        own.iter().map(|own| Frame::grouped(own, &shared, set, signed)).collect()
    }

    /// The one frame of a file: what its shared functional groups say, if it has any, else what stands beside them.
    fn single(shared: Option<&DataSet>, set: &DataSet, signed: bool) -> Result<Frame, Refusal> {
        let plane = Plane::of_image(set)?;
        let Some(shared) = shared else {
            let (acquired, lut) = (Acquired::of_image(set), ModalityLut::read(set, signed)?);
            return Ok(Frame { plane, acquired, lut, window: window(set) });
        };
        let frame = Frame::grouped(&DataSet::default(), shared, set, signed)?;
        let window = frame.window.or_else(|| window(set));
        Ok(Frame { plane: frame.plane.or(plane), window, ..frame })
    }

    /// Turns a picture that shows its lowest values as white (MONOCHROME1) into one that shows them as black: nothing
    /// that looks at it later needs to know. The storage's ends change places, so that slices stay comparable.
    fn invert(&mut self, voxels: &mut [f32], ends: [i64; 2]) {
        let mut ends = ends.map(|end| end as f32);
        self.lut.apply(&mut ends);
        let both = ends[0] + ends[1];
        voxels.iter_mut().for_each(|value| *value = both - *value);
        self.window = self.window.map(|[black, white]| [both - white, both - black]);
    }

    fn grouped(
        own: &DataSet,
        shared: &DataSet,
        set: &DataSet,
        signed: bool,
    ) -> Result<Frame, Refusal> {
        let first = |group: Tag| -> Result<Option<DataSet>, Refusal> {
            let own = own.items(group)?.into_iter().next();
            Ok(if own.is_some() { own } else { shared.items(group)?.into_iter().next() })
        };
        let lut = match first(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE)? {
            Some(group) => ModalityLut::read(&group, signed)?,
            None => ModalityLut::read(set, signed)?,
        };
        let voi = first(tags::FRAME_VOILUT_SEQUENCE)?;
        Ok(Frame {
            plane: Plane::of_frame(own, shared)?,
            acquired: Acquired::of_frame(own, shared),
            lut,
            window: voi.as_ref().and_then(window),
        })
    }
}

/// Of the windows that slices bring, one in the middle, by width and then by level: the same from whichever end of the head
/// the slices are counted.
fn common_window(windows: impl Iterator<Item = [f32; 2]>) -> Option<[f32; 2]> {
    let mut windows: Vec<[f32; 2]> = windows.collect();
    let width = |[black, white]: &[f32; 2]| white - black;
    windows.sort_by(|a, b| width(a).total_cmp(&width(b)).then(a[0].total_cmp(&b[0])));
    windows.get(windows.len().saturating_sub(1) / 2).copied()
}

/// The values shown as black and as white (PS3.3, C.11.2.1.2.1); of several windows the first.
fn window(set: &DataSet) -> Option<[f32; 2]> {
    let first = |tag| set.decimals(tag).and_then(|values| values.first().copied());
    let (center, width) = (first(tags::WINDOW_CENTER)?, first(tags::WINDOW_WIDTH)?);
    let half = (width - 1.0) / 2.0;
    (half > 0.0).then_some([(center - 0.5 - half) as f32, (center - 0.5 + half) as f32])
}

/// DICOM counts frames from 1.
fn frame_numbers(order: &[usize]) -> Vec<u32> {
    order.iter().filter_map(|index| u32::try_from(index + 1).ok()).collect()
}

/// The slices of `voxels` in that order; untouched where they lie in it.
fn reordered(voxels: Vec<f32>, slice: usize, order: &[usize]) -> Vec<f32> {
    if order.iter().copied().eq(0..voxels.len() / slice) {
        return voxels;
    }
    let mut ordered = Vec::with_capacity(voxels.len());
    for index in order {
        ordered.extend_from_slice(&voxels[index * slice..][..slice]);
    }
    ordered
}

/// The volume, unless its header says that it shows no head, or was made by no MR and no CT.
fn decoded(
    image: Image,
    geometry: Option<crate::Geometry>,
    format: Format,
) -> Result<Decoded, Refusal> {
    let Image { shape, voxels, window, modality, kind, protocol, .. } = image;
    let Image { body_part, identity, equipment, .. } = image;
    let window = window.unwrap_or_else(|| super::range(&voxels));
    let known = modality.as_deref().and_then(Modality::of_term);
    let (stored, remarks) = (Orientation::default(), Vec::new());
    let volume = Volume {
        shape,
        voxels,
        geometry,
        modality: known,
        kind,
        format,
        window,
        remarks,
        stored,
        protocol,
    };
    if let Some(part) = body_part.as_deref().and_then(requirements::other_body_part) {
        return Err(
            RefusalReason::NotAHead.refuse(format!("Its header says that it shows: {part}."))
        );
    }
    // "Other" is what secondary captures say; what they show is for the content to tell.
    match modality.as_deref() {
        Some(term) if known.is_none() && term != "OT" => Err(requirements::foreign(&volume)),
        _ => Ok(Decoded { volume, identity: Some(identity), equipment }),
    }
}

fn equipment(set: &DataSet) -> Equipment {
    let [institution, station, manufacturer, model] = [
        tags::INSTITUTION_NAME,
        tags::STATION_NAME,
        tags::MANUFACTURER,
        tags::MANUFACTURER_MODEL_NAME,
    ]
    .map(|tag| set.text(tag));
    let tesla = set.decimals(tags::MAGNETIC_FIELD_STRENGTH);
    Equipment::new(
        institution.as_deref(),
        station.as_deref(),
        [manufacturer.as_deref(), model.as_deref()],
        tesla.and_then(|values| values.first().copied()),
    )
}

fn identity(set: &DataSet) -> Identity {
    Identity {
        patient_name: set.text(tags::PATIENT_NAME),
        patient_id: set.text(tags::PATIENT_ID),
        issuer_of_patient_id: set.text(tags::ISSUER_OF_PATIENT_ID),
        patient_birth_date: set.text(tags::PATIENT_BIRTH_DATE),
        patient_sex: set.text(tags::PATIENT_SEX),
        patient_age: set.text(tags::PATIENT_AGE),
        accession_number: set.text(tags::ACCESSION_NUMBER),
        study_id: set.text(tags::STUDY_ID),
        study_date: set.text(tags::STUDY_DATE),
        study_time: set.text(tags::STUDY_TIME),
        study_description: set.text(tags::STUDY_DESCRIPTION),
        series_description: set.text(tags::SERIES_DESCRIPTION),
        series_number: set.text(tags::SERIES_NUMBER),
        instance_number: set.text(tags::INSTANCE_NUMBER),
        referring_physician_name: set.text(tags::REFERRING_PHYSICIAN_NAME),
        institution_name: set.text(tags::INSTITUTION_NAME),
        study_instance_uid: set.text(tags::STUDY_INSTANCE_UID),
        series_instance_uid: set.text(tags::SERIES_INSTANCE_UID),
        sop_class_uid: set.text(tags::SOP_CLASS_UID),
        frame_of_reference_uid: set.text(tags::FRAME_OF_REFERENCE_UID),
        sop_instance_uids: set.text(tags::SOP_INSTANCE_UID).into_iter().collect(),
        frame_numbers: Vec::new(),
        lossy_image_compression: set.text(tags::LOSSY_IMAGE_COMPRESSION),
        lossy_image_compression_ratio: set.text(tags::LOSSY_IMAGE_COMPRESSION_RATIO),
        lossy_image_compression_method: set.text(tags::LOSSY_IMAGE_COMPRESSION_METHOD),
    }
}
