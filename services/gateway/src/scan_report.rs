//! The report of a scan, as a PDF.
//!
//! No row of the table of artefacts: those are written once, with the result, and the same for whoever may read them. A report has
//! in it what readers have said until now, and whatever the caller may know, in a language; so it is made when it is asked for, and
//! kept nowhere.

use std::collections::HashSet;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use domain::artefact::{IMAGE, OVERLAY, RESULT, SHOWN};
use domain::{Answer, ErrorKind};
use imaging::ResultDocument;
use proto::storage::{FeedbackEntry, FeedbackOfScan, ScanRef};
use report::{Drawn, KeyPicture, Language, ReaderWord, Readers, Report, Subject};
use serde::Deserialize;
use tonic::Code;
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::extract::{Path, Query};
use crate::problem::{INTERNAL, NOT_READY, Problem};
use crate::scans::{Binary, Scan};
use crate::{Gateway, artefacts, feedback, identity, slices};

/// Pictures besides the one that the result shows.
const MORE_PICTURES: usize = 2;

/// How a report is written.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wish {
    /// In which language.
    #[serde(default)]
    #[param(inline, required = false)]
    lang: ReportLanguage,
    /// Whether it says whose scan it is, if the caller may know that.
    #[serde(default = "yes")]
    #[param(required = false, default = true)]
    identity: bool,
}

fn yes() -> bool {
    true
}

/// By ISO 639-1.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportLanguage {
    #[default]
    En,
    Fr,
}

impl ReportLanguage {
    fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
        }
    }

    pub fn language(self) -> Language {
        match self {
            Self::En => Language::English,
            Self::Fr => Language::French,
        }
    }
}

/// Gives the report of a scan, to print and to sign
///
/// One A4 page (PDF/A-2b), of a result or of why there is none, made anew each time. Whose scan it is stands in it for those who
/// may ask for its identity, and asking is noted in the audit trail; what readers have said, for those who may read it, and to a
/// reader who has given no word yet only how many words there are. What is left out, it says.
#[utoipa::path(
    operation_id = "get_scan_report", get, path = "/v1/scans/{id}/report.pdf", tag = "results",
    params(("id" = String, Path, description = "The scan's id", format = "uuid"), Wish),
    responses(
        (status = 200, description = "The report", body = Binary, content_type = "application/pdf",
            headers(("Content-Language" = String, description = "The language that it is written in"))),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not ready: ask again after `Retry-After` seconds", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    Query(wish): Query<Wish>,
) -> Result<Response, Problem> {
    let scan = gateway.scans.get(caller.request(ScanRef { id })).await?.into_inner();
    let scan = Scan::try_from(scan)?;
    if !scan.is_done() {
        return Err(NOT_READY.problem(format!("the scan is {}", scan.state)));
    }
    // Each has its pictures in memory until it is written.
    let place = gateway.reports.take(caller.tenant()).await;
    let result = result(&mut gateway, &caller, &scan).await?;
    let subject = subject(&mut gateway, &caller, &scan.id, wish.identity).await?;
    let report = of(&mut gateway, &caller, &scan, wish.lang.language(), subject, result).await?;
    let written = tokio::task::spawn_blocking(move || {
        let _place = place;
        report.to_pdf()
    });
    let pdf = written.await.map_err(|error| {
        ErrorKind::Internal.error("a report could not be written").because(error)
    })??;
    let shown = [
        (header::CONTENT_TYPE, report::MEDIA_TYPE.to_owned()),
        (header::CONTENT_LANGUAGE, wish.lang.tag().to_owned()),
        // The scan's name, never a patient's: names of files end up in lists of downloads.
        (header::CONTENT_DISPOSITION, format!("inline; filename=\"{}-report.pdf\"", scan.id)),
    ];
    Ok((shown, pdf).into_response())
}

/// The report of that result, with what the caller may know.
pub async fn of(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &Scan,
    language: Language,
    subject: Subject,
    result: ResultDocument,
) -> Result<Report, Problem> {
    Ok(Report {
        language,
        subject,
        readers: readers(gateway, caller, &scan.id).await?,
        pictures: pictures(gateway, caller, scan, &result).await?,
        result,
        made_ms: gateway.clock.now_ms(),
    })
}

/// The result's document, of this very scan and these very voxels.
pub async fn result(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &Scan,
) -> Result<ResultDocument, Problem> {
    let unsound = |why: &dyn std::fmt::Display| {
        tracing::error!(scan.id, %why, "a stored result cannot be reported");
        INTERNAL.problem("internal error")
    };
    let document = match artefacts::whole(gateway, caller, &scan.id, RESULT.name).await? {
        Some(bytes) => {
            serde_json::from_slice::<ResultDocument>(&bytes).map_err(|error| unsound(&error))?
        }
        None if matches!(scan.answer, Some(Answer::Failed | Answer::NotAnalysable)) => {
            artefacts::failed_result(scan)
        }
        None => return Err(unsound(&"it has none")),
    };
    let of_this =
        scan.answer.is_some_and(|answer| document.is_of(&scan.id, answer, &scan.volume_sha256));
    if of_this { Ok(document) } else { Err(unsound(&"it is of another scan")) }
}

/// Whose scan it is, if that is wished for and the caller may know; storage has compared it with what it was bound to.
async fn subject(
    gateway: &mut Gateway,
    caller: &Caller,
    id: &str,
    wished: bool,
) -> Result<Subject, Problem> {
    if !wished {
        return Ok(Subject::LeftOut);
    }
    match gateway.scans.get_identity(caller.request(ScanRef { id: id.to_owned() })).await {
        Ok(kept) => {
            let (identity, reference) = identity::said(kept.into_inner());
            Ok(Subject::Known(Box::new(identity), reference))
        }
        Err(status) if status.code() == Code::PermissionDenied => Ok(Subject::LeftOut),
        Err(status) => Err(status.into()),
    }
}

/// What storage lets the caller see of what readers have said.
async fn readers(gateway: &mut Gateway, caller: &Caller, id: &str) -> Result<Readers, Problem> {
    let asked = caller.request(ScanRef { id: id.to_owned() });
    let FeedbackOfScan { feedback, hidden, .. } = match gateway.feedback.list_of_scan(asked).await {
        Ok(of_scan) => of_scan.into_inner(),
        Err(status) if status.code() == Code::PermissionDenied => return Ok(Readers::LeftOut),
        Err(status) => return Err(status.into()),
    };
    if hidden > 0 {
        return Ok(Readers::Hidden(hidden));
    }
    let settled = feedback.iter().filter_map(|entry| entry.word.as_ref());
    let settled = settled.flat_map(|word| word.adjudicates.iter().cloned());
    let gone: HashSet<String> =
        feedback.iter().map(|entry| entry.supersedes.clone()).chain(settled).collect();
    let latest = feedback.into_iter().filter(|entry| !gone.contains(&entry.id));
    Ok(Readers::Told(latest.map(word).collect::<Result<_, _>>()?))
}

fn word(entry: FeedbackEntry) -> Result<ReaderWord, Problem> {
    let said = feedback::word_of(entry.word)?;
    let (reader, given_ms) = (entry.reader, entry.given_ms);
    let domain::feedback::Word { verdict, truth, reason, note, findings, .. } = said;
    Ok(ReaderWord { reader, given_ms, verdict, truth, reason, note, findings })
}

/// The slice that the result shows, and those in which further findings are largest.
async fn pictures(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &Scan,
    result: &ResultDocument,
) -> Result<Vec<KeyPicture>, Problem> {
    let shown = result.image.as_ref().map(|image| image.shown_slice);
    let mut pictures = Vec::new();
    for (name, drawn) in [
        (OVERLAY.name, Drawn::Outlines),
        (SHOWN.name, Drawn::Letters),
        (IMAGE.name, Drawn::Letters),
    ] {
        // An overlay without findings is the image, and there is none of a scan that was not analysed.
        if drawn == Drawn::Outlines && result.findings.is_empty() {
            continue;
        }
        if let Some(png) = artefacts::whole(gateway, caller, &scan.id, name).await? {
            pictures.push(KeyPicture { png, slice: shown, drawn });
            break;
        }
    }
    for slice in further(result, shown) {
        let (png, _) = slices::picture(gateway, caller, scan, slice, None).await?;
        pictures.push(KeyPicture { png, slice: Some(slice), drawn: Drawn::Nothing });
    }
    Ok(pictures)
}

/// Slices in which findings are largest that the shown one is not, main findings first, each once.
fn further(result: &ResultDocument, shown: Option<usize>) -> Vec<usize> {
    let mut further = Vec::new();
    for slice in result.findings.iter().map(|finding| finding.slice) {
        if Some(slice) != shown && !further.contains(&slice) {
            further.push(slice);
        }
    }
    further.truncate(MORE_PICTURES);
    further
}
