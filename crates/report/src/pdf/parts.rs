//! What the parts of a report say.

use domain::Answer;

use super::WIDTH;
use super::rows::{LABEL, PLAIN, Row, SMALL, STRONG, Setter, TITLE, WARNING};
use crate::Report;
use crate::words::Words;
use crate::written::{joined, moment, sentence};

/// Lines that one value, one reader's word or one remark may take.
pub const LINES_MOST: usize = 3;
/// Remarks on the image; results seldom have more than three.
const REMARKS_MOST: usize = 5;

pub struct Parts<'r, 's> {
    pub report: &'r Report,
    pub words: &'static Words,
    pub setter: &'s Setter<'s>,
}

impl Parts<'_, '_> {
    /// Title, identity and answer.
    pub fn head(&self) -> Vec<Row> {
        let Parts { report, words, setter } = self;
        let mut rows = setter.paragraph(TITLE, words.title, 1);
        rows.extend(setter.heading(words.research));
        rows.extend(self.whose());
        rows.push(Row::gap(8.0));
        let answer = (words.answer)(report.result.answer);
        rows.extend(setter.paragraph(TITLE, answer.title, 1));
        if let Some(reason) = report.result.reason.as_deref().filter(|reason| !reason.is_empty()) {
            let reason = format!("{}: {}", words.reason, sentence(&words.said.of(reason)));
            rows.extend(setter.paragraph(STRONG, &reason, LINES_MOST));
        }
        rows.extend(setter.paragraph(PLAIN, answer.sentence, 2));
        rows.push(Row::gap(6.0));
        if report.pictures.is_empty() {
            rows.extend(setter.paragraph(PLAIN, words.pictures.none, 1));
        }
        rows
    }

    pub fn doubt_and_origin(&self) -> Vec<Row> {
        [self.doubt(), self.origin()].concat()
    }

    fn doubt(&self) -> Vec<Row> {
        let Parts { report, words, setter } = self;
        let doubt = &words.doubt;
        let result = &report.result;
        let judged = matches!(result.answer, Answer::Found | Answer::NoneFound);
        let fit = result.expected_dice.filter(|_| judged);
        let fit = fit.map(|fit| (doubt.fit)([fit.dice, fit.interval[0], fit.interval[1]]));
        let certainty = result.confidence.filter(|_| judged);
        let certainty = certainty.map(|share| (doubt.certainty)(doubt.probability(share)));
        let remarks = result.quality.as_ref().map_or(&[][..], |quality| quality.remarks.as_slice());
        let said: Vec<String> =
            fit.into_iter().chain(certainty).chain(told(words, remarks)).collect();
        if said.is_empty() {
            return Vec::new();
        }
        let mut rows = setter.heading(doubt.title);
        rows.extend(said.iter().flat_map(|said| setter.paragraph(PLAIN, said, 2)));
        rows
    }

    fn origin(&self) -> Vec<Row> {
        let Parts { report, words: Words { origin: words, .. }, setter } = self;
        let result = &report.result;
        let model = result.model.as_ref().map_or(words.no_model.to_owned(), |model| {
            let trained = if model.trained { "" } else { words.untrained };
            joined(&[&format!("{} {}", model.name, model.version), trained], ", ")
        });
        let mut left = vec![(words.model, model)];
        if let Some(model) = &result.model {
            let threshold = f64::from(model.reading.operating_point.threshold);
            left.push((words.threshold, format!("{} %", (100.0 * threshold).round())));
        }
        let mut right = vec![(words.software, result.header.software.clone())];
        if let Some(image) = &result.image {
            let told_by = (words.told_by)(image.kind.source);
            right.push((words.image, format!("{}{told_by}", (words.kind)(image.kind.kind))));
        }
        right.push((words.answered, moment(result.timing.finished_ms)));
        let mut rows = setter.heading(words.title);
        rows.extend(setter.facts(&[left, right], 2));
        if let Some(model) = &result.model {
            let digest = Some(&model.sha256).filter(|digest| !digest.is_empty());
            let digest = digest.map_or(words.no_weights, String::as_str).to_owned();
            rows.extend(setter.facts(&[vec![(words.weights, digest)]], 2));
        }
        rows
    }

    /// A place for whoever stands for it.
    pub fn sign(&self) -> Vec<Row> {
        let words = &self.words.sign;
        let places = [0.0, WIDTH * 0.4, WIDTH * 0.8];
        let names = [words.name, words.signature, words.date].map(str::to_owned);
        let line = Row {
            height: 26.0,
            strokes: vec![
                [0.0, places[1] - 12.0],
                [places[1], places[2] - 12.0],
                [places[2], WIDTH],
            ],
            ..Row::default()
        };
        vec![line, self.setter.table_row(LABEL, &places, &names)]
    }

    /// What must be in sight wherever the page ends up; `numbered` says what numbers of characters are.
    pub fn foot(&self, numbered: bool) -> Vec<Row> {
        let Parts { report, words, setter } = self;
        let mut rows = vec![Row::gap(6.0)];
        if numbered {
            rows.extend(setter.paragraph(SMALL, words.numbered, 1));
        }
        rows.extend(setter.paragraph(WARNING, words.research, 1));
        rows.extend(setter.paragraph(SMALL, words.limits, LINES_MOST));
        let made = format!(
            "{} {} · {} {}",
            words.made,
            moment(report.made_ms),
            words.scan,
            report.result.scan_id
        );
        rows.extend(setter.paragraph(SMALL, &made, 1));
        rows
    }
}

/// Remarks as sentences, and how many there are beyond.
fn told(words: &Words, remarks: &[String]) -> Vec<String> {
    let said = remarks.iter().take(REMARKS_MOST).map(|remark| words.said.of(remark));
    let mut told: Vec<String> = said.map(|said| sentence(&said)).collect();
    let beyond = remarks.len().saturating_sub(REMARKS_MOST);
    if beyond > 0 {
        told.push((words.doubt.more)(beyond));
    }
    told
}
