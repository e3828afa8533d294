//! The patient's sides at the edges of a picture, so that nobody takes the left for the right.

use std::collections::BTreeMap;

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::ascii::{FONT_5X7, FONT_6X10, FONT_9X15_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};
use embedded_graphics::{Drawable, Pixel};

use crate::{View, Volume};

/// Light grey: easily read, and no brighter than what the picture is looked at for.
const LIGHT: u8 = 160;
const DARK: u8 = 0;
/// Pictures of fewer pixels than this a side have smaller letters.
const SMALL: usize = 160;
const LARGE: usize = 400;
/// Pixels between letters and the edge.
const EDGE: usize = 2;
/// The share of the width that the words may take; beyond they stand in two lines.
const WORDS_WIDE: usize = 2;

/// The pixels of the letters and of the dark rim that makes them readable on any grey, with their brightness, as far as
/// they stand on pixels that are `free`.
pub(super) fn of(
    volume: &Volume,
    free: impl Fn(usize) -> bool,
) -> impl Iterator<Item = (usize, u8)> {
    let (rows, columns) = (volume.shape.rows, volume.shape.columns);
    let mut sheet = Sheet::new(rows, columns, font_of(rows.min(columns)));
    match volume.geometry.as_ref().and_then(View::of) {
        Some(view) => sheet.sides(view),
        None => sheet.unknown(),
    }
    sheet.lights().into_iter().filter(move |(index, _)| free(*index))
}

/// Lines of words on a dark band of that width, as grey pixels row by row; what is longer than the band is wide goes on below.
pub(super) fn band(lines: &[&str], columns: usize) -> Vec<u8> {
    let font = font_of(columns);
    let (wide, high) = (font.character_size.width as usize, font.character_size.height as usize);
    let fitting = (columns.saturating_sub(2 * EDGE) / wide).max(1);
    let lines: Vec<String> = lines.iter().flat_map(|line| wrapped(line, fitting)).collect();
    let mut sheet = Sheet::new(lines.len() * high + 2 * EDGE, columns, font);
    for (number, line) in lines.iter().enumerate() {
        let place = Point::new(EDGE as i32, (EDGE + number * high) as i32);
        sheet.write(line, place, Alignment::Left, Baseline::Top);
    }
    sheet.set.into_iter().map(|set| if set { LIGHT } else { DARK }).collect()
}

/// The words of a line, so many letters in each that is made of it; a word that is longer alone is cut.
fn wrapped(line: &str, fitting: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let word: String = word.chars().take(fitting).collect();
        match lines.last_mut() {
            Some(last) if last.len() + 1 + word.len() <= fitting => {
                last.push(' ');
                last.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// The letters of a picture whose shorter side has so many pixels.
fn font_of(side: usize) -> &'static MonoFont<'static> {
    match side {
        ..SMALL => &FONT_5X7,
        SMALL..LARGE => &FONT_6X10,
        _ => &FONT_9X15_BOLD,
    }
}

struct Sheet {
    rows: usize,
    columns: usize,
    font: &'static MonoFont<'static>,
    set: Vec<bool>,
}

impl Sheet {
    fn new(rows: usize, columns: usize, font: &'static MonoFont<'static>) -> Sheet {
        Sheet { rows, columns, font, set: vec![false; rows * columns] }
    }

    fn sides(&mut self, View { left, right, top, bottom, .. }: View) {
        let (wide, high) = (self.columns as i32, self.rows as i32);
        let edge = EDGE as i32;
        let places = [
            (left, Point::new(edge, high / 2), Alignment::Left, Baseline::Middle),
            (right, Point::new(wide - 1 - edge, high / 2), Alignment::Right, Baseline::Middle),
            (top, Point::new(wide / 2, edge), Alignment::Center, Baseline::Top),
            (bottom, Point::new(wide / 2, high - 1 - edge), Alignment::Center, Baseline::Bottom),
        ];
        for (letter, place, alignment, baseline) in places {
            self.write(&letter.to_string(), place, alignment, baseline);
        }
    }

    fn unknown(&mut self) {
        let wide = self.font.character_size.width as usize * "side unknown".len();
        let words =
            if wide * WORDS_WIDE <= self.columns { "side unknown" } else { "side\nunknown" };
        let lines = words.lines().count() as i32;
        let high = self.font.character_size.height as i32 * lines;
        let place = Point::new(EDGE as i32, self.rows as i32 - EDGE as i32 - high);
        self.write(words, place, Alignment::Left, Baseline::Top);
    }

    fn write(&mut self, words: &str, place: Point, alignment: Alignment, baseline: Baseline) {
        let style = MonoTextStyle::new(self.font, BinaryColor::On);
        let layout = TextStyleBuilder::new().alignment(alignment).baseline(baseline).build();
        // Drawing on a sheet cannot fail.
        let Ok(_) = Text::with_text_style(words, place, style, layout).draw(self);
    }

    /// The brightness of all pixels of letters and of the rim around them, by their place; few of a picture's are.
    fn lights(&self) -> BTreeMap<usize, u8> {
        let mut lights = BTreeMap::new();
        for index in (0..self.set.len()).filter(|index| self.set[*index]) {
            let (row, column) = (index / self.columns, index % self.columns);
            for row in row.saturating_sub(1)..=(row + 1).min(self.rows - 1) {
                for column in column.saturating_sub(1)..=(column + 1).min(self.columns - 1) {
                    lights.entry(row * self.columns + column).or_insert(DARK);
                }
            }
            lights.insert(index, LIGHT);
        }
        lights
    }
}

impl OriginDimensions for Sheet {
    fn size(&self) -> Size {
        Size::new(self.columns as u32, self.rows as u32)
    }
}

impl DrawTarget for Sheet {
    type Color = BinaryColor;
    type Error = std::convert::Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Self::Error>
    where
        I: IntoIterator<Item = Pixel<BinaryColor>>,
    {
        for Pixel(at, colour) in pixels {
            let (Ok(row), Ok(column)) = (usize::try_from(at.y), usize::try_from(at.x)) else {
                continue;
            };
            if row < self.rows && column < self.columns && colour.is_on() {
                self.set[row * self.columns + column] = true;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::phantom::{Phantom, Settings};
    use crate::{Known, Shape};

    /// The picture's quarters, above, below, left and right, that hold a bright pixel of a letter.
    fn lit(volume: &Volume) -> Vec<(usize, usize)> {
        let columns = volume.shape.columns;
        let lit = of(volume, |_| true).filter(|(_, light)| *light == LIGHT);
        lit.map(|(index, _)| (index / columns, index % columns)).collect()
    }

    #[test]
    fn letters_stand_at_all_four_edges_and_the_words_in_a_corner() {
        for side in [64, 256, 600] {
            let shape = Shape { slices: 1, rows: side, columns: side };
            let spacing = [5.0, 240.0 / side as f64, 240.0 / side as f64];
            let settings = Settings { shape, spacing, tumour: false, ..Settings::slice(1) };
            let volume = Phantom::new(&settings).unwrap().volume;
            let pixels = lit(&volume);
            let near = |low: usize| low < side / 6;
            assert!(pixels.iter().any(|(row, _)| near(*row)), "{side}");
            assert!(pixels.iter().any(|(row, _)| near(side - 1 - row)), "{side}");
            assert!(pixels.iter().any(|(_, column)| near(*column)), "{side}");
            assert!(pixels.iter().any(|(_, column)| near(side - 1 - column)), "{side}");
            // The right's letter is another one than the left's.
            let half = |left: bool| {
                let here = |column: usize| {
                    (column < side / 3) == left && (column < side / 3 || column > side * 2 / 3)
                };
                pixels.iter().filter(|(_, column)| here(*column)).count()
            };
            assert_ne!(half(true), half(false));
            let unknown = Volume { geometry: None, ..volume.clone() };
            let words = lit(&unknown);
            assert!(
                !words.is_empty()
                    && words
                        .iter()
                        .all(|(row, column)| { *row > side / 2 && *column < side * 3 / 5 })
            );
            let sized = volume
                .geometry
                .map(|geometry| crate::Geometry { known: Known::Distances, ..geometry });
            assert_eq!(lit(&Volume { geometry: sized, ..volume }), words);
        }
    }

    /// Which of a letter's lower left, lower right, upper left and upper right parts hold ink, of the pixels within a range of
    /// rows and columns. Its middle row and column count to neither.
    fn inked(pixels: &[(usize, usize)], rows: Range<usize>, columns: Range<usize>) -> [bool; 4] {
        let letter: Vec<(usize, usize)> = pixels
            .iter()
            .copied()
            .filter(|(row, column)| rows.contains(row) && columns.contains(column))
            .collect();
        let ends = |along: fn(&(usize, usize)) -> usize| {
            let along = letter.iter().map(along);
            along.clone().min().unwrap() + along.max().unwrap()
        };
        let (across, down) = (ends(|at| at.1), ends(|at| at.0));
        let ink = |right: bool, lower: bool| {
            let half = |at: usize, middle: usize, beyond: bool| {
                if beyond { 2 * at > middle } else { 2 * at < middle }
            };
            letter.iter().any(|at| half(at.1, across, right) && half(at.0, down, lower))
        };
        [ink(false, true), ink(true, true), ink(false, false), ink(true, false)]
    }

    #[test]
    fn the_patients_right_is_written_at_the_left_of_an_axial_picture_and_his_front_above() {
        const SIDE: usize = 600;
        let shape = Shape { slices: 1, rows: SIDE, columns: SIDE };
        let settings =
            Settings { shape, spacing: [5.0, 0.4, 0.4], tumour: false, ..Settings::slice(1) };
        let axial = Phantom::new(&settings).unwrap().volume;
        let (edge, middle) = (SIDE / 6, SIDE / 3..2 * SIDE / 3);
        let part = |volume: &Volume| {
            let (pixels, far) = (lit(volume), SIDE - edge..SIDE);
            [
                inked(&pixels, middle.clone(), 0..edge),
                inked(&pixels, middle.clone(), far.clone()),
                inked(&pixels, 0..edge, middle.clone()),
                inked(&pixels, far, middle.clone()),
            ]
        };
        // R has ink in all four corners and L none above on the right; A has none missing, P has none below on the right.
        let (full, l, p) = ([true; 4], [true, true, true, false], [true, false, true, true]);
        assert_eq!(part(&axial), [full, l, full, p]);
        // The same pixels of a patient who lies the other way round.
        let turned = axial.geometry.map(|geometry| crate::Geometry {
            row_step: geometry.row_step.map(|part| -part),
            column_step: geometry.column_step.map(|part| -part),
            ..geometry
        });
        assert_eq!(part(&Volume { geometry: turned, ..axial }), [l, full, p, full]);
    }

    #[test]
    fn no_letter_stands_where_it_must_not() {
        let volume = Phantom::new(&Settings::slice(1)).unwrap().volume;
        let (first, _) = of(&volume, |_| true).next().unwrap();
        assert!(of(&volume, |index| index != first).all(|(index, _)| index != first));
    }
}
