//! Offline figures: what `medseg evaluate` has measured of a model on data whose truth is known throughout, as somebody has reported
//! it, to stand beside the live ones.

use domain::limits::{PAGE_DEFAULT, PAGE_MAX};
use domain::statistics::Rate;
use domain::{ErrorKind, EvaluationId, Result};
use platform::db::{self, Run, Unit};
use proto::drift::{self, ListEvaluationsRequest, OfflineEvaluation, OfflineEvaluations};
use proto::events::ModelIdentity;
use service::claims::Tenant;
use sqlx::FromRow;

use super::message::share;
use crate::store::{MODEL_CHARS_MAX, Store};

/// Evaluations of one hospital that are kept, the newest: with one a week, those of nineteen years.
const KEPT_MAX: i64 = 1000;
const DIGEST_CHARS_MAX: usize = 64;
/// More patients or slices than any set has.
const COUNT_MAX: u64 = 1_000_000_000;
/// Behind every id.
const BEGINNING: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// The evaluations of which `$of` is true, with all their columns.
macro_rules! evaluations {
    ($of:literal) => {
        concat!(
            "SELECT evaluation_id, evaluated_ms, model_name, model_version, model_sha256, data_version, patients, slices,
                 dice_mean, dice_low, dice_high, dice_patients, dice_empty, dice_not_empty, far_count, far_of, frr_count, frr_of
             FROM evaluations WHERE ",
            $of
        )
    };
}

const PAGE: &str = evaluations!(
    "tenant_id = ? AND (? = '' OR model_name = ?) AND (? = '' OR model_version = ?) AND evaluation_id < ?
     ORDER BY evaluation_id DESC LIMIT ?"
);
const NEWEST: &str =
    evaluations!("evaluated_ms >= ? ORDER BY evaluated_ms DESC, evaluation_id DESC LIMIT ?");

/// One evaluation, as it is kept.
#[derive(Clone, Debug, Default, FromRow, PartialEq)]
pub struct Evaluated {
    pub evaluation_id: String,
    /// When it was reported.
    pub evaluated_ms: i64,
    pub model_name: String,
    pub model_version: String,
    pub model_sha256: String,
    /// Of the set that it was measured on.
    pub data_version: String,
    pub patients: i64,
    pub slices: i64,
    /// The mean over patients; None, as its interval: of none known.
    pub dice_mean: Option<f64>,
    /// 95 %, bootstrap over patients.
    pub dice_low: Option<f64>,
    pub dice_high: Option<f64>,
    pub dice_patients: i64,
    /// Of them, those without a tumour in the truth and in the mask.
    pub dice_empty: i64,
    /// The mean over all others.
    pub dice_not_empty: Option<f64>,
    /// By slice.
    pub far_count: i64,
    pub far_of: i64,
    pub frr_count: i64,
    pub frr_of: i64,
}

/// Keeps what was reported, once it can be true.
pub async fn record(
    store: &Store,
    tenant: Tenant,
    id: EvaluationId,
    now_ms: i64,
    said: OfflineEvaluation,
) -> Result<OfflineEvaluation> {
    let evaluated = Evaluated::checked(id, now_ms, said)?;
    store.keep_evaluation(tenant, evaluated.clone()).await?;
    Ok(evaluated.message())
}

/// One page of the tenant's evaluations, newest first.
pub async fn list(
    store: &Store,
    tenant: Tenant,
    asked: ListEvaluationsRequest,
) -> Result<OfflineEvaluations> {
    let limit = if asked.limit == 0 { PAGE_DEFAULT } else { asked.limit };
    if limit > PAGE_MAX {
        return Err(ErrorKind::Invalid.error(format!("a page has {PAGE_MAX} evaluations at most")));
    }
    let before = cursor(&asked.cursor)?;
    // One more tells whether there is another page.
    let mut rows = store.evaluations(tenant, &asked, &before, i64::from(limit) + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let last = rows.last().filter(|_| more);
    let next_cursor = last.map(|last| last.evaluation_id.clone()).unwrap_or_default();
    let evaluations = rows.into_iter().map(Evaluated::message).collect();
    Ok(OfflineEvaluations { evaluations, next_cursor })
}

fn cursor(text: &str) -> Result<String> {
    if text.is_empty() {
        return Ok(BEGINNING.to_owned());
    }
    let id = text.parse::<EvaluationId>();
    id.map(|id| id.to_string()).map_err(|_| ErrorKind::Invalid.error("this is no cursor of ours"))
}

impl Evaluated {
    /// What was reported, if a set and a model can have such figures. Rates follow from their counts here, and are not taken.
    fn checked(id: EvaluationId, now_ms: i64, said: OfflineEvaluation) -> Result<Evaluated> {
        let model = said.model.unwrap_or_default();
        let (dice, far, frr) =
            (said.dice, said.far.unwrap_or_default(), said.frr.unwrap_or_default());
        let evaluated = Evaluated {
            evaluation_id: id.to_string(),
            evaluated_ms: now_ms,
            model_name: text("model.name", model.name, MODEL_CHARS_MAX)?,
            model_version: text("model.version", model.version, MODEL_CHARS_MAX)?,
            model_sha256: text("model.sha256", model.sha256, DIGEST_CHARS_MAX)?,
            data_version: text("data_version", said.data_version, MODEL_CHARS_MAX)?,
            patients: count("patients", said.patients, COUNT_MAX)?,
            slices: count("slices", said.slices, COUNT_MAX)?,
            dice_mean: dice.as_ref().map(|dice| dice.mean),
            dice_low: dice.as_ref().map(|dice| dice.low),
            dice_high: dice.as_ref().map(|dice| dice.high),
            dice_patients: count(
                "dice.count",
                counted(dice.as_ref(), |dice| dice.count),
                said.patients,
            )?,
            dice_empty: count(
                "dice.empty",
                counted(dice.as_ref(), |dice| dice.empty),
                counted(dice.as_ref(), |dice| dice.count),
            )?,
            dice_not_empty: dice.and_then(|dice| dice.mean_not_empty),
            far_of: count("far.of", far.of, said.slices)?,
            far_count: count("far.count", far.count, far.of)?,
            // A slice has a tumour or none.
            frr_of: count("frr.of", frr.of, said.slices.saturating_sub(far.of))?,
            frr_count: count("frr.count", frr.count, frr.of)?,
        };
        for (name, value) in [
            ("dice.mean", evaluated.dice_mean),
            ("dice.low", evaluated.dice_low),
            ("dice.high", evaluated.dice_high),
            ("dice.mean_not_empty", evaluated.dice_not_empty),
        ] {
            part(name, value)?;
        }
        evaluated.require_mean()?;
        Ok(evaluated)
    }

    /// A mean is of somebody, its interval begins before it ends, and what patients without a tumour hide in it is told.
    fn require_mean(&self) -> Result<()> {
        let Some((_, [low, high])) = self.dice() else { return Ok(()) };
        if self.dice_patients == 0 {
            return Err(
                ErrorKind::Invalid.error("`dice.count` is 1 at least, where there is a mean")
            );
        }
        if low > high {
            return Err(ErrorKind::Invalid.error("`dice.low` is `dice.high` at most"));
        }
        if (1..self.dice_patients).contains(&self.dice_empty) && self.dice_not_empty.is_none() {
            return Err(ErrorKind::Invalid
                .error("`dice.mean_not_empty` is missing, where some are empty and some are not"));
        }
        Ok(())
    }

    pub fn model(&self) -> String {
        format!("{}/{}", self.model_name, self.model_version)
    }

    /// Mean and interval over patients.
    pub fn dice(&self) -> Option<(f64, [f64; 2])> {
        Some((self.dice_mean?, [self.dice_low?, self.dice_high?]))
    }

    /// Found, of the slices without a tumour.
    pub fn far(&self) -> Rate {
        Rate::new(self.far_count as usize, self.far_of as usize)
    }

    /// None found, of the slices with one.
    pub fn frr(&self) -> Rate {
        Rate::new(self.frr_count as usize, self.frr_of as usize)
    }

    fn message(self) -> OfflineEvaluation {
        let (far, frr) = (share(self.far()), share(self.frr()));
        let dice = self.dice().map(|(mean, [low, high])| drift::MeanDice {
            mean,
            low,
            high,
            count: self.dice_patients as u64,
            empty: self.dice_empty as u64,
            mean_not_empty: self.dice_not_empty,
        });
        OfflineEvaluation {
            id: self.evaluation_id,
            evaluated_ms: self.evaluated_ms,
            model: Some(ModelIdentity {
                name: self.model_name,
                version: self.model_version,
                sha256: self.model_sha256,
            }),
            data_version: self.data_version,
            patients: self.patients as u64,
            slices: self.slices as u64,
            dice,
            far: Some(far),
            frr: Some(frr),
        }
    }
}

/// A count of the mean; 0 without one.
fn counted(dice: Option<&drift::MeanDice>, of: fn(&drift::MeanDice) -> u64) -> u64 {
    dice.map(of).unwrap_or_default()
}

fn text(name: &str, said: String, chars_max: usize) -> Result<String> {
    let plain = !said.chars().any(char::is_control);
    if plain && (1..=chars_max).contains(&said.chars().count()) {
        return Ok(said);
    }
    Err(ErrorKind::Invalid.error(format!("`{name}` has 1 to {chars_max} characters")))
}

fn count(name: &str, said: u64, most: u64) -> Result<i64> {
    if said > most {
        return Err(ErrorKind::Invalid.error(format!("`{name}` is {most} at most")));
    }
    i64::try_from(said).map_err(|_| ErrorKind::Invalid.error(format!("`{name}` is no count")))
}

fn part(name: &str, said: Option<f64>) -> Result<()> {
    if said.is_none_or(|said| (0.0..=1.0).contains(&said)) {
        return Ok(());
    }
    Err(ErrorKind::Invalid.error(format!("`{name}` is a number from 0 to 1")))
}

impl Store {
    /// Keeps an evaluation, and of all the hospital's only the newest.
    async fn keep_evaluation(&self, tenant: Tenant, evaluated: Evaluated) -> Result<()> {
        let tenant = tenant.to_string();
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    insert(unit, tenant.clone(), evaluated).await?;
                    forget(unit, tenant).await
                })
            })
            .await
    }

    async fn evaluations(
        &self,
        tenant: Tenant,
        asked: &ListEvaluationsRequest,
        before: &str,
        limit: i64,
    ) -> Result<Vec<Evaluated>> {
        sqlx::query_as(PAGE)
            .bind(tenant.to_string())
            .bind(&asked.model_name)
            .bind(&asked.model_name)
            .bind(&asked.model_version)
            .bind(&asked.model_version)
            .bind(before)
            .bind(limit)
            .fetch_all(self.database.pool())
            .await
            .map_err(db::failed)
    }

    /// Those of all tenants that were reported since then, newest first.
    pub async fn newest_evaluations(&self, since_ms: i64, limit: i64) -> Result<Vec<Evaluated>> {
        sqlx::query_as(NEWEST)
            .bind(since_ms)
            .bind(limit)
            .fetch_all(self.database.pool())
            .await
            .map_err(db::failed)
    }
}

async fn insert(unit: &mut Unit, tenant: String, evaluated: Evaluated) -> Result<()> {
    sqlx::query(
        "INSERT INTO evaluations (tenant_id, evaluation_id, evaluated_ms, model_name, model_version, model_sha256,
             data_version, patients, slices, dice_mean, dice_low, dice_high, dice_patients, dice_empty, dice_not_empty,
             far_count, far_of, frr_count, frr_of)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(tenant)
    .bind(evaluated.evaluation_id)
    .bind(evaluated.evaluated_ms)
    .bind(evaluated.model_name)
    .bind(evaluated.model_version)
    .bind(evaluated.model_sha256)
    .bind(evaluated.data_version)
    .bind(evaluated.patients)
    .bind(evaluated.slices)
    .bind(evaluated.dice_mean)
    .bind(evaluated.dice_low)
    .bind(evaluated.dice_high)
    .bind(evaluated.dice_patients)
    .bind(evaluated.dice_empty)
    .bind(evaluated.dice_not_empty)
    .bind(evaluated.far_count)
    .bind(evaluated.far_of)
    .bind(evaluated.frr_count)
    .bind(evaluated.frr_of)
    .run(unit)
    .await
    .map(drop)
}

async fn forget(unit: &mut Unit, tenant: String) -> Result<()> {
    let first_forgotten: Option<String> = sqlx::query_scalar(
        "SELECT evaluation_id FROM evaluations WHERE tenant_id = ? ORDER BY evaluation_id DESC LIMIT 1 OFFSET ?",
    )
    .bind(tenant.clone())
    .bind(KEPT_MAX)
    .fetch_optional(&mut **unit)
    .await
    .map_err(db::failed)?;
    let Some(id) = first_forgotten else { return Ok(()) };
    sqlx::query("DELETE FROM evaluations WHERE tenant_id = ? AND evaluation_id <= ?")
        .bind(tenant)
        .bind(id)
        .run(unit)
        .await
        .map(drop)
}

#[cfg(test)]
#[path = "offline_tests.rs"]
mod tests;
