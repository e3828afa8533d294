//! Pictures of slices beside each other, with the patient's sides and with boxes around findings where the pixels have none.

use domain::Result;
use imaging::{Finding, ResultDocument, View};
use krilla::color::{luma, rgb};
use krilla::geom::{Path, PathBuilder, Point, Rect, Size, Transform};
use krilla::image::Image;
use krilla::paint::{Fill, Stroke};
use krilla::surface::Surface;

use super::rows::{LABEL, Setter, Style};
use super::{MARGIN, WIDTH, unwritten};
use crate::face::{BRACKETS, Faces};
use crate::words::Words;
use crate::{Drawn, KeyPicture, Report};

/// More of them would be too small to be looked at.
const MOST: usize = 3;
const GAP: f32 = 10.0;
/// Sky blue, as boxes have it in the overlay.
const BOX: [u8; 3] = [60, 190, 255];
const LETTER: Style = Style { size: 8.0, bold: true, ink: 255 };
const CAPTION_LINES: usize = 2;
const CAPTION_LINE: f32 = LABEL.size * 1.3;

/// A picture that is ready to be drawn.
pub struct Placed {
    image: Image,
    /// Width by height.
    aspect: f32,
    letters: Option<View>,
    boxes: Vec<Boxed>,
    caption: Vec<String>,
}

/// A finding's box, in parts of the picture's width and height.
struct Boxed {
    label: usize,
    from: [f32; 2],
    to: [f32; 2],
}

impl Placed {
    pub fn has_numbers(&self) -> bool {
        self.caption.iter().any(|line| line.contains(BRACKETS[0]))
    }
}

/// Those that are shown.
pub fn placed(report: &Report, words: &Words, setter: &Setter<'_>) -> Result<Vec<Placed>> {
    let shown = report.pictures.len().min(MOST);
    let width = column(shown);
    let pictures = report.pictures.iter().take(shown);
    pictures.map(|picture| place(picture, &report.result, words, setter, width)).collect()
}

fn place(
    picture: &KeyPicture,
    result: &ResultDocument,
    words: &Words,
    setter: &Setter<'_>,
    width: f32,
) -> Result<Placed> {
    let image = Image::from_png(picture.png.clone().into(), false).map_err(unwritten)?;
    let bare = picture.drawn == Drawn::Nothing;
    let view = result.image.as_ref().and_then(|image| image.view);
    let slice = picture.slice.filter(|_| bare);
    let caption = caption(picture, result, words);
    Ok(Placed {
        aspect: aspect(result, &image),
        image,
        letters: view.filter(|_| bare),
        boxes: slice.map(|slice| boxes(result, slice)).unwrap_or_default(),
        caption: setter.lines(LABEL, width, &caption, CAPTION_LINES),
    })
}

/// Width by height as the slice is in the patient, where the scan says so: pixels may be oblong.
fn aspect(result: &ResultDocument, image: &Image) -> f32 {
    let (columns, rows) = image.size();
    let pixels = f64::from(columns.max(1)) / f64::from(rows.max(1));
    let spacing = result.image.as_ref().and_then(|image| image.spacing_mm);
    let oblong = match spacing {
        Some([_, Some(down), Some(across)]) if down > 0.0 && across > 0.0 => across / down,
        _ => 1.0,
    };
    // Beyond this it is no picture of a head.
    (pixels * oblong).clamp(0.1, 10.0) as f32
}

fn boxes(result: &ResultDocument, slice: usize) -> Vec<Boxed> {
    let Some(image) = &result.image else { return Vec::new() };
    let [rows, columns] =
        [image.shape.rows, image.shape.columns].map(|length| length.max(1) as f32);
    let here = |finding: &&Finding| (finding.bounds.from[0]..finding.bounds.to[0]).contains(&slice);
    let boxed = |finding: &Finding| {
        let part = |[_, row, column]: [usize; 3]| [column as f32 / columns, row as f32 / rows];
        Boxed { label: finding.label, from: part(finding.bounds.from), to: part(finding.bounds.to) }
    };
    result.findings.iter().filter(here).map(boxed).collect()
}

fn caption(picture: &KeyPicture, result: &ResultDocument, words: &Words) -> String {
    let words = &words.pictures;
    let mut said = Vec::new();
    if let (Some(slice), Some(image)) = (picture.slice, &result.image) {
        said.push((words.slice)((slice + 1, image.shape.slices)));
    }
    if let Some(image) = &result.image {
        said.push(match image.view {
            Some(view) => (words.view)((view.plane, view.left)),
            None => words.side_unknown.to_owned(),
        });
    }
    match picture.drawn {
        Drawn::Nothing => said.push(words.boxed.to_owned()),
        Drawn::Outlines => said.push(words.outlined.to_owned()),
        Drawn::Letters => {}
    }
    said.join(", ")
}

/// How wide each of so many may be.
fn column(count: usize) -> f32 {
    let columns = count.max(2) as f32;
    (WIDTH - GAP * (columns - 1.0)) / columns
}

/// What stands below the pictures.
pub fn caption_height(pictures: &[Placed]) -> f32 {
    let lines = pictures.iter().map(|picture| picture.caption.len()).max();
    lines.map_or(0.0, |lines| lines as f32 * CAPTION_LINE + 4.0)
}

/// Draws them, none higher than that; where the row ends.
pub fn draw(
    pictures: &[Placed],
    height: f32,
    surface: &mut Surface<'_>,
    faces: &Faces,
    top: f32,
) -> f32 {
    let width = column(pictures.len());
    let lowest = pictures.iter().map(|picture| width / picture.aspect).fold(0.0, f32::max);
    let height = height.min(lowest);
    for (index, picture) in pictures.iter().enumerate() {
        let left = MARGIN + (width + GAP) * index as f32;
        let scale = height.min(width / picture.aspect);
        let area = Area { left, top, width: scale * picture.aspect, height: scale };
        area.draw(picture, surface, faces);
        for (line, text) in picture.caption.iter().enumerate() {
            let y = top + height + CAPTION_LINE * (line as f32 + 1.0);
            ink(surface, LABEL.ink);
            faces.regular.draw(surface, Point::from_xy(left, y), LABEL.size, text);
        }
    }
    top + height + caption_height(pictures)
}

/// Where one picture is.
struct Area {
    left: f32,
    top: f32,
    width: f32,
    height: f32,
}

impl Area {
    fn draw(&self, picture: &Placed, surface: &mut Surface<'_>, faces: &Faces) {
        let Some(size) = Size::from_wh(self.width, self.height) else { return };
        surface.push_transform(&Transform::from_translate(self.left, self.top));
        surface.draw_image(picture.image.clone(), size);
        surface.pop();
        for boxed in &picture.boxes {
            self.frame(boxed, surface, faces);
        }
        let Some(View { left, right, top, bottom, .. }) = picture.letters else { return };
        let (middle, half) = (self.left + self.width / 2.0, self.top + self.height / 2.0);
        for (letter, x, y) in [
            (left, self.left + 7.0, half),
            (right, self.left + self.width - 7.0, half),
            (top, middle, self.top + 7.0),
            (bottom, middle, self.top + self.height - 7.0),
        ] {
            label(surface, faces, &letter.to_string(), [x, y]);
        }
    }

    /// Around the finding, with a gap that hides none of it.
    fn frame(&self, boxed: &Boxed, surface: &mut Surface<'_>, faces: &Faces) {
        let place = |[x, y]: [f32; 2]| [self.left + x * self.width, self.top + y * self.height];
        let ([left, top], [right, bottom]) = (place(boxed.from), place(boxed.to));
        let edges = Rect::from_ltrb(left - 2.0, top - 2.0, right + 2.0, bottom + 2.0);
        let Some(path) = edges.and_then(rectangle) else { return };
        let [red, green, blue] = BOX;
        surface.set_fill(None);
        surface.set_stroke(Some(Stroke {
            paint: rgb::Color::new(red, green, blue).into(),
            width: 1.0,
            ..Stroke::default()
        }));
        surface.draw_path(&path);
        surface.set_stroke(None);
        label(surface, faces, &boxed.label.to_string(), [left - 2.0, top - 9.0]);
    }
}

/// White on black: pictures may be of any grey there.
fn label(surface: &mut Surface<'_>, faces: &Faces, text: &str, [x, y]: [f32; 2]) {
    let face = &faces.bold;
    let (width, height) = (face.width(text, LETTER.size) + 2.0, LETTER.size + 1.0);
    let behind = Rect::from_xywh(x - width / 2.0, y - height / 2.0, width, height);
    if let Some(path) = behind.and_then(rectangle) {
        ink(surface, 0);
        surface.draw_path(&path);
    }
    ink(surface, LETTER.ink);
    let at = Point::from_xy(x - width / 2.0 + 1.0, y + LETTER.size * 0.36);
    face.draw(surface, at, LETTER.size, text);
}

fn rectangle(edges: Rect) -> Option<Path> {
    let mut path = PathBuilder::new();
    path.push_rect(edges);
    path.finish()
}

fn ink(surface: &mut Surface<'_>, light: u8) {
    surface.set_stroke(None);
    surface.set_fill(Some(Fill { paint: luma::Color::new(light).into(), ..Fill::default() }));
}
