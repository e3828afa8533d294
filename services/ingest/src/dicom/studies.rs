//! A study of which somebody knows that all of it has come: its series wait no longer.

use std::collections::HashSet;
use std::time::Duration;

use domain::{ErrorKind, Result, TenantId};
use futures::future::join_all;
use proto::ingest::StudyCompleted;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::dimse::is_uid;
use super::reception::Reception;

/// How long those who gather may take to look: they first put into series what has just come.
const LOOKING: Duration = Duration::from_secs(25);

/// What whoever gathers a sender's series is asked.
pub struct Ask {
    pub tenant: TenantId,
    pub study: String,
    /// Whether its series are to wait no longer.
    pub complete: bool,
    pub answer: oneshot::Sender<Found>,
}

/// What there is of a study: by however many doors and senders something came, it is there once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Found {
    /// By the digests that name their folders.
    pub series: HashSet<String>,
    /// By their UIDs.
    pub instances: HashSet<String>,
}

impl Reception {
    /// Has the series of the hospital's study wait no longer. `Conflict` where there are not as many instances as there must be.
    pub async fn complete(
        &self,
        tenant: TenantId,
        study: &str,
        expected: Option<u64>,
    ) -> Result<StudyCompleted> {
        if !is_uid(study) {
            return Err(ErrorKind::Invalid.error("a study is named by its Study Instance UID"));
        }
        let found = self.ask(tenant, study, false).await?;
        let count = found.instances.len() as u64;
        if count == 0 {
            return Err(ErrorKind::NotFound
                .error("nothing of that study has come, or all of it has long been done"));
        }
        if let Some(expected) = expected.filter(|expected| *expected != count) {
            return Err(ErrorKind::Conflict.error(format!(
                "there are {count} instances of that study, and not {expected}: send those that are missing, or complete it \
                 without a number"
            )));
        }
        let Found { series, instances } = self.ask(tenant, study, true).await?;
        Ok(StudyCompleted { series: series.len() as u32, instances: instances.len() as u64 })
    }

    /// What all find who gather for that hospital: nobody waits for another's.
    async fn ask(&self, tenant: TenantId, study: &str, complete: bool) -> Result<Found> {
        let senders = self.senders();
        let own = senders.iter().map(|sender| sender.is_of(tenant, &self.verifier));
        let own = join_all(own).await;
        let own = senders.iter().zip(own).filter(|(_, is_own)| *is_own);
        let answers: Vec<_> = own
            .map(|(sender, _)| {
                let (answer, answered) = oneshot::channel();
                sender.ask(Ask { tenant, study: study.to_owned(), complete, answer });
                answered
            })
            .collect();
        let answers = timeout(LOOKING, join_all(answers)).await;
        let mut all = Found::default();
        for answer in answers.map_err(|_| unknown())? {
            let found = answer.map_err(|_| unknown())?;
            all.series.extend(found.series);
            all.instances.extend(found.instances);
        }
        Ok(all)
    }
}

fn unknown() -> domain::Error {
    ErrorKind::Unavailable.error("what has come of the study cannot be told now")
}
