//! One attempt to deliver, from what is stored to what the receiver says.

use std::error::Error as StdError;
use std::iter::successors;
use std::time::Duration;

use domain::{Error, ErrorKind, Result};
use tonic::{Code, Status};

use crate::Store;
use crate::cstore::{self, Titles};
use crate::dial::Dial;
use crate::event::About;
use crate::format::{Kind, listed};
use crate::handed::{Handed, Of};
use crate::hospitals::Hospitals;
use crate::objection::objected;
use crate::objects::{Objects, objects};
use crate::outbox::Due;
use crate::outcome::{Attempted, Outcome};
use crate::post::{Post, clipped};
use crate::webhook::Message;
use crate::{fhir, mllp, stow, webhook};

/// Well below the lease: an attempt has ended before another may begin.
const WITHIN: Duration = Duration::from_secs(200);

/// What an attempt goes through; cheap to clone.
#[derive(Clone)]
pub struct Ways {
    pub handed: Handed,
    pub hospitals: Hospitals,
    pub post: Post,
    pub dial: Dial,
}

/// What is sent.
enum Parcel {
    Message(Message),
    Objects(Objects),
    Hl7(Vec<u8>),
    Fhir(fhir::Transaction),
}

/// Sends what is due, within a time. What the receiver objects to once too often, it refuses.
pub async fn attempt(store: &Store, ways: &Ways, due: &Due) -> Attempted {
    let Attempted { outcome, takes } = in_time(store, ways, due).await;
    let outcome = match outcome {
        Outcome::Objected(words) => objected(&words, due.objections + 1),
        outcome => outcome,
    };
    Attempted { outcome, takes }
}

async fn in_time(store: &Store, ways: &Ways, due: &Due) -> Attempted {
    match tokio::time::timeout(WITHIN, attempted(store, ways, due)).await {
        Ok(Ok(attempted)) => attempted,
        Ok(Err(error)) => of_our_own(&error).into(),
        Err(_) => {
            Outcome::Later(format!("an attempt took longer than {} s", WITHIN.as_secs())).into()
        }
    }
}

async fn attempted(store: &Store, ways: &Ways, due: &Due) -> Result<Attempted> {
    // Before anything is read of a patient.
    if let Some(why) = ways.hospitals.holds(due.tenant).await? {
        return Ok(Outcome::Held(why.to_owned()).into());
    }
    let parcel = match packed(store, &ways.handed, due).await? {
        Ok(parcel) => parcel,
        Err(why) => {
            let words = clipped(&format!("there is nothing to send: {why}"));
            return Ok(Outcome::Absent(words).into());
        }
    };
    // And at the moment of sending: what is read and written meanwhile takes its time.
    if let Some(why) = ways.hospitals.holds(due.tenant).await? {
        return Ok(Outcome::Held(why.to_owned()).into());
    }
    sent(store, ways, due, parcel).await
}

/// What is to be sent, or in words why there is nothing.
async fn packed(store: &Store, handed: &Handed, due: &Due) -> Result<Result<Parcel, String>> {
    let scan = match &due.about {
        About::Scan(scan) => *scan,
        // Webhooks alone have deliveries of such.
        About::Event(id) => {
            let body = store.event(due.tenant, id).await?;
            return Ok(Ok(Parcel::Message(Message::of_event(body))));
        }
    };
    let of = Of { tenant: due.tenant, scan };
    Ok(match due.kind {
        Kind::Webhook => {
            let document = handed.document(of).await?;
            Ok(Parcel::Message(Message::new(&due.formats, &due.id, scan, &document)?))
        }
        Kind::Stow | Kind::Cstore => {
            let objects = objects(handed, of, &listed(&due.formats)).await?;
            if objects.made.is_empty() {
                Err(objects.absent.join("; "))
            } else {
                Ok(Parcel::Objects(objects))
            }
        }
        Kind::Mllp => mllp::written(handed, of).await?.map(Parcel::Hl7).map_err(str::to_owned),
        Kind::Fhir => fhir::written(handed, of).await?.map(Parcel::Fhir).map_err(str::to_owned),
    })
}

async fn sent(store: &Store, ways: &Ways, due: &Due, parcel: Parcel) -> Result<Attempted> {
    let to = (due.url.as_str(), due.secret.as_str());
    match parcel {
        Parcel::Message(message) => {
            let now_ms = store.clock.now_ms();
            Ok(webhook::send(&ways.post, to, &due.id, now_ms, message).await?.into())
        }
        Parcel::Hl7(message) => Ok(mllp::send(&ways.dial, &due.url, &message).await.into()),
        Parcel::Fhir(transaction) => Ok(fhir::send(&ways.post, to, transaction).await?.into()),
        Parcel::Objects(Objects { made, absent, left_out }) => {
            let sent = if due.kind == Kind::Cstore {
                let titles = Titles { called: &due.called_ae, calling: &due.calling_ae };
                cstore::send(&ways.dial, &due.url, titles, made).await?
            } else {
                stow::send(&ways.post, to, &store.random, &made).await?.into()
            };
            Ok(with_remarks(sent, &absent, &left_out))
        }
    }
}

/// With what could not be made of that result, and what its objects leave out.
fn with_remarks(sent: Attempted, absent: &[&str], left_out: &[&str]) -> Attempted {
    let Attempted { outcome, takes } = sent;
    let words = match outcome {
        Outcome::Delivered(words) => words,
        outcome => return Attempted { outcome, takes },
    };
    let absent = match absent {
        [] => String::new(),
        some => format!("not all could be made: {}", some.join("; ")),
    };
    let said = [words, absent, left_out.join("; ")];
    let said: Vec<String> = said.into_iter().filter(|words| !words.is_empty()).collect();
    Attempted { outcome: Outcome::Delivered(clipped(&said.join("; "))), takes }
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
        ErrorKind::NotFound => Outcome::Absent(clipped(&error.to_string())),
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
            (Status::not_found("no such scan"), "absent"),
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
            (ErrorKind::NotFound, "absent"),
        ] {
            assert_eq!(of_our_own(&kind.error("why")).name(), expected, "{kind:?}");
        }
    }
}
