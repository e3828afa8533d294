//! What was observed of each scan, as CSV or Parquet: what a data scientist loads into a frame of their own.

mod parquet;

use std::collections::BTreeSet;

use domain::{ErrorKind, Result, rfc3339};
use platform::db;
use proto::drift::RowsFormat;
use proto::events::{ModelIdentity, Observation};
use service::claims::Tenant;
use sqlx::FromRow;

use crate::quality::{Period, apart};
use crate::store::{Store, parsed};

/// Rows of one answer at most. Nothing is cut silently: whoever asks for more is told.
const ROWS_MAX: i64 = 20_000;

/// What comes before the features, each of which has a column by its name, and before the figures of the embedding.
const COLUMNS: [&str; 15] = [
    "scan_id",
    "completed_at",
    "window_id",
    "answer",
    "model_name",
    "model_version",
    "image_kind",
    "scanner",
    "site",
    "orientation",
    "sequence",
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
    site: Option<String>,
    response_ms: Option<i64>,
    observation: String,
}

/// The rows of the tenant's scans of the period, oldest first; as CSV with a header.
pub async fn rows(
    store: &Store,
    tenant: Tenant,
    period: Period,
    format: RowsFormat,
) -> Result<Vec<u8>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT scan_id, completed_ms, window_id, answer, site, response_ms, observation FROM observations
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
    apart(move || {
        let table = Table::new(rows)?;
        match format {
            RowsFormat::Unspecified | RowsFormat::Csv => table.csv(),
            RowsFormat::Parquet => table.parquet(),
        }
    })
    .await?
}

/// The rows, column by column.
struct Table {
    rows: usize,
    columns: Vec<(String, Column)>,
}

/// What a column holds.
enum Column {
    /// Empty: missing.
    Text(Vec<String>),
    /// Milliseconds since 1970.
    Moment(Vec<i64>),
    /// Finite.
    Number(Vec<Option<f64>>),
}

impl Table {
    fn new(rows: Vec<Row>) -> Result<Table> {
        let mut seen = Vec::with_capacity(rows.len());
        for row in rows {
            let observation: Option<Observation> = parsed(&row.observation)?;
            seen.push((row, observation.unwrap_or_default()));
        }
        let fixed = COLUMNS.map(|name| (name.to_owned(), fixed(name, &seen)));
        let columns = fixed.into_iter().chain(features(&seen)).chain(figures(&seen)).collect();
        Ok(Table { rows: seen.len(), columns })
    }

    fn csv(&self) -> Result<Vec<u8>> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(self.columns.iter().map(|(name, _)| name)).map_err(unwritable)?;
        for row in 0..self.rows {
            let cells = self.columns.iter().map(|(_, column)| column.cell(row));
            csv.write_record(cells).map_err(unwritable)?;
        }
        csv.into_inner().map_err(|error| {
            ErrorKind::Internal.error("rows are not written").because(error.into_error())
        })
    }
}

impl Column {
    /// As CSV has it. A number has all its digits, as whoever reads it gets the very same; what is missing is left empty.
    fn cell(&self, row: usize) -> String {
        match self {
            Column::Text(texts) => texts[row].clone(),
            Column::Moment(moments) => rfc3339(moments[row]).unwrap_or_default(),
            Column::Number(numbers) => numbers[row].map(|it| it.to_string()).unwrap_or_default(),
        }
    }
}

/// The column of that name, one of [`COLUMNS`].
fn fixed(name: &str, seen: &[(Row, Observation)]) -> Column {
    let text = |of: fn(&Row, &Observation) -> String| {
        Column::Text(seen.iter().map(|(row, seen)| of(row, seen)).collect())
    };
    match name {
        "scan_id" => text(|row, _| row.scan_id.clone()),
        "completed_at" => Column::Moment(seen.iter().map(|(row, _)| row.completed_ms).collect()),
        "window_id" => text(|row, _| row.window_id.clone().unwrap_or_default()),
        "answer" => text(|row, _| row.answer.clone()),
        "model_name" => text(|_, seen| model(seen).name),
        "model_version" => text(|_, seen| model(seen).version),
        "image_kind" => text(|_, seen| seen.image_kind.clone().unwrap_or_default()),
        "scanner" => text(|_, seen| seen.scanner.clone().unwrap_or_default()),
        "site" => text(|row, _| row.site.clone().unwrap_or_default()),
        "orientation" => text(|_, seen| seen.orientation.clone().unwrap_or_default()),
        "sequence" => text(|_, seen| seen.sequence.clone().unwrap_or_default()),
        "response_ms" => numbers(seen, |row, _| row.response_ms.map(|ms| ms as f64)),
        "compute_ms" => numbers(seen, |_, seen| seen.compute_ms),
        "mask_fraction" => numbers(seen, |_, seen| seen.mask_fraction),
        _ => numbers(seen, |_, seen| seen.confidence),
    }
}

/// A column for each feature that any scan has, by its name.
fn features(seen: &[(Row, Observation)]) -> Vec<(String, Column)> {
    let names = seen.iter().flat_map(|(_, seen)| seen.features.keys());
    let names: BTreeSet<&String> = names.filter(|name| !COLUMNS.contains(&name.as_str())).collect();
    let column = |name: &String| numbers(seen, |_, seen| seen.features.get(name).copied());
    names.into_iter().map(|name| (name.clone(), column(name))).collect()
}

/// A column for each figure of the longest embedding.
fn figures(seen: &[(Row, Observation)]) -> Vec<(String, Column)> {
    let lengths = seen.iter().filter_map(|(_, seen)| Some(seen.embedding.as_ref()?.values.len()));
    let column =
        |place: usize| numbers(seen, |_, seen| seen.embedding.as_ref()?.values.get(place).copied());
    let width = lengths.max().unwrap_or_default();
    (0..width).map(|place| (format!("embedding_{place}"), column(place))).collect()
}

/// What is no finite number is missing.
fn numbers(seen: &[(Row, Observation)], of: impl Fn(&Row, &Observation) -> Option<f64>) -> Column {
    let number = |(row, seen): &(Row, Observation)| of(row, seen).filter(|it| it.is_finite());
    Column::Number(seen.iter().map(number).collect())
}

fn model(seen: &Observation) -> ModelIdentity {
    seen.model.clone().unwrap_or_default()
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
            site: (id == "1").then(|| "West".to_owned()),
            response_ms: (id == "1").then_some(120),
            observation: observation.to_owned(),
        }
    }

    #[test]
    fn a_row_has_all_that_was_observed_and_each_feature_a_column() {
        let whole = concat!(
            r#"{"features":{"std":0.1,"mean":0.375},"mask_fraction":1e-7,"confidence":null,"#,
            r#""model":{"name":"medseg, \"mr\"","version":"1","sha256":"ab"},"image_kind":"flair","#,
            r#""scanner":"Acme","orientation":"axial","sequence":"SE/IR 2D","compute_ms":80.5,"#,
            r#""embedding":{"projection":"signs-32","slices":1,"values":[0.5,-2.0]}}"#,
        );
        let table = Table::new(vec![row("1", whole), row("2", "null")]).unwrap();
        let expected = concat!(
            "scan_id,completed_at,window_id,answer,model_name,model_version,image_kind,scanner,site,",
            "orientation,sequence,response_ms,compute_ms,mask_fraction,confidence,mean,std,embedding_0,embedding_1\n",
            "1,1970-01-01T00:00:00.007Z,w,found,\"medseg, \"\"mr\"\"\",1,flair,Acme,West,axial,SE/IR 2D,",
            "120,80.5,0.0000001,,0.375,0.1,0.5,-2\n",
            "2,1970-01-01T00:00:00.007Z,,found,,,,,,,,,,,,,,,\n",
        );
        assert_eq!(String::from_utf8(table.csv().unwrap()).unwrap(), expected);
    }

    #[test]
    fn no_scans_are_a_header_alone() {
        let table = Table::new(Vec::new()).unwrap();
        let written = String::from_utf8(table.csv().unwrap()).unwrap();
        assert_eq!(written.lines().collect::<Vec<_>>(), [COLUMNS.join(",")]);
    }
}
