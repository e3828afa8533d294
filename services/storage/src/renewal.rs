//! What people ask of a scan's job: that it comes sooner, or that the scan is analysed anew.

use std::str::FromStr;

use domain::{Artefact, ErrorKind, JobId, Result, ScanId, TenantId};
use futures::future::BoxFuture;
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{NewPriority, Priority, Scan};
use service::claims::Claims;
use service::wire;

use crate::audit::{self, Entry};
use crate::lifecycle::{Event, Job, Transition};
use crate::limits;
use crate::scans::{answer_of, of_tenant};
use crate::store::Store;

/// How the names of what a result was, before the scan was analysed anew, begin among the scan's artefacts.
const BEFORE: &str = "before-";

impl Store {
    /// Gives a waiting scan that priority; one that has it stays as it is. `Conflict` where it waits no more.
    pub async fn prioritise(&self, claims: &Claims, wanted: &NewPriority) -> Result<Scan> {
        let scan = ScanId::from_str(&wanted.id)?;
        let priority = match wanted.priority() {
            Priority::Unspecified => {
                return Err(ErrorKind::Invalid.error("say which priority the scan is to have"));
            }
            priority => wire::priority_of(priority),
        };
        let (tenant, subject) = (claims.tenant().id(), claims.subject.clone());
        self.ask(tenant, scan, move |store, unit, _| {
            Box::pin(async move {
                let job = job_of(unit, tenant, scan).await?;
                let (_, transition) =
                    store.advance(unit, job, Event::Prioritise { priority }).await?;
                if transition == Transition::Stays {
                    return Ok(());
                }
                let (at_ms, action) = (store.clock.now_ms(), "scan.prioritised");
                let (subject, object) = (&*subject, scan.to_string());
                audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await
            })
        })
        .await
    }

    /// Has a scan analysed anew that failed or could not be analysed. `Conflict` where it has an answer, and where readers have
    /// judged that it has none: their words would be about another result.
    pub async fn retry(&self, claims: &Claims, id: &str) -> Result<Scan> {
        let scan = ScanId::from_str(id)?;
        let (tenant, subject) = (claims.tenant().id(), claims.subject.clone());
        self.ask(tenant, scan, move |store, unit, before| {
            Box::pin(async move {
                let answer = answer_of(before.answer()).ok();
                let job = job_of(unit, tenant, scan).await?;
                store.advance(unit, job, Event::Renew { answer, subject }).await.map(drop)
            })
        })
        .await
    }

    /// Does it in a unit that knows the scan, and answers with the scan as it is then.
    async fn ask<F>(&self, tenant: TenantId, scan: ScanId, work: F) -> Result<Scan>
    where
        F: for<'u> FnOnce(Store, &'u mut Unit, Scan) -> BoxFuture<'u, Result<()>> + Send + 'static,
    {
        let asked = self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                let before = of_tenant(&mut **unit, tenant, scan).await?;
                work(store, &mut *unit, before).await?;
                of_tenant(&mut **unit, tenant, scan).await
            })
        });
        let asked = asked.await?;
        self.changed(tenant, scan);
        Ok(asked)
    }

    /// Lets another job take the place of that one, whose row was stepped to it; its id. What the result was is kept under other
    /// names. The audit entry comes before the rest: a reader's word that comes at once is there by then, or finds no result.
    pub async fn renew(
        &self,
        unit: &mut Unit,
        job: &Job,
        at_ms: i64,
        subject: &str,
    ) -> Result<JobId> {
        let (tenant, action, object) = (job.tenant, "scan.retried", job.scan.to_string());
        audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
        limits::require_job(unit, tenant, at_ms).await?;
        require_unjudged(unit, job).await?;
        keep_result(unit, job).await?;
        reopen(unit, job, at_ms).await?;
        let id = JobId::new(&self.clock, &self.random);
        replace(unit, job, id, at_ms).await?;
        Ok(id)
    }
}

/// The scan's job; `NOT_FOUND` in the words for a scan.
async fn job_of(unit: &mut Unit, tenant: TenantId, scan: ScanId) -> Result<JobId> {
    let id: Option<String> =
        sqlx::query_scalar("SELECT id FROM jobs WHERE tenant_id = ? AND scan_id = ?")
            .id(tenant)
            .id(scan)
            .fetch_optional(&mut **unit)
            .await
            .map_err(failed)?;
    JobId::try_from(id.ok_or_else(|| ErrorKind::NotFound.error("no such scan"))?)
}

async fn require_unjudged(unit: &mut Unit, job: &Job) -> Result<()> {
    let words: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM feedback WHERE tenant_id = ? AND scan_id = ?")
            .id(job.tenant)
            .id(job.scan)
            .fetch_one(&mut **unit)
            .await
            .map_err(failed)?;
    if words == 0 {
        return Ok(());
    }
    Err(ErrorKind::Conflict.error(
        "readers have judged this result: analysed anew, the scan would have another one. Upload it once more instead",
    ))
}

/// Names the files of the result otherwise: the next one will have files of the same names.
async fn keep_result(unit: &mut Unit, job: &Job) -> Result<()> {
    let names: Vec<String> =
        sqlx::query_scalar("SELECT name FROM artefacts WHERE tenant_id = ? AND scan_id = ?")
            .id(job.tenant)
            .id(job.scan)
            .fetch_all(&mut **unit)
            .await
            .map_err(failed)?;
    let number = 1 + names.iter().filter_map(|name| number_of(name)).max().unwrap_or(0);
    let of_result = |name: &&String| !Artefact::is_uploaded(name) && number_of(name).is_none();
    for name in names.iter().filter(of_result) {
        sqlx::query(
            "UPDATE artefacts SET name = ? WHERE tenant_id = ? AND scan_id = ? AND name = ?",
        )
        .bind(format!("{BEFORE}{number}-{name}"))
        .id(job.tenant)
        .id(job.scan)
        .bind(name.clone())
        .run(unit)
        .await?;
    }
    Ok(())
}

/// Which earlier result the file of that name is of, from 1; None: it is of none.
fn number_of(name: &str) -> Option<u32> {
    name.strip_prefix(BEFORE)?.split_once('-')?.0.parse().ok()
}

/// Makes the scan one that waits.
async fn reopen(unit: &mut Unit, job: &Job, at_ms: i64) -> Result<()> {
    sqlx::query(
        "UPDATE scans SET state = 'queued', answer = '', reason = '', completed_ms = 0, model_version = '',
             volume_ml = NULL, changed_ms = ?
         WHERE tenant_id = ? AND id = ?",
    )
    .bind(at_ms)
    .id(job.tenant)
    .id(job.scan)
    .run(unit)
    .await
    .map(drop)
}

/// Gives the row another id, so that whoever worked on the job before knows of none.
async fn replace(unit: &mut Unit, job: &Job, id: JobId, at_ms: i64) -> Result<()> {
    sqlx::query(
        "UPDATE jobs SET id = ?, worker = '', renewed_ms = ? WHERE tenant_id = ? AND id = ?",
    )
    .id(id)
    .bind(at_ms)
    .id(job.tenant)
    .id(job.id)
    .run(unit)
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_an_earlier_result_says_of_which() {
        for (name, expected) in [
            ("before-1-result.json", Some(1)),
            ("before-12-mask.nii.gz", Some(12)),
            ("result.json", None),
            ("before-long", None),
            ("before-x-y", None),
        ] {
            assert_eq!(number_of(name), expected, "{name}");
        }
    }
}
