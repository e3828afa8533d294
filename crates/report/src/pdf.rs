//! The report as a PDF: one A4 page, set from the top; what cannot fit says that it is elsewhere.

mod list;
mod lists;
mod parts;
mod picture;
mod rows;
mod whose;

use domain::{Error, ErrorKind, Result};
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::metadata::{DateTime, Metadata};
use krilla::page::PageSettings;
use krilla::surface::Surface;
use krilla::{Document, SerializeSettings};

use crate::face::Faces;
use crate::words::Words;
use crate::{Report, written};

use parts::Parts;
use picture::Placed;
use rows::{Row, Setter, height};

/// A4, in points.
const PAGE: [f32; 2] = [595.28, 841.89];
const MARGIN: f32 = 40.0;
/// Between the margins.
const WIDTH: f32 = PAGE[0] - 2.0 * MARGIN;

/// Pictures give way to words down to this height, and grow to that.
const PICTURE_LEAST: f32 = 110.0;
const PICTURE_MOST: f32 = 215.0;
/// The part of the room for both lists that readers' words may take.
const READERS_SHARE: f32 = 0.55;

/// All of the page in its place.
struct Sheet {
    head: Vec<Row>,
    pictures: Vec<Placed>,
    picture_height: f32,
    body: Vec<Row>,
    foot: Vec<Row>,
}

/// The report as the bytes of a PDF.
pub fn write(report: &Report) -> Result<Vec<u8>> {
    let faces = Faces::new()?;
    let words = report.language.words();
    let sheet = Sheet::of(report, words, &faces)?;
    let mut document = Document::new_with(settings()?);
    let size = PageSettings::from_wh(PAGE[0], PAGE[1]).ok_or_else(|| unwritten("no page"))?;
    let mut page = document.start_page_with(size);
    let mut surface = page.surface();
    sheet.draw(&mut surface, &faces);
    surface.finish();
    page.finish();
    document.set_metadata(about(report, words));
    document.finish().map_err(|error| unwritten(error.to_string()))
}

/// What archives keep: PDF/A-2b, which needs nothing that is not in the file.
fn settings() -> Result<SerializeSettings> {
    let archival = ConfigurationBuilder::new().with_archival_validator(Archival::A2_B).finish();
    let configuration = archival.map_err(|error| unwritten(format!("{error:?}")))?;
    Ok(SerializeSettings { configuration, enable_tagging: false, ..SerializeSettings::default() })
}

/// Nothing of the patient: viewers show it in lists of files.
fn about(report: &Report, words: &Words) -> Metadata {
    let metadata = Metadata::new()
        .title(words.title.to_owned())
        .language(words.tag.to_owned())
        .creator(report.result.header.software.clone())
        .document_id(report.result.scan_id.clone());
    let moment = written::utc(report.made_ms).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let year = u16::try_from(moment.year()).unwrap_or_default();
    let date = DateTime::new(year).month(u8::from(moment.month())).day(moment.day());
    let date = date.hour(moment.hour()).minute(moment.minute()).second(moment.second());
    metadata.creation_date(date.utc_offset_hour(0).utc_offset_minute(0))
}

fn unwritten(why: impl Into<String>) -> Error {
    let why: String = why.into();
    ErrorKind::Internal.error("the report cannot be written").because(why)
}

impl Sheet {
    fn of(report: &Report, words: &'static Words, faces: &Faces) -> Result<Sheet> {
        let setter = Setter { faces };
        let parts = Parts { report, words, setter: &setter };
        let pictures = picture::placed(report, words, &setter)?;
        let head = parts.head();
        let (before, after, signing) = (parts.findings(), parts.doubt_and_origin(), parts.sign());
        let fixed = [&head, &before.title, &before.end, &after, &signing];
        let fixed: f32 = fixed.iter().map(|rows| height(rows)).sum();
        // The note on numbers stands in the foot, and what needs it is known at the end only: there is always room for it.
        let room = PAGE[1] - 2.0 * MARGIN - fixed - height(&parts.foot(true));
        let readers = parts.readers();
        let for_lists = room
            - height(&readers.title)
            - picture::caption_height(&pictures)
            - if pictures.is_empty() { 0.0 } else { PICTURE_LEAST };
        let readers = readers.within(for_lists * READERS_SHARE);
        let findings = before.within(for_lists - height(&readers.rows));
        let taken = height(&findings.rows) + height(&readers.rows);
        let picture_height = (for_lists - taken + PICTURE_LEAST).clamp(0.0, PICTURE_MOST);
        let body = [
            findings.title,
            findings.rows,
            findings.end,
            after,
            readers.title,
            readers.rows,
            signing,
        ];
        let body = body.concat();
        let numbered = head.iter().chain(&body).any(Row::has_numbers)
            || pictures.iter().any(Placed::has_numbers);
        Ok(Sheet { head, pictures, picture_height, body, foot: parts.foot(numbered) })
    }

    fn draw(&self, surface: &mut Surface<'_>, faces: &Faces) {
        let mut top = rows::draw(&self.head, surface, faces, MARGIN);
        if !self.pictures.is_empty() {
            top = picture::draw(&self.pictures, self.picture_height, surface, faces, top);
        }
        rows::draw(&self.body, surface, faces, top);
        rows::draw(&self.foot, surface, faces, PAGE[1] - MARGIN - height(&self.foot));
    }
}
