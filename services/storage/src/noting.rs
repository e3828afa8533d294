//! Readings, and what happened elsewhere: noted in the audit trail, and what that says.

use std::time::Duration;

use domain::artefact::{IMAGE, ORIGINAL, VOLUME};
use domain::{ErrorKind, Result};
use platform::trail::{self, Entry, Search};
use proto::audit;
use service::claims::{Claims, Role};
use service::{Worker, wire};

use crate::audit::{Reading, Repeated};
use crate::store::Store;

const PIXELS_READ: &str = "scan.pixels.read";
const TRAIL_READ: &str = "audit.read";
/// What the gateway may tell in a caller's name: refusals, changes in services that keep no trail, and readings of pixels that it
/// has in memory.
const TOLD: [&str; 3] = ["access.refused", "models.changed", PIXELS_READ];

/// A reason is a word at least.
const REASON_CHARS_MIN: usize = 3;

/// Notes how often readings were done again once they are over, and the rest when this process stops.
pub fn count(store: Store, interval: Duration) -> Worker {
    Worker::new("readings", move |stop| async move {
        while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            store.note_repeated(store.clock.now_ms()).await;
        }
        store.note_repeated(i64::MAX).await;
        Ok(())
    })
}

impl Store {
    /// One page of the hospital's trail, newest first. With the first one it is noted that it is read; and with a later one, too,
    /// where that was not noted lately: anybody can write down a cursor, and begin with what is no first page.
    pub async fn trail_page(&self, claims: &Claims, asked: audit::Search) -> Result<audit::Page> {
        let tenant = claims.tenant().id();
        let (object, filters) = (String::new(), wire::audit_filters(&asked));
        trail::begin(&self.database, tenant).await?;
        if asked.first {
            let now_ms = self.clock.now_ms();
            let what = reading(claims, TRAIL_READ, &object, &filters);
            self.note(claims, TRAIL_READ, object, filters).await?;
            self.lately.noted(what, now_ms);
        } else {
            self.note_once(claims, TRAIL_READ, object, filters).await?;
        }
        let search: Search = wire::audit_search(asked);
        let rows = trail::page(&self.database, tenant, &search).await?;
        Ok(audit::Page { entries: rows.into_iter().map(wire::audit_entry).collect() })
    }

    /// Notes what the gateway tells in the caller's name: of changes it can say nothing that a trail here says by itself.
    pub async fn note_own(&self, claims: &Claims, told: audit::Note) -> Result<()> {
        let audit::Note { action, object_id, detail } = told;
        let action = TOLD.into_iter().find(|known| *known == action);
        let action = action.ok_or_else(|| ErrorKind::Invalid.error("no such entry can be told"))?;
        trail::begin(&self.database, claims.tenant().id()).await?;
        match action {
            // Each change is one of its own.
            "models.changed" => self.note(claims, action, object_id, detail).await,
            _ => self.note_once(claims, action, object_id, detail).await,
        }
    }

    /// Notes that somebody reads pixels of the scan, if that artefact has some.
    pub async fn note_pixels(&self, claims: &Claims, scan: &str, name: &str) -> Result<()> {
        if ![VOLUME.name, ORIGINAL.name, IMAGE.name].contains(&name) {
            return Ok(());
        }
        self.note_once(claims, PIXELS_READ, scan.to_owned(), name.to_owned()).await
    }

    /// Refuses whoever asks whose a scan is without saying why, where the rules name all the roles by which they might ask.
    pub fn require_reason(&self, claims: &Claims, asking: &[Role]) -> Result<()> {
        let named = &self.rules.identity_reason_roles;
        let mut own = claims.roles.iter().filter(|role| asking.contains(role));
        let is_needed = !named.is_empty() && own.all(|role| named.contains(role));
        if !is_needed || trail::reason().chars().count() >= REASON_CHARS_MIN {
            return Ok(());
        }
        let words = "say why you ask whose scan it is, in the header `Medseg-Reason`";
        Err(ErrorKind::Forbidden.error(words))
    }

    /// Notes how often readings were done again that are over by then. What cannot be noted now is noted later.
    pub async fn note_repeated(&self, now_ms: i64) {
        let mut over = self.lately.over(now_ms).into_iter();
        while let Some(repeated) = over.next() {
            if let Err(error) = self.note_again(&repeated).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "how often something was read is not noted yet");
                self.lately.put_back(std::iter::once(repeated).chain(over));
                return;
            }
        }
    }

    /// One more entry of what was done again: how often, and when for the last time.
    async fn note_again(&self, repeated: &Repeated) -> Result<()> {
        let Repeated { reading, again, last_ms, asked } = repeated;
        let Reading { tenant, subject, action, object, detail, .. } = reading.clone();
        // What it was of comes last: it may be cut off.
        let of = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        let (at_ms, detail) = (*last_ms, format!("again {again} times{of}"));
        let noting = self.unit(Some(tenant), move |_, unit| {
            Box::pin(async move {
                let (subject, detail) = (&*subject, &*detail);
                trail::append(unit, Entry { tenant, at_ms, subject, action, object, detail }).await
            })
        });
        trail::propagate(asked.clone(), noting).await
    }

    /// The same by the same person within some minutes is one entry, and how often it was done again another.
    async fn note_once(
        &self,
        claims: &Claims,
        action: &'static str,
        object: String,
        detail: String,
    ) -> Result<()> {
        let what = reading(claims, action, &object, &detail);
        let now_ms = self.clock.now_ms();
        if self.lately.again(&what, now_ms) {
            return Ok(());
        }
        self.note(claims, action, object, detail).await?;
        self.lately.noted(what, now_ms);
        Ok(())
    }

    async fn note(
        &self,
        claims: &Claims,
        action: &'static str,
        object: String,
        detail: String,
    ) -> Result<()> {
        let (tenant, subject) = (claims.tenant().id(), claims.subject.clone());
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                let (at_ms, subject, detail) = (store.clock.now_ms(), &*subject, &*detail);
                let entry = Entry { tenant, at_ms, subject, action, object, detail };
                trail::append(unit, entry).await
            })
        })
        .await
    }
}

fn reading(claims: &Claims, action: &'static str, object: &str, detail: &str) -> Reading {
    let (tenant, subject) = (claims.tenant().id(), &claims.subject);
    Reading::of(tenant, subject, action, object.to_owned(), detail.to_owned())
}
