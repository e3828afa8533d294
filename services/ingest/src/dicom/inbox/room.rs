use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::TenantId;

/// One sender has so large a part of all room at most: none keeps the others of its hospital out.
const OF_A_SENDER: u64 = 2;
/// One hospital's instances take so many times what stays free at most: two thirds of all while no other has any. What waits because
/// a hospital is beyond its limits does not go by itself, and however many hospitals are full, room is left for the next one.
const OF_A_HOSPITAL: u64 = 2;

/// What has no room left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Full {
    /// The inbox, of all hospitals together.
    Inbox,
    /// The share of the sender's hospital.
    Hospital,
    /// The sender's own.
    Sender,
    /// The disk.
    Disk,
}

/// The room that instances take, in bytes, by sender; cheap to clone.
#[derive(Clone)]
pub struct Room {
    most: u64,
    /// What an instance counts for at least: however small they are, there are not too many of them.
    least: u64,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    by_sender: HashMap<String, u64>,
    /// Of which hospital senders are, as far as it is known; one of whom it is not counts as a hospital by itself.
    hospitals: HashMap<String, String>,
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
        self.counts().by_sender.values().sum()
    }

    /// From now on the sender's instances, also those that are there, take room of that hospital.
    pub fn belongs(&self, sender: &str, hospital: TenantId) {
        self.counts().hospitals.insert(sender.to_owned(), hospital.to_string());
    }

    /// Counts an instance of so many bytes that is there, whatever there may be.
    pub fn count(&self, sender: &str, bytes: u64) {
        *self.counts().by_sender.entry(sender.to_owned()).or_default() += self.counted(bytes);
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
        if let Some(taken) = self.counts().by_sender.get_mut(sender) {
            *taken = taken.saturating_sub(counted);
        }
    }

    fn grow(&self, sender: &str, more: u64) -> Result<(), Full> {
        if more == 0 {
            return Ok(());
        }
        let mut counts = self.counts();
        let (all, of_hospital, of_sender) = counts.of(sender);
        let free = self.most.checked_sub(all + more).ok_or(Full::Inbox)?;
        if of_hospital + more > free.saturating_mul(OF_A_HOSPITAL) {
            return Err(Full::Hospital);
        }
        if of_sender + more > self.most / OF_A_SENDER {
            return Err(Full::Sender);
        }
        counts.by_sender.insert(sender.to_owned(), of_sender + more);
        Ok(())
    }

    fn counts(&self) -> MutexGuard<'_, Taken> {
        // Counts are whole whatever panics beside them.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// What all have, what the sender's hospital has, and the sender.
    fn of(&self, sender: &str) -> (u64, u64, u64) {
        let hospital = self.hospital(sender);
        let (mut all, mut of_hospital) = (0, 0);
        for (other, bytes) in &self.by_sender {
            all += *bytes;
            if self.hospital(other) == hospital {
                of_hospital += *bytes;
            }
        }
        (all, of_hospital, self.by_sender.get(sender).copied().unwrap_or_default())
    }

    fn hospital<'a>(&'a self, sender: &'a str) -> &'a str {
        self.hospitals.get(sender).map_or(sender, String::as_str)
    }
}

impl Full {
    pub const ALL: [Full; 4] = [Full::Inbox, Full::Hospital, Full::Sender, Full::Disk];

    /// As it is counted.
    pub fn name(self) -> &'static str {
        match self {
            Full::Inbox => "inbox",
            Full::Hospital => "hospital",
            Full::Sender => "sender",
            Full::Disk => "disk",
        }
    }
}

impl Place {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn grow(&mut self, bytes: u64) -> Result<(), Full> {
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
        assert_eq!(more.grow(1), Err(Full::Sender));
        assert_eq!(other.grow(3), Ok(()));
        assert_eq!((room.taken(), one.bytes()), (8, 5));
        drop(one);
        assert_eq!(more.grow(4), Ok(()));
        more.keep(Some(2));
        assert_eq!(room.taken(), 5);
        room.give_back("a", 2);
        other.keep(None);
        assert_eq!(room.taken(), 3);
    }

    #[test]
    fn a_hospital_has_one_share_with_all_its_senders_and_the_next_one_finds_room() {
        let room = Room::of(900, 1);
        let hospital = "00000000-0000-7000-8000-000000000001".parse().unwrap();
        for sender in ["a1", "a2"] {
            room.belongs(sender, hospital);
        }
        // Kept as instances are that wait and do not go.
        let filled = |sender: &str| {
            let mut place = room.place(sender);
            let full = loop {
                if let Err(full) = place.grow(1) {
                    break full;
                }
            };
            let bytes = place.bytes();
            place.keep(None);
            (bytes, full)
        };
        assert_eq!(filled("a1"), (450, Full::Sender));
        assert_eq!(filled("a2"), (150, Full::Hospital));
        assert_eq!(filled("a1"), (0, Full::Hospital));
        assert_eq!(filled("b"), (200, Full::Hospital));
        assert_eq!(filled("c"), (66, Full::Hospital));
        // What is deleted leaves room at once, and whose it is need not be known when it comes.
        room.give_back("a1", 450);
        assert_eq!(filled("b"), (250, Full::Sender));
        room.belongs("b", hospital);
        assert_eq!(filled("a2"), (0, Full::Hospital));
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
