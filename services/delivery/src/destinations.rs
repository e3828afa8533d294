//! The systems that a hospital has its results pushed to, and what may be said of them.

use domain::{DestinationId, ErrorKind, Result};
use guard::Guard;
use platform::db::{BindId, Run, Unit, failed};
use proto::delivery::{
    Destination, DestinationChange, DestinationMade, Destinations, NewDestination,
};
use service::claims::{Claims, Tenant};
use sqlx::FromRow;

use crate::Store;
use crate::audit::{Act, Note};
use crate::format::{Kind, checked, listed};
use crate::{signature, titles};

/// How many destinations a hospital may have: each is a lane.
const DESTINATIONS_MAX: i64 = 20;

const NAME_CHARS_MAX: usize = 128;
const SECRET_CHARS_MAX: usize = 1000;

#[derive(FromRow)]
struct Row {
    destination_id: String,
    name: String,
    kind: String,
    url: String,
    formats: String,
    secret: String,
    enabled: i64,
    created_ms: i64,
    failures: i64,
    resume_ms: i64,
    called_ae: String,
    calling_ae: String,
    takes: String,
}

macro_rules! rows {
    ($rest:literal) => {
        concat!(
            "SELECT destination_id, name, kind, url, formats, secret, enabled, created_ms, failures, resume_ms,
                 called_ae, calling_ae, takes
             FROM destinations ",
            $rest
        )
    };
}

impl Store {
    /// Makes a destination. `Exhausted` when the hospital has as many as it may.
    pub async fn create(
        &self,
        claims: &Claims,
        guard: &Guard,
        new: NewDestination,
    ) -> Result<DestinationMade> {
        let kind = Kind::of(new.kind())?;
        let made = kind == Kind::Webhook && new.secret.is_empty();
        let secret = if made { signature::new_secret(&self.random) } else { new.secret };
        check_secret(kind, &secret)?;
        let [called_ae, calling_ae] =
            titles::checked(kind, &new.called_ae_title, &new.calling_ae_title)?;
        let row = Row {
            destination_id: DestinationId::new(&self.clock, &self.random).to_string(),
            name: name(&new.name)?,
            kind: kind.name().to_owned(),
            url: address(kind, guard, &new.url)?,
            formats: checked(kind, &new.formats)?,
            secret: secret.clone(),
            enabled: 1,
            created_ms: self.clock.now_ms(),
            failures: 0,
            resume_ms: 0,
            called_ae,
            calling_ae,
            takes: String::new(),
        };
        let (store, tenant, subject) = (self.clone(), claims.tenant(), claims.subject.clone());
        let destination = self
            .database
            .unit(move |unit| {
                Box::pin(async move { store.insert(unit, tenant, subject, row).await })
            })
            .await?;
        self.noted.notify_one();
        Ok(DestinationMade {
            destination: Some(destination),
            secret: if made { secret } else { String::new() },
        })
    }

    async fn insert(
        &self,
        unit: &mut Unit,
        tenant: Tenant,
        subject: String,
        row: Row,
    ) -> Result<Destination> {
        sqlx::query(
            "INSERT INTO destinations (tenant_id, destination_id, name, kind, url, formats, secret, enabled, created_ms,
                 failures, resume_ms, called_ae, calling_ae, takes)
             VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, 0, 0, ?, ?, '')",
        )
        .id(tenant)
        .bind(row.destination_id.clone())
        .bind(row.name.clone())
        .bind(row.kind.clone())
        .bind(row.url.clone())
        .bind(row.formats.clone())
        .bind(row.secret.clone())
        .bind(row.created_ms)
        .bind(row.called_ae.clone())
        .bind(row.calling_ae.clone())
        .run(unit)
        .await?;
        let count: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM destinations WHERE tenant_id = ?")
                .id(tenant)
                .fetch_one(&mut **unit)
                .await
                .map_err(failed)?;
        if count > DESTINATIONS_MAX {
            let many = format!("a hospital has {DESTINATIONS_MAX} destinations at most");
            return Err(ErrorKind::Exhausted.error(many));
        }
        let note = Note::by(tenant.id(), subject, Act::DestinationCreated, row.created_ms);
        note.about(row.destination_id.clone()).keep(unit, self).await?;
        row.told()
    }

    /// The hospital's destinations, and how many deliveries wait for each and have failed.
    pub async fn destinations(&self, tenant: Tenant) -> Result<Destinations> {
        let rows: Vec<Row> = sqlx::query_as(rows!("WHERE tenant_id = ? ORDER BY destination_id"))
            .id(tenant)
            .fetch_all(self.database.pool())
            .await
            .map_err(failed)?;
        let counts: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT destination_id, state, COUNT(*) FROM deliveries
             WHERE tenant_id = ? AND state <> 'delivered' GROUP BY destination_id, state",
        )
        .id(tenant)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let count = |id: &str, state: &str| {
            let own = counts.iter().find(|(of, in_state, _)| of == id && in_state == state);
            own.map_or(0, |(_, _, count)| u64::try_from(*count).unwrap_or_default())
        };
        let destinations = rows.into_iter().map(|row| -> Result<Destination> {
            let (waiting, failed) =
                (count(&row.destination_id, "waiting"), count(&row.destination_id, "failed"));
            Ok(Destination { waiting, failed, ..row.told()? })
        });
        Ok(Destinations { destinations: destinations.collect::<Result<_>>()? })
    }

    /// Changes what is said; a destination that was paused is tried at once.
    pub async fn change(
        &self,
        claims: &Claims,
        guard: &Guard,
        change: DestinationChange,
    ) -> Result<Destination> {
        let id: DestinationId = change.id.parse()?;
        let (store, tenant, subject) = (self.clone(), claims.tenant(), claims.subject.clone());
        let guard = guard.clone();
        let changed = self
            .database
            .unit(move |unit| {
                Box::pin(async move {
                    let row = of_tenant(unit, tenant, id).await?;
                    let row = row.with(change, &guard)?;
                    store.update(unit, tenant, subject, row).await
                })
            })
            .await?;
        self.due.notify_one();
        self.noted.notify_one();
        Ok(changed)
    }

    async fn update(
        &self,
        unit: &mut Unit,
        tenant: Tenant,
        subject: String,
        row: Row,
    ) -> Result<Destination> {
        sqlx::query(
            "UPDATE destinations SET name = ?, url = ?, formats = ?, secret = ?, enabled = ?, failures = 0, resume_ms = 0,
                 called_ae = ?, calling_ae = ?, takes = ?
             WHERE tenant_id = ? AND destination_id = ?",
        )
        .bind(row.name.clone())
        .bind(row.url.clone())
        .bind(row.formats.clone())
        .bind(row.secret.clone())
        .bind(row.enabled)
        .bind(row.called_ae.clone())
        .bind(row.calling_ae.clone())
        .bind(row.takes.clone())
        .id(tenant)
        .bind(row.destination_id.clone())
        .run(unit)
        .await?;
        let at_ms = self.clock.now_ms();
        let note = Note::by(tenant.id(), subject, Act::DestinationChanged, at_ms);
        note.about(row.destination_id.clone()).keep(unit, self).await?;
        row.told()
    }

    /// Removes a destination. What waits for it is given up, and says so; what is under way, once it has ended.
    pub async fn remove(&self, claims: &Claims, id: &str) -> Result<()> {
        let id: DestinationId = id.parse()?;
        let (store, tenant, subject) = (self.clone(), claims.tenant(), claims.subject.clone());
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    let removed = sqlx::query(
                        "DELETE FROM destinations WHERE tenant_id = ? AND destination_id = ?",
                    )
                    .id(tenant)
                    .id(id)
                    .run(unit)
                    .await?;
                    if removed == 0 {
                        return Err(absent());
                    }
                    let at_ms = store.clock.now_ms();
                    let note = Note::by(tenant.id(), subject, Act::DestinationRemoved, at_ms);
                    note.about(id.to_string()).keep(unit, &store).await
                })
            })
            .await?;
        self.give_up().await?;
        self.noted.notify_one();
        Ok(())
    }
}

/// `NotFound` in the same words for another hospital's destination and for one that never was.
async fn of_tenant(unit: &mut Unit, tenant: Tenant, id: DestinationId) -> Result<Row> {
    let row: Option<Row> = sqlx::query_as(rows!("WHERE tenant_id = ? AND destination_id = ?"))
        .id(tenant)
        .id(id)
        .fetch_optional(&mut **unit)
        .await
        .map_err(failed)?;
    row.ok_or_else(absent)
}

fn absent() -> domain::Error {
    ErrorKind::NotFound.error("no such destination")
}

impl Row {
    /// With what is to be different.
    fn with(self, change: DestinationChange, guard: &Guard) -> Result<Row> {
        let kind = Kind::named(&self.kind)?;
        let url = change.url.as_deref().map(|url| address(kind, guard, url)).transpose()?;
        let [called_ae, calling_ae] = titles::checked(
            kind,
            change.called_ae_title.as_deref().unwrap_or(&self.called_ae),
            change.calling_ae_title.as_deref().unwrap_or(&self.calling_ae),
        )?;
        // Another system has said nothing yet.
        let same = url.as_ref().is_none_or(|url| *url == self.url) && called_ae == self.called_ae;
        let takes = if same { self.takes.clone() } else { String::new() };
        let secret = match change.secret {
            Some(secret) => {
                check_secret(kind, &secret)?;
                secret
            }
            // Whoever may change the address is not to be sent, there, what they may not see.
            None if is_sent(kind) && url.as_ref().is_some_and(|url| *url != self.url) => {
                if !self.secret.is_empty() {
                    let words = "with another address, say the secret again: it is sent there";
                    return Err(ErrorKind::Invalid.error(words));
                }
                self.secret
            }
            None => self.secret,
        };
        Ok(Row {
            name: change.name.as_deref().map_or(Ok(self.name), name)?,
            url: url.unwrap_or(self.url),
            formats: match change.formats {
                Some(set) => checked(kind, &set.formats)?,
                None => self.formats,
            },
            enabled: change.enabled.map_or(self.enabled, i64::from),
            secret,
            failures: 0,
            resume_ms: 0,
            called_ae,
            calling_ae,
            takes,
            ..self
        })
    }

    /// Without its secret.
    fn told(self) -> Result<Destination> {
        Ok(Destination {
            id: self.destination_id,
            name: self.name,
            kind: Kind::named(&self.kind)?.wire().into(),
            url: self.url,
            formats: listed(&self.formats),
            enabled: self.enabled != 0,
            created_ms: self.created_ms,
            has_secret: !self.secret.is_empty(),
            waiting: 0,
            failed: 0,
            resumes_ms: if self.failures > 0 { self.resume_ms } else { 0 },
            called_ae_title: self.called_ae,
            calling_ae_title: self.calling_ae,
            takes: self.takes,
        })
    }
}

/// What people call it, without what no line has.
fn name(name: &str) -> Result<String> {
    let plain = name.trim();
    let fits = (1..=NAME_CHARS_MAX).contains(&plain.chars().count());
    if !fits || plain.chars().any(char::is_control) {
        let words =
            format!("a destination's name has 1 to {NAME_CHARS_MAX} characters, in one line");
        return Err(ErrorKind::Invalid.error(words));
    }
    Ok(plain.to_owned())
}

/// The address, if a destination of that kind may have it.
fn address(kind: Kind, guard: &Guard, url: &str) -> Result<String> {
    match kind.scheme() {
        Some(scheme) => Ok(guard.checked_line(url, scheme)?.0.into()),
        None => Ok(guard.checked(url)?.into()),
    }
}

/// Whether the secret itself is sent to its destination.
fn is_sent(kind: Kind) -> bool {
    matches!(kind, Kind::Stow | Kind::Fhir)
}

fn check_secret(kind: Kind, secret: &str) -> Result<()> {
    if kind == Kind::Webhook {
        return signature::key(secret).map(drop);
    }
    if !is_sent(kind) && !secret.is_empty() {
        let words = "a destination of C-STORE or MLLP has no secret: it is known by its address";
        return Err(ErrorKind::Invalid.error(words));
    }
    let plain = secret.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if !plain || secret.len() > SECRET_CHARS_MAX {
        let words = "the secret of a STOW-RS or FHIR destination is the value of its header `Authorization`, such as `Bearer …`";
        return Err(ErrorKind::Invalid.error(words));
    }
    Ok(())
}
