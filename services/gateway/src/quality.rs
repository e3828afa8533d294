use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use domain::rfc3339;
use proto::drift;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::Query;
use crate::problem::Problem;
use crate::quality_group::{QualityBy, QualityGroup};
use crate::times;

/// Which scans, and how they are grouped.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// What the scans of a group have in common.
    #[serde(default)]
    #[param(required = false)]
    by: QualityBy,
    /// Only scans that were completed then or later.
    #[param(format = "date-time")]
    from: Option<String>,
    /// Only scans that were completed before; until now without.
    #[param(format = "date-time")]
    to: Option<String>,
}

impl Asked {
    /// In the words of drift.
    fn message(&self) -> Result<drift::QualityRequest, Problem> {
        Ok(drift::QualityRequest {
            by: drift::QualityBy::from(self.by).into(),
            from_ms: times::ms_if_given("from", self.from.as_deref())?.unwrap_or(0),
            to_ms: times::ms_if_given("to", self.to.as_deref())?.unwrap_or(0),
        })
    }
}

/// How good the answers `found` and `none_found` are, by the latest word of each reader.
#[derive(Serialize, ToSchema)]
pub struct QualityFigures {
    /// In the order of their names; sizes from small to large.
    groups: Vec<QualityGroup>,
    /// From then on; `null`: from the beginning.
    #[schema(format = "date-time")]
    from: Option<String>,
    /// Until before then.
    #[schema(format = "date-time")]
    to: Option<String>,
    /// What whoever reads the figures has to know.
    remarks: Vec<String>,
    /// What each of the remarks is about, in their order, for whoever says it in words of their own.
    remark_kinds: Vec<RemarkKind>,
    /// Files that were refused at the door, by the name of the problem that they were answered with: of the whole days, in UTC, that
    /// begin in the time. A series, or an archive that is refused as a whole, counts as one.
    refused_uploads: BTreeMap<String, u64>,
    /// Why readers do not agree with results, by the reason's name: in how many of the words that count. Nothing where figures of few scans
    /// are not shown to whoever asks.
    reasons: BTreeMap<String, u64>,
    /// The same of single findings, each as often as a reader gives it.
    finding_reasons: BTreeMap<String, u64>,
}

/// What a remark on the figures is about.
#[derive(Serialize, ToSchema)]
pub struct RemarkKind {
    /// `not_by_chance`, `slices_alike`, `latest_words`, `outlined_only`, `sizes_of_marks`, `few_reviewed`, `cut` or
    /// `hidden_from_readers`; there may be others later.
    name: String,
    /// The number of scans that it names, fewer than which are meant; `null`: it names none.
    scans: Option<u64>,
}

impl From<drift::RemarkKind> for RemarkKind {
    fn from(drift::RemarkKind { name, scans }: drift::RemarkKind) -> RemarkKind {
        RemarkKind { name, scans: Some(scans).filter(|scans| *scans > 0) }
    }
}

/// Shows how good the answers are, by what readers say of them
///
/// False acceptance and false rejection by scan and by slice, Dice, and how often readers agree; each with a 95 % interval, with how
/// many scans it is of and with how many of all were reviewed. What is reviewed is not drawn by chance: `weighted` has the same figures
/// with each reviewed scan standing for those like it. Beside them, the Dice that the model expects, how long scans took, and why some
/// have no answer; by model, whether confirmed errors speak against their bound. For the roles `clinician`, `scientist` and `admin`; who
/// is only a `clinician` is shown no figures of fewer than five reviewed scans, for readers judge without knowing what others think.
#[utoipa::path(
    operation_id = "get_quality", get, path = "/v1/quality", tag = "quality", params(Asked),
    responses((status = 200, description = "The figures, in groups", body = QualityFigures)),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<QualityFigures>, Problem> {
    let quality = gateway.drift.get_quality(caller.request(asked.message()?)).await?.into_inner();
    Ok(Json(said(asked.by, quality)))
}

fn said(by: QualityBy, quality: drift::Quality) -> QualityFigures {
    let drift::Quality { groups, from_ms, to_ms, remarks, remark_kinds, .. } = quality;
    QualityFigures {
        groups: groups.into_iter().map(|group| QualityGroup::of(by, group)).collect(),
        from: Some(from_ms).filter(|ms| *ms != 0).and_then(rfc3339),
        to: rfc3339(to_ms),
        remarks,
        remark_kinds: remark_kinds.into_iter().map(RemarkKind::from).collect(),
        refused_uploads: quality.refused_uploads.into_iter().collect(),
        reasons: quality.reasons.into_iter().collect(),
        finding_reasons: quality.finding_reasons.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_by_model_from_the_beginning_until_now() {
        let nothing = Asked { by: QualityBy::default(), from: None, to: None };
        let request = nothing.message().unwrap();
        let by_model =
            drift::QualityRequest { by: drift::QualityBy::Model.into(), from_ms: 0, to_ms: 0 };
        assert_eq!(request, by_model);
        let bad = Asked { from: Some("yesterday".into()), ..nothing };
        assert!(bad.message().unwrap_err().to_string().starts_with("`from` is a time"));
    }
}
