use domain::{ErrorKind, Result};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

/// An 8-bit grey PNG of `rows * columns` pixels.
pub fn grey_png(pixels: &[u8], rows: usize, columns: usize) -> Result<Vec<u8>> {
    encoded(pixels, rows, columns, ExtendedColorType::L8)
}

/// A 16-bit grey PNG of `rows * columns` pixels.
pub fn grey16_png(pixels: &[u16], rows: usize, columns: usize) -> Result<Vec<u8>> {
    // The encoder takes them in the machine's own order.
    let bytes: Vec<u8> = pixels.iter().flat_map(|pixel| pixel.to_ne_bytes()).collect();
    encoded(&bytes, rows, columns, ExtendedColorType::L16)
}

/// An 8-bit colour PNG of `rows * columns` pixels of red, green and blue.
pub fn rgb_png(pixels: &[u8], rows: usize, columns: usize) -> Result<Vec<u8>> {
    encoded(pixels, rows, columns, ExtendedColorType::Rgb8)
}

fn encoded(
    pixels: &[u8],
    rows: usize,
    columns: usize,
    colour: ExtendedColorType,
) -> Result<Vec<u8>> {
    let failed = || ErrorKind::Internal.error("an image could not be written as PNG");
    let size = |length: usize| u32::try_from(length).map_err(|error| failed().because(error));
    let (width, height) = (size(columns)?, size(rows)?);
    if pixels.len() * 8 != rows * columns * usize::from(colour.bits_per_pixel()) {
        return Err(failed());
    }
    let mut png = Vec::with_capacity(pixels.len() / 2 + 1024);
    // A result waits for these bytes: quick compression costs a third more of them and saves milliseconds.
    let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Up);
    encoder.write_image(pixels, width, height, colour).map_err(|error| failed().because(error))?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_survive_the_file() {
        let pixels: Vec<u8> = (0..12).map(|i| i * 20).collect();
        let grey = image::load_from_memory(&grey_png(&pixels, 3, 4).unwrap()).unwrap();
        assert_eq!(
            (grey.width(), grey.height(), grey.into_luma8().into_raw()),
            (4, 3, pixels.clone())
        );
        let deep: Vec<u16> = (0..12).map(|i| i * 5461).collect();
        let grey = image::load_from_memory(&grey16_png(&deep, 3, 4).unwrap()).unwrap();
        assert_eq!(grey.into_luma16().into_raw(), deep);
        let colour = image::load_from_memory(&rgb_png(&pixels, 2, 2).unwrap()).unwrap();
        assert_eq!(colour.into_rgb8().into_raw(), pixels);
    }

    #[test]
    fn a_wrong_number_of_pixels_is_refused() {
        assert_eq!(grey_png(&[0; 11], 3, 4).unwrap_err().kind(), ErrorKind::Internal);
    }
}
