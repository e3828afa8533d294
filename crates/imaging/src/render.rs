//! Pictures of a result.

mod letters;

use std::io::Cursor;

use domain::{ErrorKind, Result};
use image::ImageFormat;

use crate::encode::{grey_png, nifti_gz, rgb_png};
use crate::{Finding, Findings, Format, Role, Shape, Volume};

/// Yellow and sky blue: apart from each other, and from any grey, for colour-blind eyes too.
const OUTLINE: [u8; 3] = [255, 205, 0];
const BOX: [u8; 3] = [60, 190, 255];
/// Purple: around lesser findings.
const LESSER_OUTLINE: [u8; 3] = [204, 121, 167];
const TRUTH: [u8; 3] = BOX;
/// Lines grow by one pixel for each so many of the image's shorter side.
const PIXELS_PER_LINE: usize = 320;

/// One slice as it is shown, with the patient's sides at its edges: an 8-bit grey PNG in the scan's own pixels.
pub fn lettered_png(volume: &Volume, slice: usize) -> Result<Vec<u8>> {
    let Shape { rows, columns, .. } = volume.shape;
    let mut pixels = shown(volume, slice);
    for (index, light) in letters::of(volume, |_| true) {
        pixels[index] = light;
    }
    grey_png(&pixels, rows, columns)
}

/// The bare pixels of one slice as it is shown: an 8-bit grey PNG.
pub fn slice_png(volume: &Volume, slice: usize) -> Result<Vec<u8>> {
    grey_png(&shown(volume, slice), volume.shape.rows, volume.shape.columns)
}

/// The slice that pictures show: where the main findings are largest, or the middle one when it is empty.
pub fn shown_slice(shape: Shape, findings: &Findings) -> usize {
    let area = |slice: usize| {
        let mask = &findings.mask[slice * shape.slice_len()..][..shape.slice_len()];
        mask.iter().filter(|&&inside| inside == Role::Main.label()).count()
    };
    if findings.findings.is_empty() {
        return shape.slices / 2;
    }
    // The first of equals, so that equal results give equal pictures.
    (0..shape.slices).rev().max_by_key(|&slice| area(slice)).unwrap_or(0)
}

/// What lesser findings are in a mask's picture: below the middle, so that a picture cut there shows main ones alone.
pub(crate) const LESSER_GREY: u8 = 127;

/// The mask of one slice: an 8-bit grey PNG in the scan's own pixels, 255 in a main finding, 127 in a lesser one and 0
/// elsewhere.
pub fn mask_png(shape: Shape, findings: &Findings, slice: usize) -> Result<Vec<u8>> {
    let mask = &findings.mask[slice * shape.slice_len()..][..shape.slice_len()];
    let grey = |label: &u8| match *label {
        0 => 0,
        label if label == Role::Lesser.label() => LESSER_GREY,
        _ => 255,
    };
    let pixels: Vec<u8> = mask.iter().map(grey).collect();
    grey_png(&pixels, shape.rows, shape.columns)
}

/// The whole mask as `.nii.gz`, in the grid and with the geometry that the scan's own file has: 1 in main findings, 2 in
/// lesser ones, 0 elsewhere.
pub fn mask_nifti(volume: &Volume, findings: &Findings) -> Result<Vec<u8>> {
    let (shape, geometry) = volume.own_grid();
    let mask = volume.stored.inverse().turned(&findings.mask, volume.shape);
    nifti_gz(&mask, shape, geometry.as_ref())
}

/// Which voxels of a mask that [`mask_png`] or [`mask_nifti`] has written, and that was decoded again, lie in main findings: 1 or 0.
pub fn main_marked(mask: &Volume) -> Vec<u8> {
    let is_main = |voxel: f32| match mask.format {
        Format::Nifti => voxel == f32::from(Role::Main.label()),
        _ => voxel > f32::from(LESSER_GREY),
    };
    mask.voxels.iter().map(|voxel| u8::from(is_main(*voxel))).collect()
}

/// One slice with each main finding's outline and box over it, each lesser one's outline in another colour, and the
/// patient's sides at its edges: an 8-bit colour PNG in the scan's own pixels.
///
/// Lines run outside of the tumour, so that none of it is hidden, and grow with the image.
pub fn overlay_png(volume: &Volume, findings: &Findings, slice: usize) -> Result<Vec<u8>> {
    let Shape { rows, columns, .. } = volume.shape;
    let mask = &findings.mask[slice * volume.shape.slice_len()..][..volume.shape.slice_len()];
    let grey = shown(volume, slice);
    let pixels = grey.into_iter().flat_map(|value| [value; 3]).collect();
    let mut picture =
        Picture { pixels, rows, columns, line: 1 + rows.min(columns) / PIXELS_PER_LINE };
    let here = |finding: &&Finding| (finding.bounds.from[0]..finding.bounds.to[0]).contains(&slice);
    for finding in findings.main().filter(here) {
        picture.frame(finding);
    }
    picture.outlines(mask);
    picture.letter(volume, |index| mask[index] == 0);
    rgb_png(&picture.pixels, rows, columns)
}

/// Slices side by side, the `truth` outlined in blue and the mask `found` over it in yellow, its lesser findings in
/// purple: an 8-bit colour PNG. The truth is 1 inside and 0 outside, the mask as [`Findings`] has it, in the volume's order.
pub fn comparison_png(
    volume: &Volume,
    truth: &[u8],
    found: &[u8],
    slices: &[usize],
) -> Result<Vec<u8>> {
    let Shape { rows, columns, .. } = volume.shape;
    let length = volume.shape.slice_len();
    let tiles = slices.iter().map(|&slice| {
        let pixels = shown(volume, slice).into_iter().flat_map(|value| [value; 3]).collect();
        let mut picture = Picture { pixels, rows, columns, line: 1 };
        picture.outline(&truth[slice * length..][..length], 1, TRUTH);
        picture.outlines(&found[slice * length..][..length]);
        let found = &found[slice * length..][..length];
        let truth = &truth[slice * length..][..length];
        picture.letter(volume, |index| truth[index] == 0 && found[index] == 0);
        picture.pixels
    });
    let tiles: Vec<Vec<u8>> = tiles.collect();
    let row =
        |row: usize| tiles.iter().flat_map(move |tile| &tile[3 * row * columns..][..3 * columns]);
    let pixels: Vec<u8> = (0..rows).flat_map(row).copied().collect();
    rgb_png(&pixels, rows, columns * slices.len())
}

/// A picture as plain pixels.
pub struct ColourPicture {
    /// Its height in pixels.
    pub rows: usize,
    /// Its width in pixels.
    pub columns: usize,
    /// 8 bits of red, green and blue for each pixel, row by row.
    pub rgb: Vec<u8>,
}

/// The picture of a PNG, with these lines of words (ASCII) on a dark band of their own above it, so that they hide nothing of it.
pub fn captioned(png: &[u8], lines: &[&str]) -> Result<ColourPicture> {
    let picture = image::load(Cursor::new(png), ImageFormat::Png)
        .map_err(|error| ErrorKind::Internal.error("a picture cannot be read").because(error))?
        .into_rgb8();
    let (rows, columns) = (picture.height() as usize, picture.width() as usize);
    let band = letters::band(lines, columns);
    let band_rows = band.len() / columns.max(1);
    let mut rgb: Vec<u8> = band.into_iter().flat_map(|light| [light; 3]).collect();
    rgb.extend(picture.into_raw());
    Ok(ColourPicture { rows: band_rows + rows, columns, rgb })
}

/// A slice's pixels through the volume's window.
fn shown(volume: &Volume, slice: usize) -> Vec<u8> {
    through(volume.slice(slice).iter().copied(), volume.window)
}

/// Values as they are shown: 0 at black and below, 255 at white and above.
pub(crate) fn through(values: impl Iterator<Item = f32>, [black, white]: [f32; 2]) -> Vec<u8> {
    let scale = if white > black { 255.0 / (white - black) } else { 0.0 };
    values.map(|value| ((value - black) * scale).round().clamp(0.0, 255.0) as u8).collect()
}

struct Picture {
    pixels: Vec<u8>,
    rows: usize,
    columns: usize,
    /// Pixels that a line is wide.
    line: usize,
}

impl Picture {
    /// Outlines main and lesser findings.
    fn outlines(&mut self, mask: &[u8]) {
        self.outline(mask, Role::Lesser.label(), LESSER_OUTLINE);
        self.outline(mask, Role::Main.label(), OUTLINE);
    }

    /// Paints what lies within a line's width of that label and in no finding.
    fn outline(&mut self, mask: &[u8], label: u8, colour: [u8; 3]) {
        let reach = self.line as isize;
        for index in 0..mask.len() {
            let (row, column) = (index / self.columns, index % self.columns);
            let edge = |r: isize, c: isize| {
                self.at(row as isize + r, column as isize + c).is_none_or(|i| mask[i] != label)
            };
            let on_edge = mask[index] == label
                && [(0, 1), (1, 0), (0, -1), (-1, 0)].iter().any(|&(r, c)| edge(r, c));
            if !on_edge {
                continue;
            }
            for (r, c) in (-reach..=reach).flat_map(|r| (-reach..=reach).map(move |c| (r, c))) {
                let Some(near) = self.at(row as isize + r, column as isize + c) else { continue };
                if mask[near] == 0 && r * r + c * c <= reach * reach {
                    self.paint(near, colour);
                }
            }
        }
    }

    /// The box in the plane of the slice, with a gap for the outline.
    fn frame(&mut self, finding: &Finding) {
        let gap = (2 * self.line + 1) as isize;
        let line = self.line as isize;
        let [top, left] = [1, 2].map(|axis| finding.bounds.from[axis] as isize - gap);
        let [bottom, right] = [1, 2].map(|axis| finding.bounds.to[axis] as isize - 1 + gap);
        for row in top - line + 1..bottom + line {
            for column in left - line + 1..right + line {
                let inside =
                    (top + 1..bottom).contains(&row) && (left + 1..right).contains(&column);
                if let Some(index) = self.at(row, column).filter(|_| !inside) {
                    self.paint(index, BOX);
                }
            }
        }
    }

    /// The patient's sides, wherever `free` lets them stand.
    fn letter(&mut self, volume: &Volume, free: impl Fn(usize) -> bool) {
        for (index, light) in letters::of(volume, free) {
            self.paint(index, [light; 3]);
        }
    }

    fn at(&self, row: isize, column: isize) -> Option<usize> {
        let row = usize::try_from(row).ok().filter(|row| *row < self.rows)?;
        let column = usize::try_from(column).ok().filter(|column| *column < self.columns)?;
        Some(row * self.columns + column)
    }

    fn paint(&mut self, index: usize, colour: [u8; 3]) {
        self.pixels[3 * index..][..3].copy_from_slice(&colour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Criteria;
    use crate::phantom::{Phantom, Settings};

    fn found(settings: &Settings) -> (Volume, Findings) {
        let Phantom { volume, truth, .. } = Phantom::new(settings).unwrap();
        let probabilities: Vec<f32> = truth.iter().map(|&inside| f32::from(inside)).collect();
        let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
        let findings =
            Findings::new(&probabilities, volume.shape, volume.geometry.as_ref(), criteria);
        (volume, findings.unwrap())
    }

    fn stack() -> Settings {
        Settings {
            shape: Shape { slices: 12, rows: 64, columns: 64 },
            spacing: [8.0, 3.5, 3.5],
            lesion_ml: Some(12.0),
            ..Settings::slice(2)
        }
    }

    fn colours(png: &[u8]) -> Vec<[u8; 3]> {
        image::load_from_memory(png).unwrap().into_rgb8().into_raw().as_chunks::<3>().0.to_vec()
    }

    #[test]
    fn the_mask_png_holds_the_mask_and_nothing_else() {
        let (volume, findings) = found(&Settings::slice(1));
        let png = mask_png(volume.shape, &findings, 0).unwrap();
        let pixels = image::load_from_memory(&png).unwrap().into_luma8().into_raw();
        assert!(pixels.iter().zip(&findings.mask).all(|(pixel, inside)| *pixel == 255 * inside));
    }

    #[test]
    fn lines_hide_nothing_of_the_tumour_and_go_around_it() {
        let (volume, findings) = found(&Settings::slice(1));
        let overlay = colours(&overlay_png(&volume, &findings, 0).unwrap());
        let plain = shown(&volume, 0);
        let lettered: Vec<usize> = letters::of(&volume, |_| true).map(|(index, _)| index).collect();
        for (index, &inside) in findings.mask.iter().enumerate() {
            let beside = findings.mask.get(index + 1).copied().unwrap_or(0);
            if inside == 1 {
                assert_eq!(overlay[index], [plain[index]; 3], "pixel {index} of the tumour");
            } else if beside == 1 && !lettered.contains(&index) {
                assert_eq!(overlay[index], OUTLINE, "pixel {index} beside the tumour");
            }
        }
        assert!(overlay.contains(&BOX));
    }

    #[test]
    fn a_lesser_finding_has_a_grey_and_a_colour_of_its_own_and_no_box() {
        let shape = Shape { slices: 2, rows: 64, columns: 64 };
        let settings = Settings { shape, tumour: false, ..Settings::slice(1) };
        let Phantom { volume, .. } = Phantom::new(&settings).unwrap();
        let mut probabilities = vec![0.0; shape.len()];
        let at = |row: usize, column: usize| row * 64 + column;
        for row in 20..26 {
            probabilities[at(row, 20)..][..6].fill(0.9);
        }
        probabilities[at(50, 50)] = 0.9;
        let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: Some(0.2) };
        let found =
            Findings::new(&probabilities, shape, volume.geometry.as_ref(), criteria).unwrap();
        let mask = mask_png(shape, &found, 0).unwrap();
        let mask = image::load_from_memory(&mask).unwrap().into_luma8().into_raw();
        assert_eq!((mask[at(22, 22)], mask[at(50, 50)], mask[0]), (255, 127, 0));
        assert_eq!((found.mask[at(22, 22)], found.mask[at(50, 50)]), (1, 2));
        let overlay = colours(&overlay_png(&volume, &found, 0).unwrap());
        assert_eq!(overlay[at(50, 51)], LESSER_OUTLINE);
        assert_eq!(overlay[at(22, 26)], OUTLINE);
        // A box lies outside of the outline, with a gap.
        let boxed: Vec<usize> = (0..64 * 64).filter(|index| overlay[*index] == BOX).collect();
        assert!(!boxed.is_empty() && boxed.iter().all(|index| index / 64 < 40));
        assert_eq!(shown_slice(shape, &found), 0);
    }

    #[test]
    fn an_empty_mask_leaves_the_image_as_it_is() {
        let (volume, findings) = found(&Settings { tumour: false, ..Settings::slice(1) });
        let overlay = colours(&overlay_png(&volume, &findings, 0).unwrap());
        let image = image::load_from_memory(&lettered_png(&volume, 0).unwrap()).unwrap();
        let image = image.into_luma8().into_raw();
        assert!(overlay.iter().zip(image).all(|(pixel, value)| *pixel == [value; 3]));
    }

    #[test]
    fn a_comparison_outlines_both_masks_in_each_slice() {
        let (volume, findings) = found(&stack());
        let mut truth = vec![0; volume.shape.len()];
        truth[64 * 64 + 10 * 64 + 10] = 1;
        let with_finding = findings.findings[0].slice;
        let png = comparison_png(&volume, &truth, &findings.mask, &[1, with_finding]).unwrap();
        let picture = colours(&png);
        assert_eq!(picture.len(), 2 * 64 * 64);
        // Slice 1 stands on the left: around its one true pixel the line is blue, and nowhere else.
        let blue: Vec<usize> = (0..picture.len()).filter(|at| picture[*at] == TRUTH).collect();
        assert_eq!(blue, [9 * 128 + 10, 10 * 128 + 9, 10 * 128 + 11, 11 * 128 + 10]);
        assert!(picture.contains(&OUTLINE));
    }

    #[test]
    fn words_stand_above_a_picture_and_hide_nothing_of_it() {
        let (volume, findings) = found(&Settings::slice(1));
        let png = overlay_png(&volume, &findings, 0).unwrap();
        let plain: Vec<u8> = colours(&png).concat();
        let long = "much longer than it is wide ".repeat(9);
        for lines in [vec!["NOT FOR DIAGNOSIS"], vec!["NOT FOR DIAGNOSIS", "a word", &long]] {
            let ColourPicture { rows, columns, rgb } = captioned(&png, &lines).unwrap();
            let above = 3 * columns * (rows - volume.shape.rows);
            assert_eq!((columns, rgb.len()), (volume.shape.columns, 3 * rows * columns));
            assert!(rgb[above..] == plain);
            assert!(rgb[..above].iter().any(|light| *light > 0));
        }
        assert!(captioned(b"no picture", &[]).is_err());
    }

    #[test]
    fn pictures_show_the_slice_with_the_most_tumour() {
        let (volume, findings) = found(&stack());
        let slice = shown_slice(volume.shape, &findings);
        assert_eq!(slice, findings.findings[0].slice);
    }
}
