//! Readings, and what happened elsewhere: noted in the audit trail, and what that says.

use domain::artefact::{IMAGE, ORIGINAL, VOLUME};
use domain::{ErrorKind, Result};
use platform::trail::{self, Entry, Search};
use proto::audit;
use service::claims::{Claims, Role};
use service::wire;

use crate::store::Store;

const PIXELS_READ: &str = "scan.pixels.read";
const TRAIL_READ: &str = "audit.read";
/// What the gateway may tell in a caller's name: refusals, changes in services that keep no trail, and readings of pixels that it
/// has in memory.
const TOLD: [&str; 3] = ["access.refused", "models.changed", PIXELS_READ];

/// A reason is a word at least.
const REASON_CHARS_MIN: usize = 3;

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

    /// The same by the same person within some minutes is one entry.
    async fn note_once(
        &self,
        claims: &Claims,
        action: &'static str,
        object: String,
        detail: String,
    ) -> Result<()> {
        let what = reading(claims, action, &object, &detail);
        let now_ms = self.clock.now_ms();
        if self.lately.has(&what, now_ms) {
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

/// What tells one reading from another: whose, by whom, of what. For another reason it is another one.
fn reading(claims: &Claims, action: &str, object: &str, detail: &str) -> [String; 4] {
    let why = format!("{detail}\n{}", trail::reason());
    let tenant = claims.tenant().id().to_string();
    [tenant, claims.subject.clone(), format!("{action} {object}"), why]
}
