//! Searches for studies, series and instances (QIDO-RS: PS3.18, 10.6).

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::limits::PAGE_DEFAULT;
use report::dicom::is_uid;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::accept::{self, Wanted};
use super::budget::Budget;
use super::held::{self, Item, Series, Study};
use super::index::Telling;
use super::query::{Asked, Level};
use super::{DicomJson, json};
use crate::Gateway;
use crate::caller::Caller;
use crate::extract::Path;
use crate::problem::Problem;

/// Studies that are looked through for series or instances where none of them is named.
const STUDIES_LOOKED_THROUGH: u32 = 50;
/// Reports that are made for one search: they have their names by their bytes.
const REPORTS_MADE_MAX: usize = 32;

const MORE: &str = "There are additional results that can be requested.";
const LITERAL: &str =
    "The fuzzymatching parameter is not supported. Only literal matching has been performed.";

/// What is searched by: attributes go by their keywords or by their tags, as in `00100020`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the API")]
pub struct Keys {
    /// The study's UID, or several with commas.
    #[param(rename = "StudyInstanceUID")]
    study_instance_uid: Option<String>,
    /// The patient's number; `*` and `?` stand for any letters and for one.
    #[param(rename = "PatientID")]
    patient_id: Option<String>,
    /// The patient's name, as in `DOE^J*`; large and small letters are alike.
    #[param(rename = "PatientName")]
    patient_name: Option<String>,
    /// A day or a range of days, as in `20240101-20240131`.
    #[param(rename = "StudyDate")]
    study_date: Option<String>,
    /// The order's number; `*` and `?` as in `PatientID`.
    #[param(rename = "AccessionNumber")]
    accession_number: Option<String>,
    /// What one of the study's series is, as in `MR`; results are `SEG`, `SR`, `OT` and `DOC`.
    #[param(rename = "ModalitiesInStudy")]
    modalities_in_study: Option<String>,
    /// What the series is; of studies as `ModalitiesInStudy`.
    #[param(rename = "Modality")]
    modality: Option<String>,
    /// The series' UID, or several with commas; not of studies.
    #[param(rename = "SeriesInstanceUID")]
    series_instance_uid: Option<String>,
    /// The instance's UID, or several with commas; of instances only.
    #[param(rename = "SOPInstanceUID")]
    sop_instance_uid: Option<String>,
    /// The instance's class, or several with commas; of instances only.
    #[param(rename = "SOPClassUID")]
    sop_class_uid: Option<String>,
    /// Attributes that are wanted besides, or `all`; of instances those that their files have.
    includefield: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// How many are passed over.
    #[param(minimum = 0, default = 0)]
    offset: Option<u32>,
    /// Names are compared letter by letter all the same, and a header `Warning` says so.
    fuzzymatching: Option<bool>,
}

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(studies))
        .routes(routes!(series))
        .routes(routes!(instances))
        .routes(routes!(series_of_study))
        .routes(routes!(instances_of_study))
        .routes(routes!(instances_of_series))
}

/// Finds studies, as DICOMweb asks for them (QIDO-RS)
///
/// Studies that scans here are of, which came as DICOM: newest first, with what their files say of patient and examination. For the
/// roles `clinician` and `integrator`; each scan whose identity is told is noted in the audit trail. What is searched by and not named
/// here is refused. A header `Warning` says that there is more.
#[utoipa::path(
    operation_id = "search_studies", get, path = "/dicomweb/studies", tag = "results", params(Keys, Wanted),
    responses(
        (status = 200, description = "The studies, in the DICOM JSON model", body = DicomJson, content_type = "application/dicom+json"),
        (status = 204, description = "There is none"),
        (status = 406, description = "Another form than JSON is asked for", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn studies(
    State(gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    search(gateway, caller, Level::Study, [None, None], query, &headers).await
}

/// Finds series of any study (QIDO-RS)
///
/// As `search_studies`: the images of each scan, and each object that its result is, as a series. Of more studies than are looked through
/// at a time, a header `Warning` says so.
#[utoipa::path(
    operation_id = "search_series", get, path = "/dicomweb/series", tag = "results", params(Keys, Wanted),
    responses(
        (status = 200, description = "The series, in the DICOM JSON model", body = DicomJson, content_type = "application/dicom+json"),
        (status = 204, description = "There is none"),
        (status = 406, description = "Another form than JSON is asked for", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn series(
    State(gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    search(gateway, caller, Level::Series, [None, None], query, &headers).await
}

/// Finds instances of any study (QIDO-RS)
///
/// As `search_series`.
#[utoipa::path(
    operation_id = "search_instances", get, path = "/dicomweb/instances", tag = "results", params(Keys, Wanted),
    responses(
        (status = 200, description = "The instances, in the DICOM JSON model", body = DicomJson, content_type = "application/dicom+json"),
        (status = 204, description = "There is none"),
        (status = 406, description = "Another form than JSON is asked for", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn instances(
    State(gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    search(gateway, caller, Level::Instance, [None, None], query, &headers).await
}

/// Finds series of a study (QIDO-RS)
///
/// As `search_series`. Another hospital's study is as one that never was.
#[utoipa::path(
    operation_id = "search_series_of_study", get, path = "/dicomweb/studies/{study}/series", tag = "results",
    params(("study" = String, Path, description = "The study's UID"), Keys, Wanted),
    responses(
        (status = 200, description = "The series, in the DICOM JSON model", body = DicomJson, content_type = "application/dicom+json"),
        (status = 204, description = "There is none"),
        (status = 406, description = "Another form than JSON is asked for", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn series_of_study(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(study): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    search(gateway, caller, Level::Series, [Some(study), None], query, &headers).await
}

/// Finds instances of a study (QIDO-RS)
///
/// As `search_series_of_study`.
#[utoipa::path(
    operation_id = "search_instances_of_study", get, path = "/dicomweb/studies/{study}/instances", tag = "results",
    params(("study" = String, Path, description = "The study's UID"), Keys, Wanted),
    responses(
        (status = 200, description = "The instances, in the DICOM JSON model", body = DicomJson, content_type = "application/dicom+json"),
        (status = 204, description = "There is none"),
        (status = 406, description = "Another form than JSON is asked for", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn instances_of_study(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(study): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    search(gateway, caller, Level::Instance, [Some(study), None], query, &headers).await
}

/// Finds instances of a series (QIDO-RS)
///
/// As `search_series_of_study`.
#[utoipa::path(
    operation_id = "search_instances_of_series", get, path = "/dicomweb/studies/{study}/series/{series}/instances", tag = "results",
    params(
        ("study" = String, Path, description = "The study's UID"),
        ("series" = String, Path, description = "The series' UID"),
        Keys,
        Wanted,
    ),
    responses(
        (status = 200, description = "The instances, in the DICOM JSON model", body = DicomJson, content_type = "application/dicom+json"),
        (status = 204, description = "There is none"),
        (status = 406, description = "Another form than JSON is asked for", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn instances_of_series(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((study, series)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    search(gateway, caller, Level::Instance, [Some(study), Some(series)], query, &headers).await
}

/// What is found at that level, within the study and the series that are named.
async fn search(
    mut gateway: Gateway,
    caller: Caller,
    level: Level,
    [study, series]: [Option<String>; 2],
    query: Option<String>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    accept::require_json(headers)?;
    let mut asked = Asked::read(query.as_deref().unwrap_or_default(), level)?;
    let fuzzy = asked.fuzzy;
    let found = if within(&mut asked, study, series) {
        let base = super::base(headers);
        find(&mut gateway, &caller, level, asked, &base).await?
    } else {
        Found::default()
    };
    let mut response = if found.all.is_empty() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        super::answered(&found.all)?
    };
    if fuzzy {
        super::warn(&mut response, LITERAL);
    }
    if found.more {
        super::warn(&mut response, MORE);
    }
    Ok(response)
}

/// Confines what is asked for to the study and the series of the address; false: nothing can be within both.
fn within(asked: &mut Asked, study: Option<String>, series: Option<String>) -> bool {
    let confine = |all: &mut Vec<String>, named: Option<String>| {
        let Some(named) = named else { return true };
        let fits = is_uid(&named) && (all.is_empty() || all.contains(&named));
        *all = vec![named];
        fits
    };
    confine(&mut asked.studies.study_uids, study) && confine(&mut asked.series, series)
}

/// What a search has found, and whether there is more.
#[derive(Default)]
struct Found {
    all: Vec<Value>,
    more: bool,
}

async fn find(
    gateway: &mut Gateway,
    caller: &Caller,
    level: Level,
    mut asked: Asked,
    base: &str,
) -> Result<Found, Problem> {
    let limit = asked.limit.unwrap_or(PAGE_DEFAULT as usize);
    let mut studies = std::mem::take(&mut asked.studies);
    if level == Level::Study {
        studies.limit = u32::try_from(limit).unwrap_or(u32::MAX);
        studies.offset = u32::try_from(asked.offset).unwrap_or(u32::MAX);
        let held::Studies { studies, more } = held::studies(gateway, caller, studies).await?;
        let all = studies.iter().map(|study| Value::Object(json::study(study, base))).collect();
        return Ok(Found { all, more });
    }
    studies.limit = STUDIES_LOOKED_THROUGH;
    let is_named = !studies.study_uids.is_empty();
    let found = held::studies(gateway, caller, studies).await?;
    let budget = gateway.indexes.budget(caller.tenant());
    let mut page = Page::of(asked.offset, limit, found.more, budget);
    // Who names the study knows whose it is, unless it is several patients' by somebody's mistake; others are told with each.
    let is_known = is_named && found.are_of_one_patient();
    for study in &found.studies {
        let whose = if is_known { json::Attributes::new() } else { json::study(study, base) };
        page.take(gateway, caller, level, (study, &whose), &asked, base).await?;
    }
    Ok(Found { all: page.all, more: page.more })
}

/// One page of series or instances, which is filled study by study.
struct Page {
    /// How many are still passed over.
    left_over: usize,
    /// How many it still has room for.
    room: usize,
    all: Vec<Value>,
    more: bool,
    /// How many were made.
    reports: usize,
    budget: Budget,
}

impl Page {
    fn of(left_over: usize, room: usize, more: bool, budget: Budget) -> Page {
        Page { left_over, room, all: Vec::new(), more, reports: 0, budget }
    }

    async fn take(
        &mut self,
        gateway: &mut Gateway,
        caller: &Caller,
        level: Level,
        (study, whose): (&Study, &json::Attributes),
        asked: &Asked,
        base: &str,
    ) -> Result<(), Problem> {
        for series in study.series().iter().filter(|series| is_wanted(series, asked)) {
            if self.room == 0 && self.more {
                return Ok(());
            }
            if level == Level::Series {
                if self.admits() {
                    self.put(whose, json::series(series, base));
                }
                continue;
            }
            if series.object.is_some_and(|object| object.instance.is_none()) {
                self.reports += 1;
                if self.reports > REPORTS_MADE_MAX {
                    self.more = true;
                    continue;
                }
            }
            // First which there are, and then what those say of themselves that are on the page.
            let of_series = gateway.indexes.budget(caller.tenant());
            let items = series.items(gateway, caller, None, &Telling::Place, &of_series).await?;
            let mut items: Vec<Item<'_>> =
                items.into_iter().filter(|item| fits(item, asked) && self.admits()).collect();
            if series.object.is_none() && !items.is_empty() {
                let uids: Vec<String> = items.into_iter().map(|item| item.uid).collect();
                let telling = Telling::Fields(json::fields(asked));
                items = series
                    .items(gateway, caller, Some(uids.as_slice()), &telling, &self.budget)
                    .await?;
            }
            for item in items {
                self.put(whose, json::item(&item, base));
            }
        }
        Ok(())
    }

    /// Whether the page has reached the next one that was found, and has room for it.
    fn admits(&mut self) -> bool {
        if self.left_over > 0 {
            self.left_over -= 1;
            return false;
        }
        self.more |= self.room == 0;
        let admits = self.room > 0;
        self.room = self.room.saturating_sub(1);
        admits
    }

    fn put(&mut self, whose: &json::Attributes, own: json::Attributes) {
        let mut attributes = whose.clone();
        attributes.extend(own);
        self.all.push(Value::Object(attributes));
    }
}

fn fits(item: &Item<'_>, asked: &Asked) -> bool {
    let fits = |wanted: &[String], own: &String| wanted.is_empty() || wanted.contains(own);
    fits(&asked.instances, &item.uid) && fits(&asked.classes, &item.class)
}

fn is_wanted(series: &Series<'_>, asked: &Asked) -> bool {
    let of_modality = asked.modality.is_empty() || series.modality() == asked.modality;
    of_modality && (asked.series.is_empty() || asked.series.contains(&series.uid()))
}

#[cfg(test)]
mod tests {
    use super::super::Memory;
    use super::*;

    #[test]
    fn what_the_address_names_and_what_is_asked_for_must_go_together() {
        let confined = |query: &str, study: &str| {
            let mut asked = Asked::read(query, Level::Series).unwrap();
            let fits = within(&mut asked, Some(study.to_owned()), None);
            (fits, asked.studies.study_uids)
        };
        assert_eq!(confined("", "1.2"), (true, vec!["1.2".to_owned()]));
        assert!(confined("StudyInstanceUID=1.2,1.3", "1.2").0);
        assert!(!confined("StudyInstanceUID=1.3", "1.2").0);
        assert!(!confined("", "x").0);
    }

    #[test]
    fn a_page_passes_over_some_and_says_that_there_are_more() {
        let tenant = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let budget = Memory::default().budget(tenant);
        let mut page = Page::of(1, 2, false, budget);
        let admitted: Vec<i32> = (0..3).filter(|_| page.admits()).collect();
        assert_eq!((admitted, page.more), (vec![1, 2], false));
        assert!(!page.admits() && page.more);
    }
}
