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

/// The model that has answered, the week of ISO 8601 in which the scan was completed (in UTC), the kind of image, or the size
/// of what the model has marked.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum QualityBy {
    #[default]
    Model,
    Week,
    Kind,
    Size,
}

impl From<QualityBy> for drift::QualityBy {
    fn from(by: QualityBy) -> drift::QualityBy {
        match by {
            QualityBy::Model => drift::QualityBy::Model,
            QualityBy::Week => drift::QualityBy::Week,
            QualityBy::Kind => drift::QualityBy::Kind,
            QualityBy::Size => drift::QualityBy::Size,
        }
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
}

/// The figures of one group of scans.
#[derive(Serialize, ToSchema)]
struct QualityGroup {
    by: QualityBy,
    /// Such as `medseg-mr/0.4.0`, `2026-W48`, `flair` or `over 1 %`.
    name: String,
    /// Scans that were answered.
    scans: u64,
    /// Those that a reader has given a verdict on. They are not drawn by chance.
    reviewed: u64,
    share_reviewed: Option<f64>,
    /// Reviewed scans whose readers differ on whether there is a tumour; neither `far` nor `frr` counts them.
    disputed: u64,
    /// Of readers' masks beside the model's; `null` where it is known of no scan.
    dice: Option<QualityDice>,
    /// False acceptance rate, by scan: a tumour was found, of all scans without one. `null` where there are none.
    far: Option<QualityRate>,
    /// False rejection rate, by scan: none was found, of all scans with a tumour. `null` where there are none.
    frr: Option<QualityRate>,
    /// Scans on which all readers agree who are sure, of all on which anybody is sure.
    agree: QualityRate,
}

/// How often something happened, with Wilson's 95 % interval.
#[derive(Serialize, ToSchema)]
struct QualityRate {
    /// `null` where it never could have.
    rate: Option<f64>,
    low: f64,
    high: f64,
    /// How often it happened.
    count: u64,
    /// How often it could have.
    of: u64,
}

/// The mean over scans, with a 95 % interval (bootstrap over scans). A scan that is empty in both masks counts 1.
#[derive(Serialize, ToSchema)]
struct QualityDice {
    mean: f64,
    low: f64,
    high: f64,
    /// Scans of which it is the mean.
    count: u64,
    /// Of them, those that are empty in both masks.
    empty: u64,
    /// Of all others; `null` where there are none.
    mean_not_empty: Option<f64>,
}

/// Shows how good the answers are, by what readers say of them
///
/// False acceptance and false rejection by scan, Dice, and how often readers agree; each with a 95 % interval, with how many scans
/// it is of and with how many of all were reviewed. For the roles `clinician`, `scientist` and `admin`; who is only a `clinician` is
/// shown no figures of fewer than five reviewed scans, for readers judge without knowing what others think.
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
    let drift::Quality { groups, from_ms, to_ms, remarks } = quality;
    QualityFigures {
        groups: groups.into_iter().map(|group| QualityGroup::of(by, group)).collect(),
        from: Some(from_ms).filter(|ms| *ms != 0).and_then(rfc3339),
        to: rfc3339(to_ms),
        remarks,
    }
}

impl QualityGroup {
    fn of(by: QualityBy, group: drift::QualityGroup) -> QualityGroup {
        let known = |share: Option<drift::Share>| share.filter(|share| share.of > 0);
        QualityGroup {
            by,
            name: group.name,
            scans: group.scans,
            reviewed: group.reviewed,
            share_reviewed: group.share_reviewed,
            disputed: group.disputed,
            dice: group.dice.map(QualityDice::from),
            far: known(group.far).map(QualityRate::from),
            frr: known(group.frr).map(QualityRate::from),
            agree: group.agree.map_or(NOTHING_KNOWN, QualityRate::from),
        }
    }
}

/// What is said of a rate that nobody has told.
const NOTHING_KNOWN: QualityRate = QualityRate { rate: None, low: 0.0, high: 1.0, count: 0, of: 0 };

impl From<drift::Share> for QualityRate {
    fn from(drift::Share { rate, low, high, count, of }: drift::Share) -> QualityRate {
        QualityRate { rate, low, high, count, of }
    }
}

impl From<drift::MeanDice> for QualityDice {
    fn from(dice: drift::MeanDice) -> QualityDice {
        let drift::MeanDice { mean, low, high, count, empty, mean_not_empty } = dice;
        QualityDice { mean, low, high, count, empty, mean_not_empty }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(count: u64, of: u64) -> Option<drift::Share> {
        let rate = (of > 0).then(|| count as f64 / of as f64);
        Some(drift::Share { rate, low: 0.25, high: 0.75, count, of })
    }

    #[test]
    fn figures_are_json_in_which_no_rate_stands_without_its_count() {
        let group = drift::QualityGroup {
            name: "2026-W48".into(),
            scans: 8,
            reviewed: 2,
            share_reviewed: Some(0.25),
            disputed: 1,
            dice: Some(drift::MeanDice {
                mean: 0.5,
                low: 0.125,
                high: 0.875,
                count: 3,
                empty: 1,
                mean_not_empty: None,
            }),
            far: share(0, 0),
            frr: share(1, 2),
            agree: share(0, 0),
        };
        let quality =
            drift::Quality { groups: vec![group], from_ms: 0, to_ms: 7, remarks: vec!["r".into()] };
        let json = concat!(
            r#"{"groups":[{"by":"week","name":"2026-W48","scans":8,"reviewed":2,"share_reviewed":0.25,"disputed":1,"#,
            r#""dice":{"mean":0.5,"low":0.125,"high":0.875,"count":3,"empty":1,"mean_not_empty":null},"far":null,"#,
            r#""frr":{"rate":0.5,"low":0.25,"high":0.75,"count":1,"of":2},"#,
            r#""agree":{"rate":null,"low":0.25,"high":0.75,"count":0,"of":0}}],"#,
            r#""from":null,"to":"1970-01-01T00:00:00.007Z","remarks":["r"]}"#,
        );
        assert_eq!(serde_json::to_string(&said(QualityBy::Week, quality)).unwrap(), json);
    }

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
