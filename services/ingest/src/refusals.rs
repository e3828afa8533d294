//! What is refused at the door, told to storage, so that it is counted.

use std::time::Duration;

use imaging::{KnownOfRefused, Refusal};
use metrics::Unit::Count;
use metrics::{counter, describe_counter};
use proto::storage::RefusedUpload;
use service::claims::{authorised, vouched};

use crate::upload::Uploads;

/// How long storage may take to hear of it: whoever waits for the answer waits for nothing more.
const PATIENCE: Duration = Duration::from_secs(5);

impl Uploads {
    /// Tells that a file was refused, whose sender states that `site` (empty: none).
    ///
    /// Once at most: what cannot be told now is told to nobody, and the refusal stands without.
    pub async fn note(&self, refusal: &Refusal, site: &str, token: &str) {
        let problem = refusal.problem.name();
        counter!("medseg_uploads_refused_total", "problem" => problem).increment(1);
        if let Err(error) = self.tell(message(refusal, site), token).await {
            tracing::warn!(
                problem,
                error = &error as &dyn std::error::Error,
                "a refused upload is counted nowhere"
            );
        }
    }

    async fn tell(&self, refused: RefusedUpload, token: &str) -> domain::Result<()> {
        let mut request = vouched(authorised(refused, token), &self.own.get().await?);
        request.set_timeout(PATIENCE);
        self.storage.clone().note_refusal(request).await?;
        Ok(())
    }
}

fn message(refusal: &Refusal, site: &str) -> RefusedUpload {
    let KnownOfRefused { equipment, kind } = refusal.known.clone();
    let equipment = equipment.stated(site);
    RefusedUpload {
        problem: refusal.problem.name().into(),
        site: equipment.site.unwrap_or_default(),
        scanner: equipment.scanner.unwrap_or_default(),
        image_kind: kind.map(|kind| kind.name().into()).unwrap_or_default(),
    }
}

pub fn describe() {
    describe_counter!(
        "medseg_uploads_refused_total",
        Count,
        "Files that were refused at the door, by the problem that they were answered with"
    );
}

#[cfg(test)]
mod tests {
    use domain::Equipment;
    use imaging::{ImageKind, RefusalReason};

    use super::*;

    #[test]
    fn a_refusal_says_where_and_with_what_the_file_was_made_as_far_as_that_is_known() {
        let refusal = RefusalReason::NotAHead.refuse("It shows a knee.");
        let nothing = RefusedUpload { problem: "not-a-head".into(), ..RefusedUpload::default() };
        assert_eq!(message(&refusal, ""), nothing);
        let equipment = Equipment { site: Some("East".into()), scanner: Some("Acme".into()) };
        let known = KnownOfRefused { equipment, kind: Some(ImageKind::Flair) };
        let told = message(&refusal.of_known(known), "West");
        let said = [told.site, told.scanner, told.image_kind];
        assert_eq!(said, ["West", "Acme", "flair"]);
    }
}
