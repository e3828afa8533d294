//! One attempt to deliver, from what is stored to what the receiver says.

use std::error::Error as StdError;
use std::iter::successors;
use std::time::Duration;

use domain::{Error, ErrorKind, Result};
use tonic::{Code, Status};

use crate::Store;
use crate::format::{Kind, listed};
use crate::handed::{Handed, Of};
use crate::objects::objects;
use crate::outbox::Due;
use crate::post::{Post, clipped};
use crate::webhook::Message;
use crate::{stow, webhook};

/// Well below the lease: an attempt has ended before another may begin.
const WITHIN: Duration = Duration::from_secs(200);

/// What became of an attempt.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The receiver has it, and what it has said besides.
    Delivered(String),
    /// It does not have it now; the destination is tried again later.
    Later(String),
    /// Something of ours is away: the destination has nothing to do with it.
    Away(String),
    /// It will not have it, however often it is sent.
    Refused(String),
    /// There is nothing that could be sent.
    Unmade(String),
}

impl Outcome {
    /// The name used in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Delivered(_) => "delivered",
            Outcome::Later(_) => "later",
            Outcome::Away(_) => "away",
            Outcome::Refused(_) => "refused",
            Outcome::Unmade(_) => "unmade",
        }
    }

    pub fn words(&self) -> &str {
        match self {
            Outcome::Delivered(words)
            | Outcome::Later(words)
            | Outcome::Away(words)
            | Outcome::Refused(words)
            | Outcome::Unmade(words) => words,
        }
    }
}

/// Sends what is due, within a time.
pub async fn attempt(store: &Store, handed: &Handed, post: &Post, due: &Due) -> Outcome {
    let sent = async {
        match due.kind {
            Kind::Webhook => of_webhook(store, handed, post, due).await,
            Kind::Stow => of_stow(store, handed, post, due).await,
        }
    };
    match tokio::time::timeout(WITHIN, sent).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => of_our_own(&error),
        Err(_) => Outcome::Later(format!("an attempt took longer than {} s", WITHIN.as_secs())),
    }
}

async fn of_webhook(store: &Store, handed: &Handed, post: &Post, due: &Due) -> Result<Outcome> {
    let document = handed.document(Of { tenant: due.tenant, scan: due.scan }).await?;
    let message = Message::new(&due.formats, &due.id, due.scan, &document)?;
    let to = (due.url.as_str(), due.secret.as_str());
    webhook::send(post, to, &due.id, store.clock.now_ms(), message).await
}

async fn of_stow(store: &Store, handed: &Handed, post: &Post, due: &Due) -> Result<Outcome> {
    let of = Of { tenant: due.tenant, scan: due.scan };
    let objects = objects(handed, of, &listed(&due.formats)).await?;
    let absent = objects.absent.join("; ");
    if objects.made.is_empty() {
        return Ok(Outcome::Unmade(clipped(&format!("there is nothing to send: {absent}"))));
    }
    let to = (due.url.as_str(), due.secret.as_str());
    let sent = stow::send(post, to, &store.random, &objects.made).await?;
    Ok(match sent {
        Outcome::Delivered(words) if !absent.is_empty() => {
            let words = [words, format!("not all could be made: {absent}")];
            let said: Vec<String> = words.into_iter().filter(|words| !words.is_empty()).collect();
            Outcome::Delivered(clipped(&said.join("; ")))
        }
        sent => sent,
    })
}

/// What our own error comes to: what may pass is tried again, and what never will is somebody's to look at.
fn of_our_own(error: &Error) -> Outcome {
    tracing::warn!(error = error as &dyn std::error::Error, "a result could not be pushed");
    match error.kind() {
        kind if kind.is_transient() || was_not_answered(error) => {
            Outcome::Away(clipped(&error.to_string()))
        }
        // Secrets are renewed and roles come with them: a sign-in that fails is an operator's mistake that can be mended.
        ErrorKind::Unauthenticated | ErrorKind::Forbidden => {
            Outcome::Away("delivery may not read what it is to push (DELIVERY_SECRET)".to_owned())
        }
        _ => Outcome::Unmade(clipped(&error.to_string())),
    }
}

/// Whether storage has said nothing of the scan: a connection that breaks in the middle of an answer is `UNKNOWN`, which no service
/// of ours says, and one of an earlier version hands out nothing yet.
fn was_not_answered(error: &Error) -> bool {
    let causes = successors(Some(error as &(dyn StdError + 'static)), |&cause| cause.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<Status>())
        .any(|status| matches!(status.code(), Code::Unknown | Code::Unimplemented))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_breaks_ends_no_delivery() {
        for (status, expected) in [
            (Status::unknown("error reading a body from connection"), "away"),
            (Status::unimplemented(""), "away"),
            (Status::internal("it broke"), "unmade"),
            (Status::not_found("no such scan"), "unmade"),
        ] {
            assert_eq!(of_our_own(&Error::from(status)).name(), expected);
        }
    }

    #[test]
    fn what_of_ours_is_away_ends_no_delivery() {
        for (kind, expected) in [
            (ErrorKind::Unavailable, "away"),
            (ErrorKind::Exhausted, "away"),
            (ErrorKind::Unauthenticated, "away"),
            (ErrorKind::Internal, "unmade"),
            (ErrorKind::NotFound, "unmade"),
        ] {
            assert_eq!(of_our_own(&kind.error("why")).name(), expected, "{kind:?}");
        }
    }
}
