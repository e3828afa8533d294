use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::ErrorKind;
use domain::artefact::VOLUME;
use imaging::StoredGrid;
use proto::storage::{ArtefactRef, Chunk, ScanRef};
use tonic::Streaming;

use crate::Gateway;
use crate::artefacts::{PRIVATE, going_on, matches};
use crate::caller::Caller;
use crate::extract::Path;
use crate::problem::{INTERNAL, Problem};
use crate::scans::Binary;

/// Gives the scan's volume, as NIfTI
///
/// For viewers: the voxels as pictures of its slices show them, and nothing that the upload's header says but where they lie. The
/// pixels are as they are: a head's volume shows a face. 32-bit floats, not compressed; from the moment that the scan is accepted.
#[utoipa::path(
    operation_id = "get_volume", get, path = "/v1/scans/{id}/volume.nii", tag = "results", params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "The volume", body = Binary, content_type = "application/octet-stream"),
        (status = 304, description = "Unchanged: the `If-None-Match` still matches"),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Whether the caller may still see it is asked each time.
    let id = gateway.scans.get(caller.request(ScanRef { id })).await?.into_inner().id;
    let tag = format!("\"{id}/volume.nii\"");
    let known = matches(&headers, &tag);
    let about = [(header::ETAG, tag), (header::CACHE_CONTROL, PRIVATE.to_owned())];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let shown = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}-volume.nii\"")),
    ];
    let volume = ArtefactRef { id, name: VOLUME.name.to_owned() };
    let chunks = gateway.scans.read(caller.request(volume)).await?.into_inner();
    Ok((about, shown, nifti(chunks, "a volume").await?).into_response())
}

/// A stored volume that comes, as a NIfTI file with its length.
pub async fn nifti(mut chunks: Streaming<Chunk>, what: &'static str) -> Result<Response, Problem> {
    let (grid, voxels) = begun(&mut chunks).await?;
    let head = grid.nifti_header()?;
    let length = [(header::CONTENT_LENGTH, (head.len() + grid.voxel_bytes()).to_string())];
    let bytes = going_on(vec![head.into(), voxels], chunks, |chunk| chunk.data, what);
    Ok((length, Body::from_stream(bytes)).into_response())
}

/// On which grid the voxels lie that come, and the first of them.
async fn begun(chunks: &mut Streaming<Chunk>) -> Result<(StoredGrid, Bytes), Problem> {
    let mut first = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        first.extend_from_slice(&chunk.data);
        if let Some(grid) = StoredGrid::read(&first).map_err(|error| unsound(&error))? {
            let voxels = first.split_off(grid.voxels_begin());
            return Ok((grid, voxels.into()));
        }
    }
    Err(unsound(&ErrorKind::Invalid.error("a stored volume ends within its header")))
}

/// What storage keeps was made here: anything wrong with it is ours to mend.
fn unsound(error: &domain::Error) -> Problem {
    tracing::error!(%error, "a stored volume cannot be read");
    INTERNAL.problem("internal error")
}
