//! The memory that calls in hand take: their bodies, tiles and answers, counted before they are there.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use domain::{Error, ErrorKind, Result};
use futures::StreamExt;
use http_body::{Frame, SizeHint};
use service::{Share, Shares};
use tonic::Status;

use crate::cores::blocking;

/// One hospital's calls have this part of all at most.
const PART_OF_ONE: usize = 2;

/// So many bytes for all calls, whichever face they come to.
#[derive(Clone)]
pub struct Memory {
    bytes: usize,
    taken: Shares<Arc<str>>,
}

/// What one call takes of them; given back when the last clone is gone.
#[derive(Clone)]
pub struct Room {
    memory: Memory,
    tenant: Arc<str>,
    share: Arc<Mutex<Share<Arc<str>>>>,
}

impl Memory {
    pub fn of(bytes: usize) -> Memory {
        Memory { bytes, taken: Shares::default() }
    }

    /// For a call of that hospital, which has taken nothing yet.
    pub fn room(&self, tenant: Arc<str>) -> Room {
        let share = Arc::new(Mutex::new(self.taken.none(tenant.clone())));
        Room { memory: self.clone(), tenant, share }
    }

    fn of_one(&self) -> usize {
        self.bytes / PART_OF_ONE
    }
}

impl Room {
    /// Takes so many bytes more.
    ///
    /// `Exhausted` where there is no room now, `Invalid` where there never will be for a call of that size.
    pub fn take(&self, bytes: usize) -> Result<()> {
        let (all, of_one) = (self.memory.bytes, self.memory.of_one());
        let mut share = self.share();
        if share.count().saturating_add(bytes) > of_one {
            return Err(self.too_much());
        }
        share.grow(bytes, |taken| {
            let fits = taken.all() + bytes <= all
                && taken.of(&self.tenant).saturating_add(bytes) <= of_one;
            if fits { Ok(()) } else { Err(full()) }
        })
    }

    /// Takes what it lacks to so many bytes: what came before has been left by then.
    pub fn take_in_all(&self, bytes: usize) -> Result<()> {
        let has = self.share().count();
        self.take(bytes.saturating_sub(has))
    }

    /// Calculates what may block. It holds the room to its end, also where its caller has gone meanwhile.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Room) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let room = self.clone();
        blocking(move || work(&room)).await
    }

    /// The same body, each byte of which takes so many as it comes; one that there is no room for ends with a [`Status`].
    pub fn metered(&self, body: Body, times: usize) -> Body {
        let room = self.clone();
        Body::from_stream(body.into_data_stream().map(move |piece| -> Result<Bytes, BoxError> {
            let piece = piece?;
            room.take(piece.len().saturating_mul(times)).map_err(Status::from)?;
            Ok(piece)
        }))
    }

    /// The same body, whose bytes hold the room until they are sent.
    pub fn held_by(&self, body: Body) -> Body {
        Body::new(HeldBody { body, room: self.clone() })
    }

    fn too_much(&self) -> Error {
        let mib = self.memory.of_one() >> 20;
        ErrorKind::Invalid.error(format!(
            "the call takes more than the {mib} MiB of memory that a hospital has here: send fewer tiles at a time"
        ))
    }

    fn share(&self) -> MutexGuard<'_, Share<Arc<str>>> {
        // A count is whole whatever panics beside it.
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn full() -> Error {
    ErrorKind::Exhausted
        .error("the memory for calls is taken: send it again when fewer are in hand")
}

struct HeldBody {
    body: Body,
    room: Room,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let held = |bytes| Bytes::from_owner(Held { bytes, _room: self.room.clone() });
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(held))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes on their way out: a connection keeps them after their body has ended.
struct Held {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
