//! What was found, and what readers say of it.

use domain::feedback::{FindingVerdict, JudgedFinding};
use imaging::{Finding, Role};

use super::list::List;
use super::parts::{LINES_MOST, Parts};
use super::rows::{LABEL, PLAIN, Row, STRONG};
use crate::words::Words;
use crate::written::{count, figures, joined, moment};
use crate::{ReaderWord, Readers};

/// Where the columns of the table of findings begin.
const COLUMNS: [f32; 6] = [0.0, 32.0, 108.0, 178.0, 270.0, 400.0];

impl Parts<'_, '_> {
    /// The table of findings; nothing where there are none.
    pub fn findings(&self) -> List {
        let Parts { report, words, setter } = self;
        let Some(totals) = report.result.totals.filter(|_| !report.result.findings.is_empty())
        else {
            return List::default();
        };
        let size = self.size(totals.voxels, totals.volume_ml, totals.area_mm2);
        let total = (words.findings.total)((totals.findings, size));
        let mut title = setter.heading(words.findings.title);
        title.extend(setter.paragraph(PLAIN, &total, 2));
        title.push(Row::gap(2.0));
        title.push(setter.table_row(LABEL, &COLUMNS, &words.findings.columns.map(str::to_owned)));
        let items = report.result.findings.iter().map(|finding| vec![self.finding(finding)]);
        let end = match totals.lesser.findings {
            0 => Vec::new(),
            lesser => setter.paragraph(PLAIN, &(words.findings.lesser)(lesser), 2),
        };
        let more = self.instead(words.findings.more);
        List { title, items: items.collect(), more, end }
    }

    fn finding(&self, finding: &Finding) -> Row {
        let words = &self.words.findings;
        let slices = self.slices();
        let lengths = [finding.longest_diameter.length, finding.perpendicular_diameter.length];
        let cells = [
            finding.label.to_string(),
            (words.role)(finding.role).to_owned(),
            format!("{} / {slices}", finding.slice + 1),
            self.size(finding.voxels, finding.volume_ml, finding.area_mm2),
            format!(
                "{} {}",
                lengths.map(|length| self.figures(length)).join(" × "),
                (words.unit)(finding.unit)
            ),
            (words.side)(finding.laterality).to_owned(),
        ];
        let style = if finding.role == Role::Main { STRONG } else { PLAIN };
        self.setter.table_row(style, &COLUMNS, &cells)
    }

    /// A volume in mL, of a single slice the area in mm², or a count where the scan does not say how large a pixel is.
    fn size(&self, voxels: usize, volume_ml: Option<f64>, area_mm2: Option<f64>) -> String {
        let words = &self.words.findings;
        match (self.slices(), volume_ml, area_mm2) {
            (1, _, Some(area)) => format!("{} mm²", self.figures(area)),
            (1, _, None) => format!("{} {}", count(voxels), words.pixels),
            (_, Some(volume), _) => format!("{} mL", self.figures(volume)),
            (_, None, _) => format!("{} {}", count(voxels), words.voxels),
        }
    }

    fn figures(&self, value: f64) -> String {
        figures(value, self.words.decimal)
    }

    fn slices(&self) -> usize {
        self.report.result.image.as_ref().map_or(1, |image| image.shape.slices)
    }

    /// The latest words of readers.
    pub fn readers(&self) -> List {
        let Parts { report, words: Words { readers: words, .. }, setter } = self;
        let alone = |text: &str| vec![setter.paragraph(PLAIN, text, LINES_MOST)];
        let items = match &report.readers {
            Readers::LeftOut => alone(words.left_out),
            Readers::Hidden(hidden) => alone(&(words.hidden)(*hidden)),
            Readers::Told(said) if said.is_empty() => alone(words.none),
            Readers::Told(said) => {
                let lines = |said: &str| setter.paragraph(PLAIN, said, LINES_MOST);
                let item = |word: &ReaderWord| {
                    let mut item = lines(&self.reader(word));
                    let judged = self.judged(word);
                    if !judged.is_empty() {
                        item.extend(lines(&judged));
                    }
                    item
                };
                said.iter().map(item).collect()
            }
        };
        let more = self.instead(words.more);
        List { title: setter.heading(words.title), items, more, end: Vec::new() }
    }

    fn reader(&self, word: &ReaderWord) -> String {
        let words = &self.words.readers;
        let said = [
            word.truth.map_or("", words.truth),
            word.reason.map_or("", words.reason),
            word.note.trim(),
        ];
        let said = joined(&said, "; ");
        let (reader, verdict) = (&word.reader, (words.verdict)(word.verdict));
        let between = if said.is_empty() { "" } else { ": " };
        format!("{reader} {verdict}, {}{between}{said}", moment(word.given_ms))
    }

    /// What the reader says of single findings, but for those that they agree with and say no more of.
    fn judged(&self, word: &ReaderWord) -> String {
        let words = &self.words.readers;
        let one = |finding: &JudgedFinding| {
            let JudgedFinding { label, verdict, reason, note } = finding;
            let said = (words.finding)((*label, *verdict));
            joined(&[said.as_str(), reason.map_or("", words.reason), note.trim()], ", ")
        };
        let told = word.findings.iter();
        let told = told.filter(|one| one.verdict != FindingVerdict::Agree || !one.note.is_empty());
        told.map(one).collect::<Vec<_>>().join("; ")
    }

    /// A line in place of what did not fit.
    fn instead(&self, more: fn(usize) -> String) -> Box<dyn Fn(usize) -> Vec<Row>> {
        // One that says how many there are is as high as any other.
        let row = self.setter.paragraph(STRONG, &more(0), 1);
        let lines = move |text: String| {
            let mut row = row.clone();
            if let Some(cell) = row.iter_mut().flat_map(|row| &mut row.cells).next() {
                cell.text = text;
            }
            row
        };
        Box::new(move |count| lines(more(count)))
    }
}
