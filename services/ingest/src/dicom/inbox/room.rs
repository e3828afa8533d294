use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One sender has so large a part of all room at most: none keeps the others out.
const OF_A_SENDER: u64 = 2;

/// The room that instances take, in bytes, by sender; cheap to clone.
#[derive(Clone)]
pub struct Room {
    most: u64,
    /// What an instance counts for at least: however small they are, there are not too many of them.
    least: u64,
    taken: Arc<Mutex<HashMap<String, u64>>>,
}

/// Room for what is still coming; given back when this is dropped, unless it is kept.
pub struct Place {
    room: Room,
    sender: String,
    bytes: u64,
    /// What it counts for.
    counted: u64,
}

impl Room {
    pub fn of(most: u64, least: u64) -> Room {
        Room { most, least, taken: Arc::default() }
    }

    pub fn taken(&self) -> u64 {
        self.by_sender().values().sum()
    }

    /// Counts an instance of so many bytes that is there, whatever there may be.
    pub fn count(&self, sender: &str, bytes: u64) {
        *self.by_sender().entry(sender.to_owned()).or_default() += self.counted(bytes);
    }

    /// An instance of so many bytes is gone.
    pub fn give_back(&self, sender: &str, bytes: u64) {
        self.uncount(sender, self.counted(bytes));
    }

    /// A place for an instance that the sender sends, of no bytes yet.
    pub fn place(&self, sender: &str) -> Place {
        Place { room: self.clone(), sender: sender.to_owned(), bytes: 0, counted: 0 }
    }

    fn counted(&self, bytes: u64) -> u64 {
        bytes.max(self.least)
    }

    fn uncount(&self, sender: &str, counted: u64) {
        if let Some(taken) = self.by_sender().get_mut(sender) {
            *taken = taken.saturating_sub(counted);
        }
    }

    fn grow(&self, sender: &str, more: u64) -> Result<(), ()> {
        let mut by_sender = self.by_sender();
        let all = by_sender.values().sum::<u64>() + more;
        let own = by_sender.entry(sender.to_owned()).or_default();
        if all > self.most || *own + more > self.most / OF_A_SENDER {
            return Err(());
        }
        *own += more;
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
        let counted = self.room.counted(self.bytes + bytes);
        self.room.grow(&self.sender, counted - self.counted)?;
        (self.bytes, self.counted) = (self.bytes + bytes, counted);
        Ok(())
    }

    /// Leaves it taken, in place of an instance of so many bytes, if there was one.
    pub fn keep(mut self, in_place_of: Option<u64>) {
        self.counted = in_place_of.map_or(0, |bytes| self.room.counted(bytes));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.uncount(&self.sender, self.counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sender_has_half_and_what_does_not_come_takes_nothing() {
        let room = Room::of(10, 1);
        let (mut one, mut more, mut other) = (room.place("a"), room.place("a"), room.place("b"));
        assert_eq!(one.grow(5), Ok(()));
        assert_eq!(more.grow(1), Err(()));
        assert_eq!(other.grow(4), Ok(()));
        assert_eq!((room.taken(), one.bytes()), (9, 5));
        drop(one);
        assert_eq!(more.grow(5), Ok(()));
        more.keep(Some(2));
        assert_eq!(room.taken(), 7);
        room.give_back("a", 3);
        other.keep(None);
        assert_eq!(room.taken(), 4);
    }

    #[test]
    fn small_instances_are_counted_as_what_they_cost() {
        let room = Room::of(100, 10);
        let mut small = room.place("a");
        small.grow(1).unwrap();
        small.grow(8).unwrap();
        assert_eq!((small.bytes(), room.taken()), (9, 10));
        small.grow(3).unwrap();
        small.keep(None);
        assert_eq!(room.taken(), 12);
        room.count("a", 1);
        room.give_back("a", 12);
        assert_eq!(room.taken(), 10);
    }
}
