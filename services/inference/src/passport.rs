//! Has the deployment sign what a result is and how it came about.

use std::time::Duration;

use domain::artefact::PASSPORT;
use domain::{ErrorKind, Result};
use imaging::{ModelInfo, Passport, PassportStatement, StatementSignature};
use proto::registry::ResultSignature;
use proto::storage::Job;

use crate::follow::Registry;
use crate::jobs::File;

/// How long a result waits for its signature.
const PATIENCE: Duration = Duration::from_secs(5);

/// The passport of a result with those files; None where nobody signs it now, which is in the log: a patient's result does not
/// wait for a signature.
pub async fn passport(
    registry: &Registry,
    job: &Job,
    model: &ModelInfo,
    files: &[File],
) -> Option<File> {
    let signed = tokio::time::timeout(PATIENCE, signed(registry, job, model, files)).await;
    let timeout = || ErrorKind::Unavailable.error("the registry does not answer");
    match signed.unwrap_or_else(|_| Err(timeout())) {
        Ok(passport) => Some((PASSPORT, passport.to_json().into())),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(job.id = %job.job_id, error, "a result goes out without a signature");
            None
        }
    }
}

async fn signed(
    registry: &Registry,
    job: &Job,
    model: &ModelInfo,
    files: &[File],
) -> Result<Passport> {
    let digests = [job.binding.clone(), job.volume_sha256.clone()];
    let statement = PassportStatement::new(job.scan_id.clone(), digests, model, files)?;
    let ResultSignature { key_id, value } = registry.sign(statement.canonical()).await?;
    Ok(Passport { statement, signature: StatementSignature { key_id, value } })
}
