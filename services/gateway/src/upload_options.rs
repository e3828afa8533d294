use domain::Priority;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::stated::Identifier;

/// What an upload says beside its file.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UploadOptions {
    /// How urgent the analysis is.
    #[serde(default)]
    #[param(required = false)]
    pub priority: Priority,
    /// What the sender calls the scan; kept with its identity, and found again by it.
    #[param(inline, value_type = Option<Identifier>)]
    pub reference: Option<String>,
    /// Whose scan it is, where the file does not say so itself. A file that says otherwise is refused.
    #[param(inline, value_type = Option<Identifier>)]
    pub patient_id: Option<String>,
    /// Of which examination it is, where the file does not say so itself. A file that says otherwise is refused.
    #[param(inline, value_type = Option<Identifier>)]
    pub accession_number: Option<String>,
    /// Where the scan was made, such as a hospital's branch: what `/v1/quality` groups by, in place of the institution that a DICOM
    /// file names. It travels in the event `scan.completed`, so that it must name nobody.
    #[param(inline, value_type = Option<Identifier>)]
    pub site: Option<String>,
    /// Which DICOM series of a study are analysed, where several come at once; those that fit, where nothing is said. All of them are
    /// kept, and told with what speaks for each and against it. Only where it is said is one zip taken that holds several series of a
    /// study: one file is one scan else, and such a zip is refused as `mixed-series`.
    #[param(inline)]
    pub series: Option<WantedSeries>,
}

/// Which series of a study are analysed.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WantedSeries {
    /// Those that fit a registered model; each of them where none does.
    Fitting,
    /// Each of them.
    All,
}

impl WantedSeries {
    /// In the words of ingest.
    pub fn message(self) -> &'static str {
        match self {
            WantedSeries::Fitting => "fitting",
            WantedSeries::All => "all",
        }
    }
}

impl UploadOptions {
    /// The wish of that name, however it is spelt: `patientId` is `patient_id`.
    pub fn named(name: &str) -> Option<String> {
        let plain = |name: &str| name.replace(['_', '-', ' '], "").to_ascii_lowercase();
        let options = UploadOptions::into_params(|| None).into_iter().map(|option| option.name);
        options.into_iter().find(|option| plain(option) == plain(name))
    }
}
