use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use domain::feedback::ReviewState;
use proto::storage;
use serde::{Deserialize, Serialize};
use service::wire;
use utoipa::{IntoParams, ToSchema};

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::Query;
use crate::paging::{limit_of, next_page};
use crate::problem::{INTERNAL, Problem};
use crate::said;
use crate::scans::{Scan, some};

/// Which scans, and which part of the list of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedReviews {
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")]
    cursor: Option<String>,
    /// Only those whose review has come so far. Of any state but `unreviewed`, whoever is no `admin` is shown the scans that they
    /// have judged themselves; an `adjudicator` those whose readers differ (`conflict`), too.
    state: Option<ReviewState>,
    /// Only those whose result was made by that version of a model.
    #[param(max_length = 190)]
    model_version: Option<String>,
}

impl WantedReviews {
    /// In the words of storage.
    fn message(self) -> Result<storage::ListReviews, Problem> {
        let limit = limit_of(self.limit)?;
        Ok(storage::ListReviews {
            limit,
            cursor: self.cursor.unwrap_or_default(),
            state: self.state.map(wire::review_state).unwrap_or_default().into(),
            model_version: said::at_most(190, "model_version", self.model_version)?,
        })
    }
}

/// A scan that there is a result of, and how far its review is.
#[derive(Serialize, ToSchema)]
pub struct ReviewedScan {
    #[serde(flatten)]
    scan: Scan,
    /// What the latest words of its readers come to; `null` where others have judged it and the caller has not.
    review: Option<ReviewState>,
    /// Of the model that made the result; `null`: not known, as of results from before there was feedback.
    model_version: Option<String>,
}

/// Scans, newest first.
#[derive(Serialize, ToSchema)]
pub struct ReviewedScans {
    scans: Vec<ReviewedScan>,
    /// What the next page begins with; `null` on the last page.
    next_cursor: Option<String>,
}

/// Lists the scans that there is a result of, by how far their review is, newest first
#[utoipa::path(
    operation_id = "list_reviews", get, path = "/v1/feedback", tag = "feedback", params(WantedReviews),
    responses((status = 200, description = "One page of scans", body = ReviewedScans,
        headers(("Link" = Option<String>, description = "The next page, as `rel=\"next\"` (RFC 8288)")))),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    Query(wanted): Query<WantedReviews>,
) -> Result<(HeaderMap, Json<ReviewedScans>), Problem> {
    let page = gateway.feedback.list_scans(caller.request(wanted.message()?)).await?.into_inner();
    let scans = page.reviews.into_iter().map(ReviewedScan::try_from).collect::<Result<_, _>>()?;
    let (link, next_cursor) = next_page("/v1/feedback", query, page.next_cursor);
    Ok((link, Json(ReviewedScans { scans, next_cursor })))
}

impl TryFrom<storage::Review> for ReviewedScan {
    type Error = Problem;

    fn try_from(review: storage::Review) -> Result<ReviewedScan, Problem> {
        let state = wire::review_state_of(review.state());
        let storage::Review { scan, model_version, .. } = review;
        let scan = scan.ok_or_else(|| {
            tracing::error!("storage tells of a review without a scan");
            INTERNAL.problem("internal error")
        })?;
        Ok(ReviewedScan {
            scan: scan.try_into()?,
            review: state,
            model_version: some(model_version),
        })
    }
}
