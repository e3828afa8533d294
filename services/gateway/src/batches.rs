use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use domain::rfc3339;
use futures::{StreamExt, TryStreamExt, stream};
use imaging::picker::SeriesChoice;
use proto::ingest::batch_answer;
use proto::storage::{self, BatchEntry, BatchRef, Refusal, ScanRef};
use serde::Serialize;
use tonic::Code;
use utoipa::ToSchema;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{Path, Query};
use crate::problem::Problem;
use crate::scans::{Binary, Form, Scan, choice};
use crate::upload;
use crate::upload_options::UploadOptions;

/// How many scans of a batch are asked for at once.
const SIDE_BY_SIDE: usize = 16;

/// Images that came together, each picture and each series one scan.
#[derive(Serialize, ToSchema)]
pub struct Batch {
    #[schema(format = "uuid")]
    pub id: String,
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_ms: i64,
    /// The same as RFC 3339 writes it.
    #[schema(format = "date-time")]
    pub accepted_at: Option<String>,
    /// Whether each scan is done; then `result.zip` is ready.
    pub done: bool,
    /// In the archive's order.
    pub entries: Vec<Entry>,
}

/// One image or series of a batch: a scan, or why it was refused; neither: the scan was deleted.
#[derive(Serialize, ToSchema)]
pub struct Entry {
    /// Its name in the archive; of a series the first and the last file's. Empty: the scan was deleted.
    pub name: String,
    pub scan: Option<Scan>,
    /// Why there is no scan: the input requirement that the image does not meet.
    pub refusal: Option<EntryRefusal>,
    /// How well it fits the registered models, of a DICOM series beside others of its study; `null`: it was compared with none.
    pub series: Option<SeriesChoice>,
}

/// Why an image of a batch is not analysed.
#[derive(Serialize, ToSchema)]
pub struct EntryRefusal {
    /// Where this kind of problem is explained, on this gateway: `/problems/<name>`. Stable.
    r#type: String,
    /// The kind of problem in words.
    title: String,
    /// What is wrong with this very image, and what to do.
    detail: String,
}

/// Takes a zip of images, each of them one scan
///
/// Each picture is one scan, and so is each DICOM series. The body is the zip, or a form with the zip or with the files
/// themselves. What is no scan is an entry with the reason.
#[utoipa::path(
    operation_id = "upload_batch", post, path = "/v1/batches", tag = "batches",
    params(UploadOptions, ("Idempotency-Key" = Option<String>, Header, description = "Names this upload: the same key finds the same scans instead of making new ones", min_length = 1, max_length = 255, pattern = "^[ -~]+$")),
    request_body(
        description = "The zip",
        content((Binary = "application/zip"), (Form = "multipart/form-data")),
    ),
    responses(
        (status = 202, description = "Accepted and kept: each image will be analysed", body = Batch,
            headers(("Location" = String, description = "Where the batch is"),
                ("RateLimit-Policy" = Option<String>, description = "The limits that hold for the caller, where there are some"),
                ("RateLimit" = Option<String>, description = "What is left of each of them"))),
        (status = 408, description = "The bytes stopped, or came too slowly", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The archive cannot be read; `type` says why", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn create(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Query(options): Query<UploadOptions>,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Batch>), Problem> {
    let mut ingest = gateway.ingest.clone();
    let answer =
        upload::forward(&gateway, &caller, options, request, |parts| ingest.upload_batch(parts))
            .await?;
    match answer.answer {
        Some(batch_answer::Answer::Batch(batch)) => {
            let location = format!("/v1/batches/{}", batch.id);
            let batch = Batch::with_scans(&mut gateway, &caller, batch).await?;
            Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(batch)))
        }
        Some(batch_answer::Answer::Refusal(refusal)) => Err(refusal.into()),
        None => Err(upload::unanswered()),
    }
}

/// Shows how far each image of a batch is
#[utoipa::path(
    operation_id = "get_batch", get, path = "/v1/batches/{id}", tag = "batches", params(("id" = String, Path, description = "The batch's id", format = "uuid")),
    responses(
        (status = 200, description = "The batch", body = Batch),
        (status = 404, description = "No such batch", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Batch>, Problem> {
    Ok(Json(Batch::get(&mut gateway, &caller, id).await?))
}

impl Batch {
    /// The batch as it is now, with its scans.
    pub async fn get(gateway: &mut Gateway, caller: &Caller, id: String) -> Result<Batch, Problem> {
        let batch = gateway.scans.get_batch(caller.request(BatchRef { id })).await?.into_inner();
        Batch::with_scans(gateway, caller, batch).await
    }

    pub async fn with_scans(
        gateway: &mut Gateway,
        caller: &Caller,
        batch: storage::Batch,
    ) -> Result<Batch, Problem> {
        let gateway = &*gateway;
        let entries =
            stream::iter(batch.entries).map(|entry| Entry::with_scan(gateway, caller, entry));
        let entries: Vec<Entry> = entries.buffered(SIDE_BY_SIDE).try_collect().await?;
        let done = entries.iter().all(|entry| entry.scan.as_ref().is_none_or(Scan::is_done));
        let (id, accepted_ms) = (batch.id, batch.accepted_ms);
        Ok(Batch { id, accepted_ms, accepted_at: rfc3339(accepted_ms), done, entries })
    }
}

impl Entry {
    async fn with_scan(
        gateway: &Gateway,
        caller: &Caller,
        entry: BatchEntry,
    ) -> Result<Entry, Problem> {
        let BatchEntry { name, scan_id, refusal, series } = entry;
        let series = series.map(choice);
        if scan_id.is_empty() {
            let refusal = refusal.map(EntryRefusal::from);
            return Ok(Entry { name, scan: None, refusal, series });
        }
        match gateway.scans.clone().get(caller.request(ScanRef { id: scan_id })).await {
            // Deleted since the batch was read.
            Err(status) if status.code() == Code::NotFound => {
                Ok(Entry { name: String::new(), scan: None, refusal: None, series: None })
            }
            scan => {
                let scan = Some(scan?.into_inner().try_into()?);
                Ok(Entry { name, scan, refusal: None, series })
            }
        }
    }
}

impl From<Refusal> for EntryRefusal {
    /// With the `type` that a problem would have.
    fn from(Refusal { problem, title, detail }: Refusal) -> EntryRefusal {
        EntryRefusal { r#type: format!("/problems/{problem}"), title, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_leads_to_its_page() {
        let refusal = Refusal {
            problem: "too-small".into(),
            title: "The image is too small".into(),
            detail: "12 x 12".into(),
        };
        let shown = serde_json::to_value(EntryRefusal::from(refusal)).unwrap();
        assert_eq!(
            (&shown["type"], &shown["detail"]),
            (&"/problems/too-small".into(), &"12 x 12".into())
        );
    }
}
