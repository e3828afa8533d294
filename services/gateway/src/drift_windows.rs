//! Windows of drift in the REST face: listed, looked at, compared, and the rows that they are made of.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use proto::drift;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Gateway;
use crate::caller::Caller;
use crate::drift_window::{
    DriftCarrier, DriftComparison, DriftWindow, DriftWindowInFull, DriftWindows,
};
use crate::extract::{Path, Query};
use crate::paging::{limit_of, next_page};
use crate::problem::{INVALID, Problem, UNAVAILABLE};
use crate::scans::Binary;
use crate::{said, times};

/// Scans of a window that are shown where nobody says how many, and as many as a window has at most.
const CARRIERS_DEFAULT: u32 = 20;
const CARRIERS_MAX: u32 = 500;

/// Which windows, and which part of the list of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedWindows {
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    #[param(pattern = "^([0-9]{1,15}\\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")]
    cursor: Option<String>,
    /// Only windows whose last scan was completed then or later.
    #[param(format = "date-time")]
    from: Option<String>,
    /// Only windows whose last scan was completed before.
    #[param(format = "date-time")]
    to: Option<String>,
    /// Only scans of that version of a model.
    #[param(max_length = 190)]
    model_version: Option<String>,
    /// Only images of that kind, such as `flair`.
    #[param(max_length = 32)]
    image_kind: Option<String>,
    /// Only images that this has made.
    #[param(max_length = 64)]
    scanner: Option<String>,
    /// Only images that were made there.
    #[param(max_length = 64)]
    site: Option<String>,
}

impl WantedWindows {
    /// In the words of drift.
    fn message(self) -> Result<drift::ListWindowsRequest, Problem> {
        let limit = limit_of(self.limit)?;
        Ok(drift::ListWindowsRequest {
            from_ms: ms("from", self.from.as_deref())?,
            to_ms: ms("to", self.to.as_deref())?,
            model_version: said::at_most(190, "model_version", self.model_version)?,
            image_kind: said::at_most(32, "image_kind", self.image_kind)?,
            scanner: said::at_most(64, "scanner", self.scanner)?,
            site: said::at_most(64, "site", self.site)?,
            limit,
            cursor: self.cursor.unwrap_or_default(),
        })
    }
}

/// The moment in milliseconds; 0 where none is named.
fn ms(name: &str, moment: Option<&str>) -> Result<i64, Problem> {
    Ok(times::ms_if_given(name, moment)?.unwrap_or(0))
}

/// Lists windows of scans beside what the model was trained on, newest first
///
/// A window is closed on a schedule, once it has thirty scans of one model, kind of image, scanner and site. What the numbers do from
/// one to the next is the trend.
#[utoipa::path(
    operation_id = "list_drift_windows", get, path = "/v1/drift/windows", tag = "drift", params(WantedWindows),
    responses((status = 200, description = "One page of windows", body = DriftWindows,
        headers(("Link" = Option<String>, description = "The next page, as `rel=\"next\"` (RFC 8288)")))),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    Query(wanted): Query<WantedWindows>,
) -> Result<(HeaderMap, Json<DriftWindows>), Problem> {
    let page = gateway.drift.list_windows(caller.request(wanted.message()?)).await?.into_inner();
    let (link, next_cursor) = next_page("/v1/drift/windows", query, page.next_cursor);
    let windows = page.windows.into_iter().map(DriftWindow::from).collect();
    Ok((link, Json(DriftWindows { windows, next_cursor })))
}

/// How much of a window is shown.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedCarriers {
    /// How many scans at most.
    #[param(minimum = 0, maximum = 500, default = 20)]
    carriers: Option<u32>,
}

/// Shows a window, and which scans carry its difference from the training
#[utoipa::path(
    operation_id = "get_drift_window", get, path = "/v1/drift/windows/{id}", tag = "drift",
    params(("id" = String, Path, description = "The window's id", format = "uuid"), WantedCarriers),
    responses(
        (status = 200, description = "The window", body = DriftWindowInFull),
        (status = 404, description = "No such window", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    Query(wanted): Query<WantedCarriers>,
) -> Result<Json<DriftWindowInFull>, Problem> {
    let carriers = wanted.carriers.unwrap_or(CARRIERS_DEFAULT);
    if carriers > CARRIERS_MAX {
        return Err(INVALID.problem(format!("carriers is a number from 0 to {CARRIERS_MAX}")));
    }
    let asked = caller.request(drift::WindowRef { id, carriers });
    let drift::WindowInFull { window, carriers, features } =
        gateway.drift.get_window(asked).await?.into_inner();
    Ok(Json(DriftWindowInFull {
        window: window.unwrap_or_default().into(),
        carried_by: features,
        carriers: carriers.into_iter().map(DriftCarrier::from).collect(),
    }))
}

/// Which two windows.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Compared {
    /// The id of the window that stands for the training reference.
    #[param(format = "uuid")]
    a: String,
    /// The id of the window that is compared with it.
    #[param(format = "uuid")]
    b: String,
}

/// Compares two windows
///
/// The numbers are those of Evidently 0.7 (`psi`, `ks`, `wasserstein`, `jensenshannon`, `chisquare`) on the same scans.
#[utoipa::path(
    operation_id = "compare_drift_windows", get, path = "/v1/drift/compare", tag = "drift", params(Compared),
    responses(
        (status = 200, description = "How the second differs from the first", body = DriftComparison),
        (status = 404, description = "No such window", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn compare(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Query(Compared { a, b }): Query<Compared>,
) -> Result<Json<DriftComparison>, Problem> {
    let asked = caller.request(drift::CompareWindowsRequest { a, b });
    Ok(Json(gateway.drift.compare_windows(asked).await?.into_inner().into()))
}

/// Which scans.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedRows {
    /// Only scans that were completed then or later.
    #[param(format = "date-time")]
    from: Option<String>,
    /// Only scans that were completed before; until now without.
    #[param(format = "date-time")]
    to: Option<String>,
}

/// Hands out what was observed of each scan
///
/// A row for each scan, a column for each feature: what a data scientist loads into a frame. Where there are more than 20,000 scans,
/// ask for a shorter time.
#[utoipa::path(
    operation_id = "get_drift_rows", get, path = "/v1/drift/rows.csv", tag = "drift", params(WantedRows),
    responses((status = 200, description = "The rows, oldest first, with a header", body = String, content_type = "text/csv")),
    security(("bearer" = [])),
)]
pub async fn rows(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(wanted): Query<WantedRows>,
) -> Result<Response, Problem> {
    let csv = read(gateway, &caller, wanted, drift::RowsFormat::Csv).await?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], csv).into_response())
}

/// Hands out the same rows as Apache Parquet
///
/// The columns are those of `rows.csv`, in types of their own: times are timestamps, and what is missing is null.
#[utoipa::path(
    operation_id = "get_drift_rows_as_parquet", get, path = "/v1/drift/rows.parquet", tag = "drift", params(WantedRows),
    responses((status = 200, description = "The rows, oldest first", body = Binary, content_type = "application/vnd.apache.parquet")),
    security(("bearer" = [])),
)]
pub async fn rows_as_parquet(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(wanted): Query<WantedRows>,
) -> Result<Response, Problem> {
    let parquet = read(gateway, &caller, wanted, drift::RowsFormat::Parquet).await?;
    if parquet.is_empty() {
        // No such file is: a peer of the version before knows CSV alone.
        return Err(
            UNAVAILABLE.problem("rows are not handed out as Parquet yet: ask for `rows.csv`")
        );
    }
    Ok(([(header::CONTENT_TYPE, "application/vnd.apache.parquet")], parquet).into_response())
}

/// The rows in that format.
async fn read(
    mut gateway: Gateway,
    caller: &Caller,
    WantedRows { from, to }: WantedRows,
    format: drift::RowsFormat,
) -> Result<Vec<u8>, Problem> {
    let (from_ms, to_ms) = (ms("from", from.as_deref())?, ms("to", to.as_deref())?);
    let format = format.into();
    let asked = caller.request(drift::ReadRowsRequest { from_ms, to_ms, format });
    let mut pieces = gateway.drift.read_rows(asked).await?.into_inner();
    let mut rows = Vec::new();
    while let Some(drift::Rows { csv, parquet }) = pieces.message().await? {
        rows.extend_from_slice(if format == drift::RowsFormat::Csv as i32 {
            &csv
        } else {
            &parquet
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use domain::limits::{PAGE_DEFAULT, PAGE_MAX};

    use super::*;

    #[test]
    fn what_is_not_asked_for_is_the_newest_page_of_all_windows() {
        let nothing = || WantedWindows {
            limit: None,
            cursor: None,
            from: None,
            to: None,
            model_version: None,
            image_kind: None,
            scanner: None,
            site: None,
        };
        let expected = drift::ListWindowsRequest { limit: PAGE_DEFAULT, ..Default::default() };
        assert_eq!(nothing().message().unwrap(), expected);
        for bad in [
            WantedWindows { limit: Some(0), ..nothing() },
            WantedWindows { limit: Some(PAGE_MAX + 1), ..nothing() },
            WantedWindows { to: Some("tomorrow".into()), ..nothing() },
        ] {
            assert!(bad.message().is_err());
        }
    }
}
