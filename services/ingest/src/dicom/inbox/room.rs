use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One sender has so large a part of all room at most: none keeps the others out.
const OF_A_SENDER: u64 = 2;

/// The room that instances take, in bytes, by sender; cheap to clone.
#[derive(Clone)]
pub struct Room {
    most: u64,
    taken: Arc<Mutex<HashMap<String, u64>>>,
}

/// Room for what is still coming; given back when this is dropped, unless it is kept.
pub struct Place {
    room: Room,
    sender: String,
    bytes: u64,
}

impl Room {
    pub fn of(most: u64) -> Room {
        Room { most, taken: Arc::default() }
    }

    pub fn taken(&self) -> u64 {
        self.by_sender().values().sum()
    }

    /// Counts what is there, however much it is.
    pub fn count(&self, sender: &str, bytes: u64) {
        *self.by_sender().entry(sender.to_owned()).or_default() += bytes;
    }

    pub fn give_back(&self, sender: &str, bytes: u64) {
        if let Some(taken) = self.by_sender().get_mut(sender) {
            *taken = taken.saturating_sub(bytes);
        }
    }

    /// A place for what that sender sends, of no bytes yet.
    pub fn place(&self, sender: &str) -> Place {
        Place { room: self.clone(), sender: sender.to_owned(), bytes: 0 }
    }

    fn grow(&self, sender: &str, bytes: u64) -> Result<(), ()> {
        let mut by_sender = self.by_sender();
        let all = by_sender.values().sum::<u64>() + bytes;
        let own = by_sender.entry(sender.to_owned()).or_default();
        if all > self.most || *own + bytes > self.most / OF_A_SENDER {
            return Err(());
        }
        *own += bytes;
        Ok(())
    }

    fn by_sender(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        // Counts are whole whatever panics beside them.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn grow(&mut self, bytes: u64) -> Result<(), ()> {
        self.room.grow(&self.sender, bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Leaves it taken; `in_place_of` so many bytes, which are gone.
    pub fn keep(mut self, in_place_of: u64) {
        self.bytes = in_place_of;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.give_back(&self.sender, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sender_has_half_and_what_does_not_come_takes_nothing() {
        let room = Room::of(10);
        let (mut one, mut more, mut other) = (room.place("a"), room.place("a"), room.place("b"));
        assert_eq!(one.grow(5), Ok(()));
        assert_eq!(more.grow(1), Err(()));
        assert_eq!(other.grow(4), Ok(()));
        assert_eq!((room.taken(), one.bytes()), (9, 5));
        drop(one);
        assert_eq!(more.grow(5), Ok(()));
        more.keep(2);
        assert_eq!(room.taken(), 7);
        room.give_back("a", 3);
        other.keep(0);
        assert_eq!(room.taken(), 4);
    }
}
