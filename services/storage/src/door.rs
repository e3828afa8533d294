//! What is refused at the door: told to whoever counts it, and kept nowhere.

use domain::{ErrorKind, RefusalId, Result};
use platform::db::{Unit, failed};
use proto::events::UploadRefused;
use proto::storage::RefusedUpload;
use service::claims::Tenant;
use service::topics::UPLOAD_REFUSED;
use service::trace;

use crate::event;
use crate::store::Store;

/// Messages that wait for the queue. Behind so many refusals are not told: what is only counted fills no disk.
const WAITING_MAX: i64 = 1000;

/// The longest name of a problem, and the longest words for where, with what and as what a file was made.
const PROBLEM_CHARS_MAX: usize = 32;
const SAID_CHARS_MAX: usize = 64;

impl Store {
    /// Tells that a file of the tenant was refused; once at most.
    pub async fn note_refusal(&self, tenant: Tenant, refused: RefusedUpload) -> Result<()> {
        let RefusedUpload { problem, site, scanner, image_kind } = refused;
        let said = UploadRefused {
            tenant_id: tenant.id().to_string(),
            refused_ms: self.clock.now_ms(),
            problem: named(problem)?,
            site: event::said(&clipped(&site)),
            scanner: event::said(&clipped(&scanner)),
            image_kind: event::said(&clipped(&image_kind)),
        };
        let id = RefusalId::new(&self.clock, &self.random);
        let event = event::refused(id, said, &trace::traceparent())?;
        self.unit(Some(tenant.id()), move |store, unit| {
            Box::pin(async move {
                if waiting(unit).await? < WAITING_MAX {
                    store.announce(unit, UPLOAD_REFUSED, &event).await?;
                }
                Ok(())
            })
        })
        .await?;
        self.outbox.notify_one();
        Ok(())
    }
}

/// How many messages wait, but no more of them than matter.
async fn waiting(unit: &mut Unit) -> Result<i64> {
    sqlx::query_scalar("SELECT COUNT(*) FROM (SELECT id FROM outbox LIMIT ?) AS waiting")
        .bind(WAITING_MAX)
        .fetch_one(&mut **unit)
        .await
        .map_err(failed)
}

fn named(problem: String) -> Result<String> {
    let known = |sign: char| sign.is_ascii_lowercase() || sign == '-';
    if (1..=PROBLEM_CHARS_MAX).contains(&problem.len()) && problem.chars().all(known) {
        return Ok(problem);
    }
    Err(ErrorKind::Invalid.error("a refusal names its problem"))
}

fn clipped(text: &str) -> String {
    text.chars().take(SAID_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_a_name_and_nothing_else() {
        assert_eq!(named("not-a-head".into()).unwrap(), "not-a-head");
        for strange in ["", "Not a head", "no\u{e9}", &"x".repeat(33)] {
            assert_eq!(named(strange.into()).unwrap_err().kind(), ErrorKind::Invalid, "{strange}");
        }
    }
}
