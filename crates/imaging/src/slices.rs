//! Some slices of a stored volume as pictures, without all of it in memory.

use std::ops::Range;

use domain::{ErrorKind, Result};

use crate::Shape;
use crate::encode::grey_png;
use crate::render::through;
use crate::volume::{Header, beginning, no_volume, voxel_bytes};

/// Bytes of a voxel in the stored form.
const VOXEL_BYTES: usize = size_of::<f32>();
/// What is made room for before it comes: a header alone is not believed.
const ROOM_BYTES_MAX: usize = 16 << 20;

/// Takes some slices out of a stored volume while its bytes go by.
pub struct SlicesReader {
    wanted: Range<usize>,
    /// What has come of the header while it is not whole.
    head: Vec<u8>,
    body: Option<Body>,
}

/// What comes after the header.
struct Body {
    slices: Slices,
    /// Bytes to come before the first that is wanted.
    skipped: usize,
    /// Bytes to come of those that are wanted.
    missing: usize,
}

/// Neighbouring slices of one volume.
pub struct Slices {
    first: usize,
    /// Of the whole volume.
    shape: Shape,
    window: [f32; 2],
    /// As they are stored.
    voxels: Vec<u8>,
}

impl SlicesReader {
    /// Of these slices, counted from 0.
    pub fn new(wanted: Range<usize>) -> SlicesReader {
        SlicesReader { wanted, head: Vec::new(), body: None }
    }

    /// Takes what is wanted of the next bytes. `Invalid` when they are no stored volume, `NotFound` when it has no such
    /// slices.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(body) = &mut self.body {
            body.take(bytes);
            return Ok(());
        }
        self.head.extend_from_slice(bytes);
        if let Some((header, length)) = beginning(&self.head)? {
            let mut body = Body::new(&header, self.wanted.clone())?;
            body.take(&self.head[length..]);
            self.head = Vec::new();
            self.body = Some(body);
        }
        Ok(())
    }

    /// The slices, once all bytes have gone by. `Invalid` when some are missing.
    pub fn finish(self) -> Result<Slices> {
        let whole = self.body.filter(|body| body.missing == 0);
        whole.map(|body| body.slices).ok_or_else(no_volume)
    }
}

impl Body {
    fn new(&Header { shape, window, .. }: &Header, wanted: Range<usize>) -> Result<Body> {
        voxel_bytes(shape).ok_or_else(no_volume)?;
        if wanted.is_empty() || wanted.end > shape.slices {
            let words = format!("there are {} slices, counted from 0", shape.slices);
            return Err(ErrorKind::NotFound.error(words));
        }
        let length = VOXEL_BYTES * shape.slice_len();
        let missing = wanted.len() * length;
        let voxels = Vec::with_capacity(missing.min(ROOM_BYTES_MAX));
        let slices = Slices { first: wanted.start, shape, window, voxels };
        Ok(Body { slices, skipped: wanted.start * length, missing })
    }

    fn take(&mut self, bytes: &[u8]) {
        let before = self.skipped.min(bytes.len());
        self.skipped -= before;
        let part = &bytes[before..];
        let part = &part[..self.missing.min(part.len())];
        self.missing -= part.len();
        self.slices.voxels.extend_from_slice(part);
    }
}

impl Slices {
    /// The values that the volume shows as black and as white.
    pub fn window(&self) -> [f32; 2] {
        self.window
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
        let mut reader = SlicesReader::new(wanted);
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
