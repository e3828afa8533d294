use domain::Result;
use proto::ingest::PartialUpload;
use proto::ingest::partial_upload::Outcome;

use super::Partials;
use super::facts::Contents;
use super::hold::Held;
use crate::rpc::refused;
use crate::spool::Received;
use crate::upload::{Taken, Uploads};

impl Uploads {
    /// Makes of a whole upload what it would have become in one call, in the name of `token`'s bearer; one that is not whole, or
    /// has become something already, stays as it is.
    ///
    /// An upload that fails for a reason that may pass stays whole, and becomes a scan when it is asked for again.
    pub async fn finish(
        &self,
        partials: &Partials,
        held: Held,
        token: &str,
    ) -> Result<PartialUpload> {
        if held.facts.outcome.is_some() || !held.facts.is_whole() {
            return Ok(partials.state(&held));
        }
        let outcome = self.outcome(&held, token).await?;
        partials.close(held, outcome).await
    }

    async fn outcome(&self, held: &Held, token: &str) -> Result<Outcome> {
        let header = held.facts.header(held.id);
        let whole = held.whole().await?;
        let taken = match held.facts.contents {
            Contents::File => self.take_received(&Received::One(whole), &header, token).await?,
            Contents::Files => {
                self.take_received(&Received::Several(whole), &header, token).await?
            }
            Contents::Batch => self.take_archive(&whole, &header, token).await?.map(Taken::Batch),
        };
        Ok(match taken {
            Ok(Taken::Scan(scan)) => Outcome::ScanId(scan.id),
            Ok(Taken::Batch(batch)) => Outcome::BatchId(batch.id),
            Err(refusal) => {
                self.note(&refusal, &header.site, token).await;
                Outcome::Refusal(refused(refusal))
            }
        })
    }
}
