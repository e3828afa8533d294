//! How well a series fits the models, as columns keep it.

use domain::{ErrorKind, Result};
use proto::storage::SeriesFit;

/// What a row tells of a series; None: it was compared with no other.
pub fn told(json: Option<String>) -> Result<Option<SeriesFit>> {
    json.map(|json| serde_json::from_str(&json)).transpose().map_err(|error| {
        ErrorKind::Internal.error("what was said of a stored series cannot be read").because(error)
    })
}

/// The same for a row.
pub fn json(series: Option<&SeriesFit>) -> Result<Option<String>> {
    series.map(serde_json::to_string).transpose().map_err(|error| {
        ErrorKind::Internal.error("what was said of a series cannot be written").because(error)
    })
}
