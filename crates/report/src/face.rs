//! The letters of a report: DejaVu Sans, whose licence is in `font-licence.txt`.
//!
//! It has the letters of most languages that are written with Latin, Greek or Cyrillic ones, those of West Africa among them. A
//! character that it lacks, or that would have to be joined to its neighbours or set from right to left, is written by its number
//! in Unicode, as in `⟨U+5C71 U+7530⟩`: legible to nobody at a glance, and never a name that was silently another.

use std::ops::RangeInclusive;

use domain::{ErrorKind, Result};
use krilla::geom::Point;
use krilla::surface::Surface;
use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::charmap::Charmap;
use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;
use skrifa::{FontRef, MetadataProvider};

/// What is written from left to right, letter by letter, without control characters.
const WRITTEN_AS_THEY_COME: [RangeInclusive<char>; 9] = [
    '\u{20}'..='\u{7e}',
    // Latin, phonetic, accents that stand by themselves, Greek, Cyrillic, Armenian.
    '\u{a0}'..='\u{58f}',
    // Georgian.
    '\u{10a0}'..='\u{10ff}',
    '\u{1e00}'..='\u{1fff}',
    // Spaces and dashes without what turns the direction.
    '\u{2000}'..='\u{200a}',
    '\u{2010}'..='\u{2027}',
    '\u{202f}'..='\u{205f}',
    '\u{2070}'..='\u{2c7f}',
    // Tifinagh, and more of Latin.
    '\u{2d30}'..='\u{2d7f}',
];
const MORE_LATIN: RangeInclusive<char> = '\u{a720}'..='\u{a7ff}';

/// Around the numbers of characters that are not written.
pub const BRACKETS: [char; 2] = ['⟨', '⟩'];

/// One weight of the font.
pub struct Face {
    font: Font,
    letters: Charmap<'static>,
    advances: GlyphMetrics<'static>,
    units_per_em: f32,
}

/// Both weights.
pub struct Faces {
    pub regular: Face,
    pub bold: Face,
}

impl Faces {
    pub fn new() -> Result<Faces> {
        let regular = Face::new(dejavu::sans::regular())?;
        Ok(Faces { regular, bold: Face::new(dejavu::sans::bold())? })
    }
}

impl Face {
    fn new(bytes: &'static [u8]) -> Result<Face> {
        let broken = || ErrorKind::Internal.error("the report's font cannot be read");
        let font = Font::new(bytes.into(), 0).ok_or_else(broken)?;
        let own = FontRef::from_index(bytes, 0).map_err(|error| broken().because(error))?;
        Ok(Face {
            units_per_em: font.units_per_em(),
            letters: own.charmap(),
            advances: own.glyph_metrics(Size::unscaled(), LocationRef::default()),
            font,
        })
    }

    /// The text in characters that can be drawn.
    pub fn drawable(&self, text: &str) -> String {
        let mut drawn = String::with_capacity(text.len());
        let mut numbered = false;
        for letter in text.chars() {
            let letter = if letter.is_whitespace() && letter < ' ' { ' ' } else { letter };
            if self.has(letter) {
                if numbered {
                    drawn.push(BRACKETS[1]);
                }
                drawn.push(letter);
            } else {
                drawn.push(if numbered { ' ' } else { BRACKETS[0] });
                drawn.push_str(&format!("U+{:04X}", u32::from(letter)));
            }
            numbered = !self.has(letter);
        }
        if numbered {
            drawn.push(BRACKETS[1]);
        }
        drawn
    }

    fn has(&self, letter: char) -> bool {
        let plain = WRITTEN_AS_THEY_COME.iter().any(|range| range.contains(&letter));
        (plain || MORE_LATIN.contains(&letter)) && self.letters.map(letter).is_some()
    }

    /// How wide a drawable text is at that size.
    pub fn width(&self, text: &str, size: f32) -> f32 {
        text.chars().map(|letter| self.glyph(letter).1).sum::<f32>() * size
    }

    /// Draws a drawable text; `at` is where its first letter stands.
    pub fn draw(&self, surface: &mut Surface<'_>, at: Point, size: f32, text: &str) {
        let glyphs: Vec<KrillaGlyph> = text
            .char_indices()
            .map(|(start, letter)| {
                let (id, advance) = self.glyph(letter);
                let range = start..start + letter.len_utf8();
                KrillaGlyph::new(id, advance, 0.0, 0.0, 0.0, range, None)
            })
            .collect();
        if glyphs.is_empty() {
            return;
        }
        surface.draw_glyphs(at, &glyphs, self.font.clone(), text, size, false);
    }

    /// A letter's glyph and how far it moves on, in parts of the size.
    fn glyph(&self, letter: char) -> (GlyphId, f32) {
        // What is drawable has a glyph; 0 is the font's own sign for what it lacks.
        let Some(id) = self.letters.map(letter) else { return (GlyphId::new(0), 0.6) };
        let advance = self.advances.advance_width(id).unwrap_or(0.0);
        (GlyphId::new(id.to_u32()), advance / self.units_per_em)
    }

    /// The text in lines that are no wider; a word that is wider by itself is cut.
    pub fn lines(&self, text: &str, size: f32, width: f32) -> Vec<String> {
        let mut lines = vec![String::new()];
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let fits = |line: &str| self.width(line, size) <= width;
            let last = lines.last().map_or("", String::as_str);
            let longer = if last.is_empty() { word.to_owned() } else { format!("{last} {word}") };
            if fits(&longer) {
                lines.pop();
                lines.push(longer);
                continue;
            }
            if last.is_empty() {
                lines.pop();
            }
            lines.extend(self.pieces(word, size, width));
        }
        lines
    }

    /// One word in pieces that are no wider.
    fn pieces(&self, word: &str, size: f32, width: f32) -> Vec<String> {
        let mut pieces = vec![String::new()];
        let mut taken = 0.0;
        for letter in word.chars() {
            let advance = self.glyph(letter).1 * size;
            if taken + advance > width && taken > 0.0 {
                pieces.push(String::new());
                taken = 0.0;
            }
            taken += advance;
            if let Some(piece) = pieces.last_mut() {
                piece.push(letter);
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face() -> Face {
        Faces::new().unwrap().regular
    }

    #[test]
    fn what_is_written_in_west_africa_and_europe_is_drawn_as_it_is() {
        for text in [
            "Ọládélé Ṣadé",
            "Kɔfi Ɛnam Ŋwa",
            "N’Diaye, Aïssatou",
            "Müller–Łukasz",
            "Ελένη",
            "Жанна",
            "e\u{301}",
        ] {
            assert_eq!(face().drawable(text), text);
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_written_by_its_number_and_never_dropped() {
        for (text, drawn) in [
            ("山田, A", "⟨U+5C71 U+7530⟩, A"),
            ("A ع", "A ⟨U+0639⟩"),
            ("a\u{202e}b", "a⟨U+202E⟩b"),
            ("a\u{7}b", "a⟨U+0007⟩b"),
            ("🧠", "⟨U+1F9E0⟩"),
            ("a\nb\tc", "a b c"),
        ] {
            assert_eq!(face().drawable(text), drawn, "{text:?}");
        }
    }

    #[test]
    fn no_line_is_wider_than_it_may_be_and_none_loses_a_letter() {
        let face = face();
        let text = format!("one two three {} four", "x".repeat(200));
        for width in [20.0, 60.0, 500.0] {
            let lines = face.lines(&text, 9.0, width);
            assert!(lines.iter().all(|line| face.width(line, 9.0) <= width), "{lines:?}");
            let kept: String = lines.concat().split(' ').collect();
            assert_eq!(kept, text.split(' ').collect::<String>());
        }
        assert_eq!(face.lines("", 9.0, 50.0), [""]);
    }
}
