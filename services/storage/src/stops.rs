//! When a hospital takes no more answers of a model: by its own rule, until an administrator decides.

mod judged;
mod rows;

use domain::evidence::ErrorTest;
use domain::{Answer, ErrorKind, Result, TenantId};
use metrics::counter;
use platform::db::Unit;
use proto::storage::{LiftStop, ModelStop, StopRule, StopState, StoppedModel};
use service::claims::{Claims, Tenant};

use crate::audit::{self, Entry};
use crate::jobs::{REASON_MAX, name_of};
use crate::lifecycle::Outcome;
use crate::store::Store;

use rows::{Rule, Stop};

/// How the counter calls what becomes of a model.
pub const WHAT: [&str; 2] = ["stopped", "lifted"];

/// The fewest confirmed scans for each false stop that a rule may ask for: with fewer, a model is stopped by a handful of words.
const BUDGET_SCANS_MIN: u32 = 10;
const BUDGET_SCANS_MAX: u32 = 1_000_000;
/// A model that is wrong more often has no rule to break.
const ERROR_MAX_MAX: f64 = 0.99;

impl Store {
    /// The rule that was set last, and what became of each model that it has stopped.
    pub async fn stops(&self, tenant: Tenant) -> Result<StopState> {
        let pool = self.database.pool();
        let rule = rows::rule(pool, tenant.id()).await?.map(Rule::message);
        let stops = rows::stops(pool, tenant.id()).await?.into_iter().map(Stop::message).collect();
        Ok(StopState { rule: Some(rule.unwrap_or_default()), stops })
    }

    /// Sets the rule anew, beside those before, and looks at once at what was confirmed until now. The audit entry comes first: it gives
    /// rules and words that come at once an order.
    pub async fn set_stop_rule(&self, claims: &Claims, asked: StopRule) -> Result<StopState> {
        check(&asked)?;
        let (tenant, subject, name) =
            (claims.tenant().id(), claims.subject.clone(), name_of(claims));
        audit::begin(&self.database, tenant).await?;
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                let at_ms = store.clock.now_ms();
                let (action, object) = ("stops.rule.set", tenant.to_string());
                audit::append(unit, Entry { tenant, at_ms, subject: &subject, action, object })
                    .await?;
                let before = rows::rule(&mut **unit, tenant).await?;
                let rule = Rule {
                    position: before.map_or(1, |rule| rule.position + 1),
                    error_max: asked.error_max,
                    budget_scans: asked.budget_scans.into(),
                    name,
                    decided_ms: at_ms,
                };
                rows::insert_rule(unit, tenant, subject, rule).await?;
                for (name, version) in judged::models(unit, tenant).await? {
                    store.examine(unit, tenant, &name, &version, at_ms).await?;
                }
                Ok(())
            })
        })
        .await?;
        self.stops(claims.tenant()).await
    }

    /// Lets a model answer again that was stopped. What was confirmed before counts no more against it.
    pub async fn lift(&self, claims: &Claims, lift: LiftStop) -> Result<StopState> {
        let LiftStop { model, reason } = lift;
        let (model, reason) = (model.unwrap_or_default(), reason.trim().to_owned());
        if reason.is_empty() || reason.chars().count() > REASON_MAX {
            return Err(ErrorKind::Invalid.error(format!(
                "say why the model may answer again, in {REASON_MAX} characters at most"
            )));
        }
        let (tenant, subject, by) = (claims.tenant().id(), claims.subject.clone(), name_of(claims));
        audit::begin(&self.database, tenant).await?;
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                let at_ms = store.clock.now_ms();
                let (action, object) = ("model.lifted", tenant.to_string());
                audit::append(unit, Entry { tenant, at_ms, subject: &subject, action, object })
                    .await?;
                let StoppedModel { name, version } = model;
                let last = rows::last(unit, tenant, &name, &version).await?;
                if last.is_none_or(|last| !last.stands()) {
                    return Err(ErrorKind::NotFound.error("no such model is stopped"));
                }
                let stop = Stop::lifted([name, version], reason, by, at_ms);
                rows::insert_stop(unit, tenant, subject, stop).await
            })
        })
        .await?;
        counter!("medseg_model_stops_total", "what" => "lifted").increment(1);
        self.stops(claims.tenant()).await
    }

    /// Stops the model if what readers have confirmed since it was stopped last speaks against it, by the hospital's rule: as part of
    /// the unit that holds the audit chain, so that no word comes in between.
    pub async fn examine(
        &self,
        unit: &mut Unit,
        tenant: TenantId,
        name: &str,
        version: &str,
        at_ms: i64,
    ) -> Result<()> {
        let Some(rule) = rows::rule(&mut **unit, tenant).await? else { return Ok(()) };
        let Some(test) = rule.test() else { return Ok(()) };
        let last = rows::last(unit, tenant, name, version).await?;
        if name.is_empty() || last.as_ref().is_some_and(Stop::stands) {
            return Ok(());
        }
        let since_ms = last.map_or(0, |last| last.decided_ms);
        let errors = judged::errors(unit, tenant, [name, version], since_ms).await?;
        let seen = test.evidence(errors);
        if !seen.is_alarm {
            return Ok(());
        }
        let reason = format!(
            "{} of {} confirmed answers were wrong, and at most {} % may be; a model that is no worse is stopped so once in {} confirmed \
             scans at most",
            seen.errors,
            seen.of,
            percent(rule.error_max),
            rule.budget_scans
        );
        let (subject, action) = ("rule", "model.stopped");
        let object = tenant.to_string();
        audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
        tracing::warn!(tenant.id = %tenant, model = name, version, "a model is stopped by a hospital's rule");
        counter!("medseg_model_stops_total", "what" => "stopped").increment(1);
        let stop = Stop::stopped([name, version].map(str::to_owned), reason, at_ms);
        rows::insert_stop(unit, tenant, String::new(), stop).await
    }
}

/// As readers are told, who judge without knowing what others think: which models answer no more, and not how many answers were found
/// wrong.
pub fn for_readers(mut state: StopState) -> StopState {
    for stop in state.stops.iter_mut().filter(|stop| stop.stands) {
        "too many of its answers were found wrong".clone_into(&mut stop.reason);
    }
    state
}

/// The models that the hospital takes no answers of.
pub async fn stopped(unit: &mut Unit, tenant: TenantId) -> Result<Vec<StoppedModel>> {
    let stops = rows::stops(&mut **unit, tenant).await?;
    Ok(stops.into_iter().filter(Stop::stands).map(Stop::model).collect())
}

/// `Unavailable` for an answer of a model that was stopped while it looked: another attempt says so in its place.
pub async fn require_answering(unit: &mut Unit, tenant: TenantId, outcome: &Outcome) -> Result<()> {
    let model = outcome.observation.as_ref().and_then(|seen| seen.model.as_ref());
    let (Some(model), Answer::Found | Answer::NoneFound) = (model, outcome.answer) else {
        return Ok(());
    };
    let last = rows::last(unit, tenant, &model.name, &model.version).await?;
    if last.is_some_and(|last| last.stands()) {
        return Err(
            ErrorKind::Unavailable.error("the hospital has stopped the model while it looked")
        );
    }
    Ok(())
}

/// A part as people read it: 0.07 is 7, and not 7.000000000000001.
fn percent(part: f64) -> f64 {
    (part * 1e6).round() / 1e4
}

fn check(rule: &StopRule) -> Result<()> {
    let bound = (0.0..=ERROR_MAX_MAX).contains(&rule.error_max);
    if bound && (BUDGET_SCANS_MIN..=BUDGET_SCANS_MAX).contains(&rule.budget_scans) {
        return Ok(());
    }
    Err(ErrorKind::Invalid.error(format!(
        "a rule has a part of errors from 0 to {ERROR_MAX_MAX}, and a budget of {BUDGET_SCANS_MIN} to {BUDGET_SCANS_MAX} scans"
    )))
}

impl Rule {
    /// None: no model is stopped.
    fn test(&self) -> Option<ErrorTest> {
        ErrorTest::new(self.error_max, u32::try_from(self.budget_scans).ok()?)
    }

    fn message(self) -> StopRule {
        StopRule {
            error_max: self.error_max,
            budget_scans: u32::try_from(self.budget_scans).unwrap_or_default(),
            by: self.name,
            at_ms: self.decided_ms,
        }
    }
}

impl Stop {
    fn stopped([model_name, model_version]: [String; 2], reason: String, decided_ms: i64) -> Stop {
        let (stopped, name) = (1, String::new());
        Stop { model_name, model_version, stopped, reason, name, decided_ms }
    }

    fn lifted(
        [model_name, model_version]: [String; 2],
        reason: String,
        name: String,
        decided_ms: i64,
    ) -> Stop {
        Stop { model_name, model_version, stopped: 0, reason, name, decided_ms }
    }

    fn stands(&self) -> bool {
        self.stopped != 0
    }

    fn model(self) -> StoppedModel {
        StoppedModel { name: self.model_name, version: self.model_version }
    }

    fn message(self) -> ModelStop {
        let (stands, reason, by, at_ms) =
            (self.stands(), self.reason.clone(), self.name.clone(), self.decided_ms);
        ModelStop { model: Some(self.model()), stands, reason, by, at_ms }
    }
}
