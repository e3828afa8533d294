//! What serves which modality, and how that changes.

use domain::{ErrorKind, Result};
use platform::db::{Run, Unit, failed};
use proto::registry::{self as wire, Change, Decision, Evaluation, Promotion};
use sqlx::{Any, Executor, FromRow};

use crate::store::Store;
use crate::versions::{self, State, Version, set_state};
use crate::{evaluations, events, files, gate};

const REASON_MAX: usize = 800;

/// What serves a modality.
#[derive(Clone, Debug, FromRow)]
struct Route {
    modality: String,
    name: String,
    version: String,
    generation: i64,
}

impl Store {
    /// Lets the version serve each modality that it is made for, if the gate lets it through or is forced.
    pub async fn promote(&self, subject: &str, promotion: Promotion) -> Result<Decision> {
        let Promotion { name, version, force, reason } = promotion;
        check_reason(&reason)?;
        if force && reason.trim().is_empty() {
            return Err(ErrorKind::Invalid.error("who forces a version past the gate says why"));
        }
        // What workers would refuse does not take the place of what serves, forced or not.
        self.read_through(&name, &version).await?;
        let subject = subject.to_owned();
        let decided = self.unit(move |store, unit| {
            Box::pin(async move {
                let candidate = versions::find(&mut **unit, &name, &version).await?;
                require_live(&candidate)?;
                let checks = store.check(unit, &candidate).await?;
                let passed = checks.iter().all(|check| check.passed);
                let action = match (passed, force) {
                    (true, _) => "promoted",
                    (false, true) => "forced",
                    (false, false) => "refused",
                };
                events::append(&store, unit, action, &subject, &candidate, &reason).await?;
                if passed || force {
                    // Beside itself whatever serves is no worse: that makes nothing of why it had to be forced.
                    let forced = match (passed, candidate.state) {
                        (false, _) => reason.trim(),
                        (true, State::Serving) => candidate.forced.as_str(),
                        (true, _) => "",
                    };
                    serve(unit, &candidate, forced).await?;
                }
                Ok((checks, candidate, passed || force))
            })
        });
        let (checks, candidate, promoted) = decided.await?;
        // Versions that wait for another evaluation are announced at once.
        self.registered.notify_one();
        let version = Some(self.version(&candidate.name, &candidate.version).await?);
        Ok(Decision { promoted, checks, version })
    }

    /// What the gate finds of `candidate`, beside each version that it would take the place of. What it cannot compare is
    /// evaluated anew.
    async fn check(&self, unit: &mut Unit, candidate: &Version) -> Result<Vec<wire::Check>> {
        let own = evaluations::find(&mut **unit, &candidate.name, &candidate.version).await?;
        let mut checks = Vec::new();
        let mut seen = Vec::new();
        for modality in candidate.modalities() {
            let serving = match route(unit, modality).await? {
                Some(route) => Some(figures(unit, route).await?),
                None => None,
            };
            if !seen.contains(&serving) {
                checks.extend(gate::checks(own.as_ref(), serving.as_ref(), &self.gate));
                for old in gate::outdated(own.as_ref(), serving.as_ref()) {
                    evaluations::forget(unit, &old.name, &old.version).await?;
                }
                seen.push(serving);
            }
        }
        Ok(checks)
    }

    /// Lets the version that served before `change` names this one serve again.
    pub async fn roll_back(&self, subject: &str, change: Change) -> Result<wire::Version> {
        check_reason(&change.reason)?;
        let subject = subject.to_owned();
        let back = self.unit(move |store, unit| {
            Box::pin(async move {
                let current = versions::find(&mut **unit, &change.name, &change.version).await?;
                if current.state != State::Serving {
                    return Err(not(&current, "serving"));
                }
                let earlier = earlier(unit, &current).await?;
                let files = files::of(&mut **unit, &earlier.name, &earlier.version).await?;
                store.require_signed(&earlier, &files)?;
                serve(unit, &earlier, &earlier.forced).await?;
                events::append(&store, unit, "rolled_back", &subject, &current, &change.reason)
                    .await?;
                Ok(earlier)
            })
        });
        let back = back.await?;
        self.version(&back.name, &back.version).await
    }

    /// Lets the version look on, in place of another that did.
    pub async fn shadow(&self, subject: &str, change: Change) -> Result<wire::Version> {
        self.change(subject, change, "shadowed", |version| match version.state {
            State::Registered | State::Shadow => Ok(State::Shadow),
            State::Serving => Err(ErrorKind::Conflict.error(format!(
                "{} {} serves: what serves is no shadow of itself",
                version.name, version.version
            ))),
            State::Retired => Err(retired(version)),
        })
        .await
    }

    /// Ends the version's shadow or its wait. What serves is not retired: another takes its place first.
    pub async fn retire(&self, subject: &str, change: Change) -> Result<wire::Version> {
        self.change(subject, change, "retired", |version| match version.state {
            State::Serving => Err(ErrorKind::Conflict.error(format!(
                "{} {} serves: promote another version first",
                version.name, version.version
            ))),
            _ => Ok(State::Retired),
        })
        .await
    }

    async fn change(
        &self,
        subject: &str,
        change: Change,
        action: &'static str,
        next: impl FnOnce(&Version) -> Result<State> + Send + 'static,
    ) -> Result<wire::Version> {
        check_reason(&change.reason)?;
        let (name, version) = (change.name.clone(), change.version.clone());
        let subject = subject.to_owned();
        self.unit(move |store, unit| {
            Box::pin(async move {
                // First: it makes those who change something at once come one after the other.
                raise_generation(unit).await?;
                let row = versions::find(&mut **unit, &change.name, &change.version).await?;
                let state = next(&row)?;
                // It may serve again by a roll-back, and the gate has refused it all the same.
                set_state(unit, &row, state, &row.forced).await?;
                if state == State::Shadow {
                    end_other_shadows(unit, &row).await?;
                }
                events::append(&store, unit, action, &subject, &row, &change.reason).await
            })
        })
        .await?;
        self.version(&name, &version).await
    }

    /// What serves, and what looks on.
    pub async fn routes(&self) -> Result<wire::Routes> {
        let routes: Vec<Route> = sqlx::query_as("SELECT * FROM routes ORDER BY modality")
            .fetch_all(self.database.pool())
            .await
            .map_err(failed)?;
        let shadows: Vec<Version> = sqlx::query_as("SELECT * FROM versions WHERE state = 'shadow'")
            .fetch_all(self.database.pool())
            .await
            .map_err(failed)?;
        let mut told = Vec::with_capacity(routes.len());
        for Route { modality, name, version, .. } in &routes {
            let serving = Some(self.version(name, version).await?);
            let shadow =
                shadows.iter().find(|shadow| shadow.modalities().any(|made| made == modality));
            let shadow = match shadow {
                Some(shadow) => Some(self.told(shadow.clone()).await?),
                None => None,
            };
            told.push(wire::Route { modality: modality.clone(), serving, shadow });
        }
        let generation = routes.iter().map(|route| route.generation).max().unwrap_or(0);
        Ok(wire::Routes { generation: generation.unsigned_abs(), routes: told })
    }
}

fn check_reason(reason: &str) -> Result<()> {
    if reason.chars().count() > REASON_MAX {
        return Err(
            ErrorKind::Invalid.error(format!("a reason has {REASON_MAX} characters at most"))
        );
    }
    Ok(())
}

fn require_live(version: &Version) -> Result<()> {
    match version.state {
        State::Retired => Err(retired(version)),
        _ => Ok(()),
    }
}

fn retired(version: &Version) -> domain::Error {
    ErrorKind::Conflict.error(format!(
        "{} {} is retired: register it anew as another version",
        version.name, version.version
    ))
}

fn not(version: &Version, state: &str) -> domain::Error {
    ErrorKind::Conflict.error(format!("{} {} is not {state}", version.name, version.version))
}

/// What a version that serves came to; one that nobody has evaluated says so.
async fn figures(unit: &mut Unit, Route { name, version, .. }: Route) -> Result<Evaluation> {
    let found = evaluations::find(&mut **unit, &name, &version).await?;
    let failure = "no worker has evaluated it yet".to_owned();
    Ok(found.unwrap_or_else(|| Evaluation { name, version, failure, ..Evaluation::default() }))
}

async fn route(unit: &mut Unit, modality: &str) -> Result<Option<Route>> {
    sqlx::query_as("SELECT * FROM routes WHERE modality = ?")
        .bind(modality)
        .fetch_optional(&mut **unit)
        .await
        .map_err(failed)
}

/// Lets `version` serve all that it is made for. Whatever serves nothing then is registered again.
pub async fn serve(unit: &mut Unit, version: &Version, forced: &str) -> Result<()> {
    for modality in version.modalities() {
        let before = route(unit, modality).await?;
        if let Some(before) = &before {
            // The guarded delete comes first: of two that change the same route the second stops here.
            let left = sqlx::query("DELETE FROM routes WHERE modality = ? AND generation = ?")
                .bind(modality)
                .bind(before.generation)
                .run(unit)
                .await?;
            if left != 1 {
                return Err(ErrorKind::Conflict.error("somebody else changes what serves"));
            }
            keep_past(unit, before).await?;
        }
        let generation = next_generation(&mut **unit).await?;
        sqlx::query("INSERT INTO routes (modality, name, version, generation) VALUES (?, ?, ?, ?)")
            .bind(modality)
            .bind(&version.name)
            .bind(&version.version)
            .bind(generation)
            .run(unit)
            .await?;
    }
    set_state(unit, version, State::Serving, forced).await?;
    sqlx::query(
        "UPDATE versions SET state = 'registered' WHERE state = 'serving'
         AND NOT EXISTS (SELECT 1 FROM routes WHERE routes.name = versions.name AND routes.version = versions.version)",
    )
    .run(unit)
    .await
    .map(drop)
}

async fn keep_past(unit: &mut Unit, before: &Route) -> Result<()> {
    sqlx::query("INSERT INTO past_routes (modality, generation, name, version) VALUES (?, ?, ?, ?)")
        .bind(&before.modality)
        .bind(before.generation)
        .bind(&before.name)
        .bind(&before.version)
        .run(unit)
        .await
        .map(drop)
}

/// The version that served before `current`, and is not retired.
async fn earlier(unit: &mut Unit, current: &Version) -> Result<Version> {
    // One that it serves: of what it was made for, another version may serve some by now.
    let modality: Option<(String,)> = sqlx::query_as(
        "SELECT modality FROM routes WHERE name = ? AND version = ? ORDER BY modality LIMIT 1",
    )
    .bind(&current.name)
    .bind(&current.version)
    .fetch_optional(&mut **unit)
    .await
    .map_err(failed)?;
    let (modality,) = modality.ok_or_else(|| not(current, "serving"))?;
    let past: Vec<Route> = sqlx::query_as(
        "SELECT * FROM past_routes WHERE modality = ? ORDER BY generation DESC LIMIT 100",
    )
    .bind(modality)
    .fetch_all(&mut **unit)
    .await
    .map_err(failed)?;
    for Route { name, version, .. } in past {
        let version = versions::find(&mut **unit, &name, &version).await?;
        let is_another = (&version.name, &version.version) != (&current.name, &current.version);
        if is_another && version.state != State::Retired {
            return Ok(version);
        }
    }
    Err(ErrorKind::Conflict.error("nothing served before it that could serve again"))
}

/// One where nothing has ever served.
pub async fn next_generation(executor: impl Executor<'_, Database = Any>) -> Result<i64> {
    let (now,): (Option<i64>,) = sqlx::query_as(
        "SELECT MAX(generation) FROM (SELECT generation FROM routes UNION SELECT generation FROM past_routes) AS numbers",
    )
    .fetch_one(executor)
    .await
    .map_err(failed)?;
    Ok(now.unwrap_or(0) + 1)
}

/// So that workers see a change beside what serves. In one statement: a promotion may raise it in the same moment.
async fn raise_generation(unit: &mut Unit) -> Result<()> {
    sqlx::query("UPDATE routes SET generation = generation + 1").run(unit).await.map(drop)
}

async fn end_other_shadows(unit: &mut Unit, shadow: &Version) -> Result<()> {
    sqlx::query(
        "UPDATE versions SET state = 'registered' WHERE state = 'shadow' AND NOT (name = ? AND version = ?)",
    )
    .bind(&shadow.name)
    .bind(&shadow.version)
    .run(unit)
    .await
    .map(drop)
}
