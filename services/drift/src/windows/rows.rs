//! What was observed of each scan, as CSV: what a data scientist loads into a frame of their own.

use std::collections::BTreeSet;

use domain::{ErrorKind, Result, rfc3339};
use platform::db;
use proto::events::Observation;
use service::claims::Tenant;
use sqlx::FromRow;

use crate::quality::{Period, apart};
use crate::store::{Store, parsed};

/// Rows of one answer at most. Nothing is cut silently: whoever asks for more is told.
const ROWS_MAX: i64 = 20_000;

/// What comes before the features, each of which has a column by its name.
const COLUMNS: [&str; 12] = [
    "scan_id",
    "completed_at",
    "window_id",
    "answer",
    "model_name",
    "model_version",
    "image_kind",
    "scanner",
    "response_ms",
    "compute_ms",
    "mask_fraction",
    "confidence",
];

#[derive(Debug, FromRow)]
struct Row {
    scan_id: String,
    completed_ms: i64,
    window_id: Option<String>,
    answer: String,
    response_ms: Option<i64>,
    observation: String,
}

/// The rows of the tenant's scans of the period, oldest first, with a header.
pub async fn rows(store: &Store, tenant: Tenant, period: Period) -> Result<Vec<u8>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT scan_id, completed_ms, window_id, answer, response_ms, observation FROM observations
         WHERE tenant_id = ? AND completed_ms >= ? AND completed_ms < ?
         ORDER BY completed_ms, event_id LIMIT ?",
    )
    .bind(tenant.to_string())
    .bind(period.from_ms)
    .bind(period.to_ms)
    .bind(ROWS_MAX + 1)
    .fetch_all(store.database.pool())
    .await
    .map_err(db::failed)?;
    if rows.len() as i64 > ROWS_MAX {
        let words = format!("there are more than {ROWS_MAX} scans in it: ask for a shorter time");
        return Err(ErrorKind::Invalid.error(words));
    }
    apart(move || written(rows)).await?
}

fn written(rows: Vec<Row>) -> Result<Vec<u8>> {
    let mut seen = Vec::with_capacity(rows.len());
    for row in rows {
        let observation: Option<Observation> = parsed(&row.observation)?;
        seen.push((row, observation.unwrap_or_default()));
    }
    let names = seen.iter().flat_map(|(_, seen)| seen.features.keys().cloned());
    let names: BTreeSet<String> = names.filter(|name| !COLUMNS.contains(&name.as_str())).collect();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(COLUMNS.into_iter().chain(names.iter().map(String::as_str)))
        .map_err(unwritable)?;
    for (row, seen) in &seen {
        let features = names.iter().map(|name| number(seen.features.get(name).copied()));
        csv.write_record(cells(row, seen).into_iter().chain(features)).map_err(unwritable)?;
    }
    csv.into_inner().map_err(|error| {
        ErrorKind::Internal.error("rows are not written").because(error.into_error())
    })
}

/// In the order of [`COLUMNS`].
fn cells(row: &Row, seen: &Observation) -> [String; 12] {
    let model = seen.model.clone().unwrap_or_default();
    [
        row.scan_id.clone(),
        rfc3339(row.completed_ms).unwrap_or_default(),
        row.window_id.clone().unwrap_or_default(),
        row.answer.clone(),
        model.name,
        model.version,
        seen.image_kind.clone().unwrap_or_default(),
        seen.scanner.clone().unwrap_or_default(),
        row.response_ms.map(|ms| ms.to_string()).unwrap_or_default(),
        number(seen.compute_ms),
        number(seen.mask_fraction),
        number(seen.confidence),
    ]
}

/// With all its digits, as whoever reads it gets the very same number; what is no finite number is left empty, as missing.
fn number(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map(|value| value.to_string()).unwrap_or_default()
}

fn unwritable(error: csv::Error) -> domain::Error {
    ErrorKind::Internal.error("a row is no CSV").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, observation: &str) -> Row {
        Row {
            scan_id: id.to_owned(),
            completed_ms: 7,
            window_id: (id == "1").then(|| "w".to_owned()),
            answer: "found".to_owned(),
            response_ms: (id == "1").then_some(120),
            observation: observation.to_owned(),
        }
    }

    #[test]
    fn a_row_has_all_that_was_observed_and_each_feature_a_column() {
        let whole = concat!(
            r#"{"features":{"std":0.1,"mean":0.375},"mask_fraction":1e-7,"confidence":null,"#,
            r#""model":{"name":"medseg, \"mr\"","version":"1","sha256":"ab"},"image_kind":"flair","#,
            r#""scanner":"Acme","compute_ms":80.5}"#,
        );
        let written = written(vec![row("1", whole), row("2", "null")]).unwrap();
        let expected = concat!(
            "scan_id,completed_at,window_id,answer,model_name,model_version,image_kind,scanner,",
            "response_ms,compute_ms,mask_fraction,confidence,mean,std\n",
            "1,1970-01-01T00:00:00.007Z,w,found,\"medseg, \"\"mr\"\"\",1,flair,Acme,",
            "120,80.5,0.0000001,,0.375,0.1\n",
            "2,1970-01-01T00:00:00.007Z,,found,,,,,,,,,,\n",
        );
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[test]
    fn no_scans_are_a_header_alone() {
        let written = String::from_utf8(written(Vec::new()).unwrap()).unwrap();
        assert_eq!(written.lines().collect::<Vec<_>>(), [COLUMNS.join(",")]);
    }
}
