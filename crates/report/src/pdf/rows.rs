//! Lines of text, and where their parts stand.

use krilla::color::luma;
use krilla::geom::{PathBuilder, Point};
use krilla::paint::{Fill, Stroke};
use krilla::surface::Surface;

use super::{MARGIN, WIDTH};
use crate::face::{BRACKETS, Faces};

/// How letters look.
#[derive(Clone, Copy)]
pub struct Style {
    pub size: f32,
    pub bold: bool,
    /// From 0, black, to 255.
    pub ink: u8,
}

pub const TITLE: Style = Style { size: 13.0, bold: true, ink: 0 };
pub const WARNING: Style = Style { size: 8.5, bold: true, ink: 0 };
pub const HEADING: Style = Style { size: 8.5, bold: true, ink: 0 };
pub const PLAIN: Style = Style { size: 8.0, bold: false, ink: 0 };
pub const STRONG: Style = Style { size: 8.0, bold: true, ink: 0 };
pub const LABEL: Style = Style { size: 7.0, bold: false, ink: 90 };
pub const SMALL: Style = Style { size: 6.5, bold: false, ink: 60 };

/// A line's height, in its letters' size.
const LEADING: f32 = 1.3;
/// How far below the letters the line ends.
const BELOW: f32 = 0.3;
/// What stands at the end of a text that was cut.
const CUT: &str = " …";

/// Where the values of facts begin, after their labels.
pub const LABEL_WIDTH: f32 = 106.0;
const COLUMN_GAP: f32 = 10.0;

/// One line.
#[derive(Clone, Default)]
pub struct Row {
    pub height: f32,
    pub cells: Vec<Cell>,
    /// Strokes at its lower end, from where to where.
    pub strokes: Vec<[f32; 2]>,
}

/// What stands at one place of a line.
#[derive(Clone)]
pub struct Cell {
    pub x: f32,
    pub text: String,
    pub style: Style,
}

/// Sets text in rows.
pub struct Setter<'f> {
    pub faces: &'f Faces,
}

impl Row {
    /// An empty line.
    pub fn gap(height: f32) -> Row {
        Row { height, ..Row::default() }
    }

    pub fn has_numbers(&self) -> bool {
        self.cells.iter().any(|cell| cell.text.contains(BRACKETS[0]))
    }

    fn of(cells: Vec<Cell>) -> Row {
        let size = cells.iter().map(|cell| cell.style.size).fold(0.0, f32::max);
        Row { height: size * LEADING, cells, strokes: Vec::new() }
    }
}

/// How high they are together.
pub fn height(rows: &[Row]) -> f32 {
    rows.iter().map(|row| row.height).sum()
}

impl Setter<'_> {
    /// The text in lines that are no wider; of more than `most`, the last one shows that it was cut.
    pub fn lines(&self, style: Style, width: f32, text: &str, most: usize) -> Vec<String> {
        let face = if style.bold { &self.faces.bold } else { &self.faces.regular };
        let mut lines = face.lines(&face.drawable(text), style.size, width);
        if lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                while face.width(last, style.size) + face.width(CUT, style.size) > width {
                    if last.pop().is_none() {
                        break;
                    }
                }
                last.push_str(CUT);
            }
        }
        lines
    }

    /// A text over the whole width.
    pub fn paragraph(&self, style: Style, text: &str, most: usize) -> Vec<Row> {
        let lines = self.lines(style, WIDTH, text, most);
        lines.into_iter().map(|text| Row::of(vec![Cell { x: 0.0, text, style }])).collect()
    }

    /// The name of a part, and a stroke below it.
    pub fn heading(&self, text: &str) -> Vec<Row> {
        let mut rows = vec![Row::gap(6.0)];
        rows.extend(self.paragraph(HEADING, text, 1));
        if let Some(last) = rows.last_mut() {
            last.strokes.push([0.0, WIDTH]);
        }
        rows.push(Row::gap(2.0));
        rows
    }

    /// Names and what they are, in columns beside each other.
    pub fn facts(&self, columns: &[Vec<(&str, String)>], most: usize) -> Vec<Row> {
        let width = (WIDTH + COLUMN_GAP) / columns.len().max(1) as f32;
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            let left = width * index as f32;
            let value = width - LABEL_WIDTH - COLUMN_GAP;
            let lines =
                column.iter().flat_map(|(name, said)| self.fact(left, value, name, said, most));
            for (at, cells) in lines.enumerate() {
                match rows.get_mut(at) {
                    Some(row) => row.extend(cells),
                    None => rows.push(cells),
                }
            }
        }
        rows.into_iter().map(Row::of).collect()
    }

    /// The cells of each line of a fact.
    fn fact(&self, left: f32, width: f32, name: &str, said: &str, most: usize) -> Vec<Vec<Cell>> {
        let names = self.lines(LABEL, LABEL_WIDTH - COLUMN_GAP / 2.0, name, 2);
        let lines = self.lines(PLAIN, width, said, most);
        let cell = |lines: &[String], at: usize, x: f32, style: Style| {
            let text = lines.get(at).filter(|line| !line.is_empty())?.clone();
            Some(Cell { x, text, style })
        };
        (0..names.len().max(lines.len()))
            .map(|at| {
                let name = cell(&names, at, left, LABEL);
                name.into_iter().chain(cell(&lines, at, left + LABEL_WIDTH, PLAIN)).collect()
            })
            .collect()
    }

    /// One line of a table: each text begins at its place and ends before the next.
    pub fn table_row(&self, style: Style, places: &[f32], texts: &[String]) -> Row {
        let ends = places.iter().skip(1).copied().chain([WIDTH]);
        let cells = places.iter().zip(ends).zip(texts).map(|((x, end), text)| {
            let text = self.lines(style, end - x - 4.0, text, 1).concat();
            Cell { x: *x, text, style }
        });
        Row::of(cells.collect())
    }
}

/// Draws rows below each other, the first one below `top`; where the last one ends.
pub fn draw(rows: &[Row], surface: &mut Surface<'_>, faces: &Faces, top: f32) -> f32 {
    let mut bottom = top;
    for row in rows {
        bottom += row.height;
        let size = row.cells.iter().map(|cell| cell.style.size).fold(0.0, f32::max);
        for Cell { x, text, style } in &row.cells {
            let face = if style.bold { &faces.bold } else { &faces.regular };
            surface.set_stroke(None);
            surface.set_fill(Some(Fill {
                paint: luma::Color::new(style.ink).into(),
                ..Fill::default()
            }));
            let at = Point::from_xy(MARGIN + x, bottom - BELOW * size);
            face.draw(surface, at, style.size, text);
        }
        for stroke in &row.strokes {
            line(surface, *stroke, bottom);
        }
    }
    bottom
}

fn line(surface: &mut Surface<'_>, [from, to]: [f32; 2], y: f32) {
    let mut path = PathBuilder::new();
    path.move_to(MARGIN + from, y);
    path.line_to(MARGIN + to, y);
    let Some(path) = path.finish() else { return };
    surface.set_fill(None);
    surface.set_stroke(Some(Stroke {
        paint: luma::Color::new(120).into(),
        width: 0.5,
        ..Stroke::default()
    }));
    surface.draw_path(&path);
    surface.set_stroke(None);
}
