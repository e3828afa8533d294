use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use imaging::ImageKind;
use proto::storage::{self, ListPriorScans};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{Path, Query};
use crate::paging::{WantedPage, next_page};
use crate::problem::{INTERNAL, Problem};
use crate::scans::Scan;

/// An earlier scan of the same patient.
#[derive(Serialize, ToSchema)]
pub struct Prior {
    #[serde(flatten)]
    scan: Scan,
    /// What its image was read as: sizes on images of two kinds are no two measures of one thing.
    kind: ImageKind,
}

/// Earlier scans of the same patient, those that were sent last first.
#[derive(Serialize, ToSchema)]
pub struct Priors {
    /// At most `limit`; fewer where scans of the patient are left out.
    priors: Vec<Prior>,
    /// What the next page begins with; `null` on the last page.
    next_cursor: Option<String>,
}

/// Lists earlier scans of the same patient
///
/// Of the same number, given by the same issuer, as the files or their senders say; of the caller's hospital; and that there is a
/// result of. Earlier is what was examined before, as the files say; else what was sent before. Left out are other series of the
/// same study and the same image once more. A scan of which nobody knows whose it is has none. For the roles `clinician` and
/// `integrator`.
#[utoipa::path(
    operation_id = "list_priors", get, path = "/v1/scans/{id}/priors", tag = "results",
    params(("id" = String, Path, description = "The scan's id", format = "uuid"), WantedPage),
    responses(
        (status = 200, description = "One page of scans", body = Priors,
            headers(("Link" = Option<String>, description = "The next page, as `rel=\"next\"` (RFC 8288)"))),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    Query(wanted): Query<WantedPage>,
) -> Result<(HeaderMap, Json<Priors>), Problem> {
    let (limit, cursor) = wanted.checked()?;
    let path = format!("/v1/scans/{id}/priors");
    let asked = caller.request(ListPriorScans { id, limit, cursor });
    let page = gateway.scans.list_priors(asked).await?.into_inner();
    let priors = page.priors.into_iter().map(Prior::try_from).collect::<Result<_, _>>()?;
    let (link, next_cursor) = next_page(&path, query, page.next_cursor);
    Ok((link, Json(Priors { priors, next_cursor })))
}

impl TryFrom<storage::Prior> for Prior {
    type Error = Problem;

    fn try_from(prior: storage::Prior) -> Result<Prior, Problem> {
        let storage::Prior { scan, image_kind } = prior;
        let scan = scan.ok_or_else(|| {
            tracing::error!("storage tells of a prior without a scan");
            INTERNAL.problem("internal error")
        })?;
        Ok(Prior { scan: scan.try_into()?, kind: image_kind.parse().unwrap_or_default() })
    }
}
