//! Some slices of a stored volume as pictures, without all of it in memory.

use std::ops::Range;

use domain::{Error, ErrorKind, Result};

use crate::encode::grey_png;
use crate::render::through;
use crate::volume::{Header, beginning, no_volume, pixel_aspect, voxel_bytes};
use crate::{Orientation, Plane, Shape, View};

/// Bytes of a voxel in the stored form.
const VOXEL_BYTES: usize = size_of::<f32>();
/// What is made room for before it comes: a header alone is not believed.
const ROOM_BYTES_MAX: usize = 16 << 20;

/// Takes some slices out of a stored volume while its bytes go by.
pub struct SlicesReader {
    wanted: Range<usize>,
    /// In which the slices lie; None: as they are stored.
    plane: Option<Plane>,
    /// What has come of the header while it is not whole.
    head: Vec<u8>,
    body: Option<Body>,
}

/// What comes after the header: what is wanted of it comes in runs of one length, which are one distance apart.
struct Body {
    slices: Slices,
    /// From the part of the stored grid that is taken to the slices.
    turn: Orientation,
    /// That part.
    part: Shape,
    /// Bytes to come before the next run.
    skipped: usize,
    /// Bytes to come of the run.
    left: usize,
    run: usize,
    /// Bytes between the end of a run and the next one.
    gap: usize,
    /// Bytes to come of all runs.
    missing: usize,
}

/// Neighbouring slices of one volume.
pub struct Slices {
    first: usize,
    /// Of the whole volume, as these slices cut it.
    shape: Shape,
    window: [f32; 2],
    aspect: f64,
    view: Option<View>,
    /// As they are stored, slice by slice.
    voxels: Vec<u8>,
}

impl SlicesReader {
    /// Of these slices, counted from 0.
    pub fn new(wanted: Range<usize>) -> SlicesReader {
        SlicesReader { wanted, plane: None, head: Vec::new(), body: None }
    }

    /// Of those of these slices that there are in that plane, counted from 0: from the feet, from the front or from the
    /// patient's left on. They are shown as radiologists look at them, and no voxel is interpolated.
    pub fn across(plane: Plane, wanted: Range<usize>) -> SlicesReader {
        SlicesReader { plane: Some(plane), ..SlicesReader::new(wanted) }
    }

    /// Takes what is wanted of the next bytes. `Invalid` when they are no stored volume, `NotFound` when it has no such
    /// slices, or does not say where planes of the patient lie.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(body) = &mut self.body {
            body.take(bytes);
            return Ok(());
        }
        self.head.extend_from_slice(bytes);
        if let Some((header, length)) = beginning(&self.head)? {
            let mut body = match self.plane {
                None => Body::stored(&header, self.wanted.clone())?,
                Some(plane) => Body::across(&header, plane, self.wanted.clone())?,
            };
            body.take(&self.head[length..]);
            self.head = Vec::new();
            self.body = Some(body);
        }
        Ok(())
    }

    /// The slices, once all bytes have gone by. `Invalid` when some are missing.
    pub fn finish(self) -> Result<Slices> {
        let whole = self.body.filter(|body| body.missing == 0);
        whole.map(Body::turned).ok_or_else(no_volume)
    }
}

impl Body {
    fn stored(header: &Header, wanted: Range<usize>) -> Result<Body> {
        if wanted.end > header.shape.slices {
            return Err(no_slices(header.shape));
        }
        Body::new(header, Orientation::default(), wanted)
    }

    fn across(header: &Header, plane: Plane, wanted: Range<usize>) -> Result<Body> {
        let turn = Orientation::showing(plane, header.geometry.as_ref()).ok_or_else(|| {
            let words = "the file does not say which way the patient lies: it has no such planes";
            ErrorKind::NotFound.error(words)
        })?;
        let slices = turn.shape(header.shape).slices;
        Body::new(header, turn, wanted.start..wanted.end.min(slices))
    }

    /// Of slices as they are after that turn.
    fn new(header: &Header, turn: Orientation, wanted: Range<usize>) -> Result<Body> {
        let stored = header.shape;
        voxel_bytes(stored).ok_or_else(no_volume)?;
        let shape = turn.shape(stored);
        if wanted.is_empty() {
            return Err(no_slices(shape));
        }
        let geometry = header.geometry.map(|geometry| turn.geometry(&geometry, stored));
        let (axis, count) = (turn.axes[0], wanted.len());
        let mut lengths = stored.lengths();
        let step = VOXEL_BYTES * lengths[axis + 1..].iter().product::<usize>();
        let from = if turn.flipped[0] { lengths[axis] - wanted.end } else { wanted.start };
        let (run, gap) = (step * count, step * (lengths[axis] - count));
        lengths[axis] = count;
        let [slices, rows, columns] = lengths;
        let part = Shape { slices, rows, columns };
        let missing = VOXEL_BYTES * part.len();
        let slices = Slices {
            first: wanted.start,
            shape,
            window: header.window,
            aspect: pixel_aspect(geometry.as_ref()),
            view: geometry.as_ref().and_then(View::of),
            voxels: Vec::with_capacity(missing.min(ROOM_BYTES_MAX)),
        };
        Ok(Body { slices, turn, part, skipped: step * from, left: run, run, gap, missing })
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while self.missing > 0 && !bytes.is_empty() {
            let before = self.skipped.min(bytes.len());
            self.skipped -= before;
            bytes = &bytes[before..];
            let (part, rest) = bytes.split_at(self.left.min(bytes.len()));
            self.slices.voxels.extend_from_slice(part);
            self.left -= part.len();
            self.missing -= part.len();
            bytes = rest;
            if self.left == 0 {
                (self.skipped, self.left) = (self.gap, self.run);
            }
        }
    }

    /// The slices, their voxels in the order of their own pixels.
    fn turned(self) -> Slices {
        let Body { mut slices, turn, part, .. } = self;
        if turn != Orientation::default() {
            let (voxels, _) = slices.voxels.as_chunks::<VOXEL_BYTES>();
            slices.voxels = turn.turned(voxels, part).into_flattened();
        }
        slices
    }
}

fn no_slices(shape: Shape) -> Error {
    ErrorKind::NotFound.error(format!("there are {} slices, counted from 0", shape.slices))
}

impl Slices {
    /// The values that the volume shows as black and as white.
    pub fn window(&self) -> [f32; 2] {
        self.window
    }

    /// How high a pixel is for its width, as [`Volume::pixel_aspect`](crate::Volume::pixel_aspect) says.
    pub fn pixel_aspect(&self) -> f64 {
        self.aspect
    }

    /// How they look at the patient; None where the file does not say which way he lies.
    pub fn view(&self) -> Option<View> {
        self.view
    }

    /// One of them as it is shown, or as that window shows it: an 8-bit grey PNG in the scan's own pixels, without letters.
    /// `NotFound` for any other.
    pub fn png(&self, slice: usize, window: Option<[f32; 2]>) -> Result<Vec<u8>> {
        let pixels = self.pixels(slice, window)?;
        grey_png(&pixels, self.shape.rows, self.shape.columns)
    }

    /// One of them as it is shown, no side of it longer than `side` pixels: an 8-bit grey PNG. `NotFound` for any other.
    pub fn thumbnail(&self, slice: usize, side: usize) -> Result<Vec<u8>> {
        let pixels = self.pixels(slice, None)?;
        let (small, [rows, columns]) = shrunk(pixels, [self.shape.rows, self.shape.columns], side);
        grey_png(&small, rows, columns)
    }

    /// Its rows one after another.
    fn pixels(&self, slice: usize, window: Option<[f32; 2]>) -> Result<Vec<u8>> {
        let length = VOXEL_BYTES * self.shape.slice_len();
        let from = slice.checked_sub(self.first).and_then(|before| before.checked_mul(length));
        let bytes = from.and_then(|from| self.voxels.get(from..)?.get(..length));
        let bytes = bytes.ok_or_else(|| ErrorKind::NotFound.error("no such slice"))?;
        let (values, _) = bytes.as_chunks::<VOXEL_BYTES>();
        let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes));
        Ok(through(values, window.unwrap_or(self.window)))
    }
}

/// The picture with no side longer than `side` pixels, each the mean of those that it stands for.
fn shrunk(pixels: Vec<u8>, [rows, columns]: [usize; 2], side: usize) -> (Vec<u8>, [usize; 2]) {
    let (longest, side) = (rows.max(columns), side.max(1));
    if longest <= side {
        return (pixels, [rows, columns]);
    }
    let small = [rows, columns].map(|length| (length * side / longest).max(1));
    let mut means = Vec::with_capacity(small[0] * small[1]);
    for row in 0..small[0] {
        for column in 0..small[1] {
            let (from, to) = (row * rows / small[0], (row + 1) * rows / small[0]);
            let (left, right) = (column * columns / small[1], (column + 1) * columns / small[1]);
            let lines = (from..to).map(|line| &pixels[line * columns..][left..right]);
            let sum: u64 = lines.flatten().map(|pixel| u64::from(*pixel)).sum();
            let count = ((to - from) * (right - left)).max(1) as u64;
            means.push((sum / count).min(255) as u8);
        }
    }
    (means, small)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{Phantom, Settings};
    use crate::{Volume, slice_png};

    fn volume() -> Volume {
        let shape = Shape { slices: 6, rows: 64, columns: 48 };
        let settings = Settings { shape, tumour: false, ..Settings::slice(3) };
        Phantom::new(&settings).unwrap().volume
    }

    fn read(bytes: &[u8], piece: usize, wanted: Range<usize>) -> Result<Slices> {
        taken(SlicesReader::new(wanted), bytes, piece)
    }

    fn read_across(
        bytes: &[u8],
        piece: usize,
        plane: Plane,
        wanted: Range<usize>,
    ) -> Result<Slices> {
        taken(SlicesReader::across(plane, wanted), bytes, piece)
    }

    fn taken(mut reader: SlicesReader, bytes: &[u8], piece: usize) -> Result<Slices> {
        for bytes in bytes.chunks(piece) {
            reader.push(bytes)?;
        }
        reader.finish()
    }

    #[test]
    fn a_slice_taken_out_is_the_one_of_the_whole_however_the_pieces_fall() {
        let volume = volume();
        let bytes = volume.to_bytes();
        for piece in [7, 4096, 10_000, bytes.len()] {
            for wanted in [0..1, 2..5, 5..6, 0..6] {
                let slices = read(&bytes, piece, wanted.clone()).unwrap();
                assert_eq!(slices.window(), volume.window);
                for slice in 0..6 {
                    let png = slices.png(slice, None);
                    match wanted.contains(&slice) {
                        true => assert_eq!(png.unwrap(), slice_png(&volume, slice).unwrap()),
                        false => assert_eq!(png.unwrap_err().kind(), ErrorKind::NotFound),
                    }
                }
            }
        }
    }

    #[test]
    fn a_marked_voxel_stands_in_each_plane_where_radiologists_look_for_it() {
        let volume = volume();
        let Shape { slices, rows, columns } = volume.shape;
        let (slice, row, column) = (1, 20, 7);
        let mut voxels = vec![0.0; volume.voxels.len()];
        voxels[(slice * rows + row) * columns + column] = 1.0;
        // Whatever order a volume is stored in, a plane of the patient is the same picture.
        let axial = Volume { voxels, window: [0.0, 1.0], ..volume };
        for storage in ["LPS", "RAS", "SPL", "ARI", "LIA"] {
            let bytes = axial.stored_as(storage).unwrap().to_bytes();
            // Left stands at the right, the head above, and of a sagittal picture the front at the left.
            for (plane, index, [height, width], [y, x]) in [
                (Plane::Axial, slice, [rows, columns], [row, column]),
                (Plane::Coronal, row, [slices, columns], [slices - 1 - slice, column]),
                (Plane::Sagittal, columns - 1 - column, [slices, rows], [slices - 1 - slice, row]),
            ] {
                for (piece, wanted) in [(7, index..index + 1), (4096, 0..index + 9), (99, 1..99)] {
                    let read = read_across(&bytes, piece, plane, wanted).unwrap();
                    let png = image::load_from_memory(&read.png(index, None).unwrap()).unwrap();
                    let mut expected = vec![0; height * width];
                    expected[y * width + x] = 255;
                    let size = [png.height() as usize, png.width() as usize];
                    assert_eq!(size, [height, width], "{storage} {plane:?}");
                    assert_eq!(png.into_luma8().into_raw(), expected, "{storage} {plane:?}");
                    assert_eq!(read.view().unwrap().plane, plane);
                }
            }
        }
    }

    #[test]
    fn slices_of_a_plane_say_how_high_their_pixels_are_and_which_side_is_which() {
        let volume = volume();
        let [slice_mm, row_mm, column_mm] = volume.geometry.unwrap().spacing();
        let bytes = volume.to_bytes();
        for (plane, width_mm, sides) in [
            (Plane::Coronal, column_mm, ['R', 'L', 'H', 'F']),
            (Plane::Sagittal, row_mm, ['A', 'P', 'H', 'F']),
        ] {
            let slices = read_across(&bytes, 4096, plane, 3..4).unwrap();
            let View { left, right, top, bottom, .. } = slices.view().unwrap();
            assert_eq!([left, right, top, bottom], sides);
            assert!((slices.pixel_aspect() - slice_mm / width_mm).abs() < 1e-3, "{plane:?}");
        }
    }

    #[test]
    fn there_are_no_slices_beyond_a_plane_and_no_planes_of_nobody_knows_whom() {
        let volume = volume();
        let bytes = volume.to_bytes();
        for (plane, count) in [(Plane::Axial, 6), (Plane::Coronal, 64), (Plane::Sagittal, 48)] {
            assert!(read_across(&bytes, 4096, plane, count - 1..count + 4).is_ok(), "{plane:?}");
            let error = read_across(&bytes, 4096, plane, count..count + 4).err().unwrap();
            let words = format!("there are {count} slices, counted from 0");
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, words));
        }
        let flat = Volume { geometry: None, ..volume }.to_bytes();
        let error = read_across(&flat, 4096, Plane::Axial, 0..1).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn another_window_shows_what_a_volume_with_that_window_shows() {
        let window = [200.0, 600.0];
        let volume = volume();
        let slices = read(&volume.to_bytes(), 5000, 3..4).unwrap();
        let other = Volume { window, ..volume };
        assert_eq!(slices.png(3, Some(window)).unwrap(), slice_png(&other, 3).unwrap());
    }

    #[test]
    fn a_thumbnail_is_the_mean_of_what_it_stands_for_and_no_larger_than_asked() {
        let (small, size) = shrunk(vec![0, 100, 200, 40, 20, 60, 0, 255], [2, 4], 2);
        assert_eq!((small, size), (vec![45, 123], [1, 2]));
        let (same, size) = shrunk(vec![1, 2, 3], [1, 3], 3);
        assert_eq!((same, size), (vec![1, 2, 3], [1, 3]));
        let (sliver, size) = shrunk(vec![7; 900], [900, 1], 9);
        assert_eq!((sliver, size), (vec![7; 9], [9, 1]));
        let slices = read(&volume().to_bytes(), 4096, 2..3).unwrap();
        let picture = image::load_from_memory(&slices.thumbnail(2, 32).unwrap()).unwrap();
        assert_eq!((picture.height(), picture.width()), (32, 24));
        assert_eq!(slices.thumbnail(3, 32).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn slices_that_are_not_there_and_bytes_that_are_cut_short_are_told_apart() {
        let bytes = volume().to_bytes();
        for wanted in [6..7, 5..7] {
            let error = read(&bytes, 4096, wanted).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
        for short in [&bytes[..0], &bytes[..9], &bytes[..100], &bytes[..bytes.len() - 1]] {
            let error = read(short, 4096, 5..6).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{} bytes", short.len());
        }
        assert_eq!(read(b"voxels", 4096, 0..1).err().unwrap().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn a_header_that_announces_more_than_comes_takes_no_room_for_it() {
        let shape = Shape { slices: 1, rows: 1 << 22, columns: 1 << 22 };
        let bytes = Volume { shape, voxels: Vec::new(), ..volume() }.to_bytes();
        assert_eq!(read(&bytes, 4096, 0..1).err().unwrap().kind(), ErrorKind::Invalid);
    }
}
