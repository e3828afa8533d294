//! A version that looked on beside what served, on the hospital's own scans that readers have confirmed.

use std::time::Duration;

use proto::drift::{self, ConfirmedRequest};
use serde::Serialize;
use tokio::time::timeout;
use tonic::Status;
use utoipa::ToSchema;

use crate::Gateway;
use crate::caller::Caller;
use crate::gate_check::GateCheck;
use crate::quality_group::QualityRate;
use crate::scans::some;

/// How long drift may take: what was asked besides has happened by then, and is to be told in time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Both on the same scans: those of the hospital on which the version looked on, and whose readers say whether there is a tumour and do
/// not differ. Readers have seen what served, and look at what they doubt: for whoever decides, and no gate.
#[derive(Serialize, ToSchema)]
pub struct ConfirmedReport {
    /// The version that was compared last first; of each, all kinds of image together before single ones.
    figures: Vec<ConfirmedFigures>,
    /// Scans of the hospital on which the version looked on.
    compared: u64,
    /// Of them, those that are confirmed.
    confirmed: u64,
    /// Of fewer scans nothing is to be concluded.
    scans_min: u32,
    /// Whether there are more than were looked at.
    cut: bool,
}

/// What both came to on confirmed scans on which each gave an answer.
#[derive(Serialize, ToSchema)]
struct ConfirmedFigures {
    /// What served.
    serving_name: String,
    serving_version: String,
    /// `null`: all kinds.
    image_kind: Option<String>,
    scans: u64,
    /// Whether these are `scans_min` or more.
    enough: bool,
    /// False acceptance rate: of the scans without tumour, those in which one was found.
    far: ConfirmedRate,
    /// False rejection rate: of the scans with tumour, those in which none was found.
    frr: ConfirmedRate,
    /// Scans on which the version alone was wrong.
    only_candidate_wrong: u64,
    /// Scans on which what served alone was wrong.
    only_serving_wrong: u64,
}

/// A rate of both.
#[derive(Serialize, ToSchema)]
struct ConfirmedRate {
    candidate: QualityRate,
    serving: QualityRate,
    /// Whether the version is no worse than chance could make it.
    holds: bool,
}

/// What drift says of it; none where it says nothing, for what was asked besides stands all the same.
pub async fn ask(
    gateway: &mut Gateway,
    caller: &Caller,
    of: ConfirmedRequest,
) -> Option<ConfirmedReport> {
    let asked = timeout(PATIENCE, gateway.drift.compare_confirmed(caller.request(of))).await;
    match asked.unwrap_or_else(|_| Err(Status::deadline_exceeded("drift takes too long"))) {
        Ok(told) => Some(told.into_inner().into()),
        Err(status) => {
            tracing::warn!(
                error = &status as &dyn std::error::Error,
                "confirmed scans could not be compared"
            );
            None
        }
    }
}

impl ConfirmedReport {
    /// The figures of that kind (empty: of all) beside what served last, as the gate's checks are told.
    pub fn checks(&self, kind: &str) -> Vec<GateCheck> {
        let meant = |of: &&ConfirmedFigures| of.image_kind.as_deref().unwrap_or_default() == kind;
        let Some(of) = self.figures.iter().find(meant) else { return Vec::new() };
        [("confirmed_far", &of.far), ("confirmed_frr", &of.frr)]
            .into_iter()
            .filter(|(_, rate)| rate.candidate.of > 0)
            .map(|(name, rate)| {
                let figures = [rate.candidate.rate, rate.serving.rate];
                let words = self.words(of, rate);
                GateCheck::advisory(name, of.image_kind.clone(), rate.holds, words, figures)
            })
            .collect()
    }

    fn words(&self, of: &ConfirmedFigures, rate: &ConfirmedRate) -> String {
        let told = |rate: &QualityRate| {
            let QualityRate { count, of, low, high, .. } = rate;
            format!("{count} of {of} (95 %: {low:.3} to {high:.3})")
        };
        let ConfirmedFigures { serving_name, serving_version, scans, enough, .. } = of;
        let [own, other] = [&rate.candidate, &rate.serving].map(told);
        let weight = match enough {
            true => "it refuses nothing".to_owned(),
            false => format!("fewer than {}, too few to conclude anything", self.scans_min),
        };
        format!(
            "advisory, on {scans} confirmed scans: wrong on {own}, and {serving_name}/{serving_version} on {other}; {weight}"
        )
    }
}

impl From<drift::ConfirmedComparison> for ConfirmedReport {
    fn from(told: drift::ConfirmedComparison) -> ConfirmedReport {
        let drift::ConfirmedComparison { figures, compared, confirmed, scans_min, cut } = told;
        let figures = figures.into_iter().map(ConfirmedFigures::from).collect();
        ConfirmedReport { figures, compared, confirmed, scans_min, cut }
    }
}

impl From<drift::ConfirmedFigures> for ConfirmedFigures {
    fn from(of: drift::ConfirmedFigures) -> ConfirmedFigures {
        ConfirmedFigures {
            serving_name: of.serving_name,
            serving_version: of.serving_version,
            image_kind: some(of.image_kind),
            scans: of.scans,
            enough: of.enough,
            far: of.far.unwrap_or_default().into(),
            frr: of.frr.unwrap_or_default().into(),
            only_candidate_wrong: of.only_candidate_wrong,
            only_serving_wrong: of.only_serving_wrong,
        }
    }
}

impl From<drift::ConfirmedRate> for ConfirmedRate {
    fn from(drift::ConfirmedRate { candidate, serving, holds }: drift::ConfirmedRate) -> Self {
        let [candidate, serving] =
            [candidate, serving].map(|share| QualityRate::from(share.unwrap_or_default()));
        ConfirmedRate { candidate, serving, holds }
    }
}
