use std::path::{Path, PathBuf};

use domain::Answer;
use imaging::{ResultDocument, Unit};
use serde_json::{Value, json};
use service::cli::in_one_line;

use crate::api::detail;

/// The exit status of a scan that nobody can say anything about.
pub const FAILED: u8 = 30;
/// HTTP's statuses of what may pass: too slow, too many.
const MAY_PASS: [u16; 2] = [408, 429];

/// What became of one scan.
pub struct Outcome {
    /// Its file, as it was named; one of several that came together by its name among them.
    path: String,
    /// Where its results are.
    folder: Option<PathBuf>,
    said: Said,
}

/// What is said of a scan.
pub enum Said {
    /// It was analysed, or the result says why not.
    Result(Box<ResultDocument>),
    /// It is no scan that could be taken.
    Refused(Problem),
    /// It could not be read.
    Unreadable(String),
}

/// Why a file was refused (RFC 9457).
#[derive(Clone, Debug)]
pub struct Problem {
    status: u16,
    body: Value,
}

impl Problem {
    /// What the gateway has answered with.
    pub fn new(status: u16, mut body: Value) -> Problem {
        // The entries of a batch say it all together.
        if let Some(fields) = body.as_object_mut() {
            fields.entry("status").or_insert(status.into());
        }
        Problem { status, body }
    }

    /// Whether it is about this moment and not about the file.
    pub fn is_transient(&self) -> bool {
        self.status >= 500 || MAY_PASS.contains(&self.status)
    }

    pub fn to_json(&self) -> Vec<u8> {
        format!("{:#}\n", self.body).into()
    }

    fn detail(&self) -> &str {
        detail(&self.body)
    }
}

impl Outcome {
    pub fn new(path: &Path, folder: Option<PathBuf>, said: Said) -> Outcome {
        Outcome { path: shown(path), folder, said }
    }

    /// Of a file that cannot be handed in.
    pub fn unreadable(path: &Path, error: &anyhow::Error) -> Outcome {
        Outcome::new(path, None, Said::Unreadable(in_one_line(error)))
    }

    /// The exit status of a program that has seen nothing but this; the graver, the greater.
    pub fn status(&self) -> u8 {
        match self.answer() {
            Some(Answer::NoneFound) => 0,
            Some(Answer::Found) => 10,
            Some(Answer::NotAnalysable) => 20,
            Some(Answer::Failed) | None => FAILED,
        }
    }

    /// Whether the same file may have another outcome in a while.
    pub fn may_pass(&self) -> bool {
        match &self.said {
            Said::Result(_) => false,
            Said::Refused(problem) => problem.is_transient(),
            Said::Unreadable(_) => true,
        }
    }

    /// One of the four answers, or why there is none.
    pub fn word(&self) -> &'static str {
        match &self.said {
            Said::Result(document) => document.answer.name(),
            Said::Refused(_) => "refused",
            Said::Unreadable(_) => "unreadable",
        }
    }

    pub fn has_result(&self) -> bool {
        matches!(self.said, Said::Result(_))
    }

    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// In words, where there is something to see to.
    pub fn complaint(&self) -> Option<String> {
        let why = match &self.said {
            Said::Result(document) if document.answer == Answer::Failed => {
                document.reason.as_deref().unwrap_or("the analysis failed")
            }
            Said::Result(_) => return None,
            Said::Refused(problem) => problem.detail(),
            Said::Unreadable(why) => why,
        };
        Some(format!("{}: {why}", self.path))
    }

    /// Path, answer, volume and folder, apart by tabs.
    pub fn line(&self) -> String {
        let folder = self.folder().map_or_else(|| "-".to_owned(), shown);
        format!("{}\t{}\t{}\t{folder}", self.path, self.word(), self.size())
    }

    pub fn json(&self) -> Value {
        let document = match &self.said {
            Said::Result(document) => Some(document),
            _ => None,
        };
        let totals = document.and_then(|document| document.totals);
        let reason = match &self.said {
            Said::Result(document) => document.reason.clone(),
            Said::Refused(problem) => Some(problem.detail().to_owned()),
            Said::Unreadable(why) => Some(why.clone()),
        };
        json!({
            "path": self.path,
            "answer": self.word(),
            "reason": reason,
            "findings": totals.map(|totals| totals.findings),
            "volume_ml": totals.and_then(|totals| totals.volume_ml),
            "area_mm2": totals.and_then(|totals| totals.area_mm2),
            "confidence": document.and_then(|document| document.confidence),
            "folder": self.folder().map(shown),
        })
    }

    fn answer(&self) -> Option<Answer> {
        match &self.said {
            Said::Result(document) => Some(document.answer),
            _ => None,
        }
    }

    /// How large the main findings are, all together, in the unit that the file allows.
    fn size(&self) -> String {
        let Said::Result(document) = &self.said else { return "-".to_owned() };
        let in_pixels = document.image.as_ref().is_some_and(|image| image.unit == Unit::Pixel);
        let Some(totals) = document.totals else { return "-".to_owned() };
        match (totals.volume_ml, totals.area_mm2) {
            _ if in_pixels => format!("{} pixels", totals.voxels),
            (Some(ml), _) => format!("{ml:.2} mL"),
            (None, Some(mm2)) => format!("{mm2:.0} mm2"),
            (None, None) => "-".to_owned(),
        }
    }
}

/// A path without what a terminal would obey.
pub fn shown(path: &Path) -> String {
    path.to_string_lossy().replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: Value) -> Outcome {
        let folder = Some("results/a".into());
        Outcome::new(
            Path::new("a\t\u{1b}[31m.png"),
            folder,
            Said::Refused(Problem::new(status, body)),
        )
    }

    fn answered(answer: Answer) -> Outcome {
        let mut document = ResultDocument::failed("id".into(), Some("it broke".into()), 0, 0);
        document.answer = answer;
        Outcome::new(Path::new("a.png"), None, Said::Result(Box::new(document)))
    }

    #[test]
    fn the_graver_an_answer_the_greater_its_exit_status() {
        let answers = [Answer::NoneFound, Answer::Found, Answer::NotAnalysable, Answer::Failed];
        assert_eq!(answers.map(|answer| answered(answer).status()), [0, 10, 20, 30]);
        assert_eq!(refused(422, json!({})).status(), 30);
    }

    #[test]
    fn a_line_obeys_nobody_and_a_complaint_says_why() {
        let outcome = refused(422, json!({ "detail": "12 x 12" }));
        assert_eq!(outcome.line(), "a\u{fffd}\u{fffd}[31m.png\trefused\t-\tresults/a");
        assert_eq!(outcome.complaint().unwrap(), "a\u{fffd}\u{fffd}[31m.png: 12 x 12");
        assert_eq!(answered(Answer::Failed).complaint().unwrap(), "a.png: it broke");
        assert_eq!(answered(Answer::NoneFound).complaint(), None);
    }

    #[test]
    fn what_may_pass_is_told_from_what_is_about_the_file() {
        for (status, passes) in [(422, false), (400, false), (413, false), (429, true), (503, true)]
        {
            assert_eq!(refused(status, json!({})).may_pass(), passes, "{status}");
        }
        assert!(!answered(Answer::Failed).may_pass());
    }

    #[test]
    fn an_entrys_problem_says_its_status_as_every_other_does() {
        let problem = Problem::new(422, json!({ "title": "too small" }));
        let kept: Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(kept, json!({ "title": "too small", "status": 422 }));
    }
}
