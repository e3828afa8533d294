//! What serves which modality, and which kinds of its images apart, and how that changes.

use domain::{ErrorKind, Result};
use platform::db::Unit;
use proto::registry::{self as wire, Change, Decision, Evaluation, Promotion};

use crate::store::Store;
use crate::table::{self, Route, check_kind, serve};
use crate::versions::{self, State, Version, set_state};
use crate::{evaluations, events, files, gate};

const REASON_MAX: usize = 800;

impl Store {
    /// Lets the version serve each modality that it is made for, or one kind of image of them, if the gate lets it through or
    /// is forced.
    pub async fn promote(&self, subject: &str, promotion: Promotion) -> Result<Decision> {
        let Promotion { name, version, force, reason, image_kind } = promotion;
        check_reason(&reason)?;
        check_kind(&image_kind)?;
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
                let checks = store.check(unit, &candidate, &image_kind).await?;
                let passed = checks.iter().all(|check| check.passed);
                let action = match (passed, force) {
                    (true, _) => "promoted",
                    (false, true) => "forced",
                    (false, false) => "refused",
                };
                let action = (action, image_kind.as_str());
                events::append(&store, unit, action, &subject, &candidate, &reason).await?;
                if passed || force {
                    // Beside itself whatever serves is no worse: that makes nothing of why it had to be forced.
                    let forced = match (passed, candidate.state) {
                        (false, _) => reason.trim(),
                        (true, State::Serving) => candidate.forced.as_str(),
                        (true, _) => "",
                    };
                    serve(unit, &candidate, &image_kind, forced).await?;
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
    async fn check(
        &self,
        unit: &mut Unit,
        candidate: &Version,
        kind: &str,
    ) -> Result<Vec<wire::Check>> {
        let own = evaluations::find(&mut **unit, &candidate.name, &candidate.version).await?;
        let mut checks = Vec::new();
        let mut seen = Vec::new();
        for modality in candidate.modalities() {
            let serving = match table::serving(unit, modality, kind).await? {
                Some(route) => Some(figures(unit, route).await?),
                None => None,
            };
            if !seen.contains(&serving) {
                checks.extend(gate::checks(own.as_ref(), serving.as_ref(), kind, &self.gate));
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
        check_kind(&change.image_kind)?;
        let subject = subject.to_owned();
        let back = self.unit(move |store, unit| {
            Box::pin(async move {
                let Change { name, version, reason, image_kind } = &change;
                let current = versions::find(&mut **unit, name, version).await?;
                let back = match earlier(unit, &current, image_kind).await? {
                    Some(earlier) => {
                        let files = files::of(&mut **unit, &earlier.name, &earlier.version).await?;
                        store.require_signed(&earlier, &files)?;
                        serve(unit, &earlier, image_kind, &earlier.forced).await?;
                        earlier
                    }
                    None => table::withdraw(unit, &current, image_kind).await?,
                };
                let action = ("rolled_back", image_kind.as_str());
                events::append(&store, unit, action, &subject, &current, reason).await?;
                Ok(back)
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

    /// Ends the version's shadow or its wait. What serves is not retired: another takes its place first. At one kind of
    /// image the modality's own takes it: there the version is only withdrawn.
    pub async fn retire(&self, subject: &str, change: Change) -> Result<wire::Version> {
        if !change.image_kind.is_empty() {
            return self.withdraw(subject, change).await;
        }
        self.change(subject, change, "retired", |version| match version.state {
            State::Serving => Err(ErrorKind::Conflict.error(format!(
                "{} {} serves: promote another version first",
                version.name, version.version
            ))),
            _ => Ok(State::Retired),
        })
        .await
    }

    async fn withdraw(&self, subject: &str, change: Change) -> Result<wire::Version> {
        check_reason(&change.reason)?;
        check_kind(&change.image_kind)?;
        let (name, version) = (change.name.clone(), change.version.clone());
        let subject = subject.to_owned();
        self.unit(move |store, unit| {
            Box::pin(async move {
                let Change { name, version, reason, image_kind } = &change;
                let row = versions::find(&mut **unit, name, version).await?;
                table::withdraw(unit, &row, image_kind).await?;
                let action = ("withdrawn", image_kind.as_str());
                events::append(&store, unit, action, &subject, &row, reason).await
            })
        })
        .await?;
        self.version(&name, &version).await
    }

    async fn change(
        &self,
        subject: &str,
        change: Change,
        action: &'static str,
        next: impl FnOnce(&Version) -> Result<State> + Send + 'static,
    ) -> Result<wire::Version> {
        check_reason(&change.reason)?;
        check_kind(&change.image_kind)?;
        let (name, version) = (change.name.clone(), change.version.clone());
        let subject = subject.to_owned();
        self.unit(move |store, unit| {
            Box::pin(async move {
                let Change { name, version, reason, image_kind } = &change;
                // First: it makes those who change something at once come one after the other.
                table::raise_generation(unit).await?;
                let row = versions::find(&mut **unit, name, version).await?;
                let state = next(&row)?;
                // It may serve again by a roll-back, and the gate has refused it all the same.
                set_state(unit, &row, state, &row.forced).await?;
                if state == State::Shadow {
                    table::look_on(unit, &row, image_kind).await?;
                }
                let action = (action, image_kind.as_str());
                events::append(&store, unit, action, &subject, &row, reason).await
            })
        })
        .await?;
        self.version(&name, &version).await
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

/// What a version that serves came to; one that nobody has evaluated says so.
async fn figures(unit: &mut Unit, Route { name, version, .. }: Route) -> Result<Evaluation> {
    let found = evaluations::find(&mut **unit, &name, &version).await?;
    let failure = "no worker has evaluated it yet".to_owned();
    Ok(found.unwrap_or_else(|| Evaluation { name, version, failure, ..Evaluation::default() }))
}

/// The version that served that kind (empty: whatever has no route of its own) before `current`, and is not retired. None
/// where what serves the modality did.
async fn earlier(unit: &mut Unit, current: &Version, kind: &str) -> Result<Option<Version>> {
    // One that it serves: of what it was made for, another version may serve some by now.
    let serves = table::served_by(&mut **unit, &current.name, &current.version).await?;
    let route = serves.iter().find(|route| route.image_kind == kind);
    let route = route.ok_or_else(|| does_not_serve(current, kind, &serves))?;
    for Route { name, version, .. } in table::past(unit, route).await? {
        let version = versions::find(&mut **unit, &name, &version).await?;
        let is_another = (&version.name, &version.version) != (&current.name, &current.version);
        if is_another && version.state != State::Retired {
            return Ok(Some(version));
        }
    }
    match kind {
        "" => Err(ErrorKind::Conflict.error("nothing served before it that could serve again")),
        _ => Ok(None),
    }
}

fn does_not_serve(version: &Version, kind: &str, serves: &[Route]) -> domain::Error {
    let Version { name, version, .. } = version;
    let kinds: Vec<_> = serves.iter().map(|route| route.image_kind.as_str()).collect();
    ErrorKind::Conflict.error(match (kind, kinds.as_slice()) {
        (_, []) => format!("{name} {version} is not serving"),
        ("", kinds) => format!("{name} {version} serves {} only: name the kind", kinds.join(", ")),
        (kind, _) => format!("{name} {version} does not serve {kind} by itself"),
    })
}
