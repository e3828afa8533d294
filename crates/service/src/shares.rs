use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts shares of a limited resource by key, such as upload slots by tenant, or bytes. A share counts until it is dropped.
pub struct Shares<K: Eq + Hash>(Arc<Mutex<Taken<K>>>);

/// The shares that are taken.
pub struct Taken<K> {
    all: usize,
    of: HashMap<K, usize>,
}

/// One share, or several that are one's; free again when this is dropped.
pub struct Share<K: Eq + Hash> {
    shares: Shares<K>,
    key: K,
    count: usize,
}

impl<K> Taken<K>
where
    K: Eq + Hash,
{
    /// How many shares are taken.
    pub fn all(&self) -> usize {
        self.all
    }

    /// How many of them by `key`.
    pub fn of(&self, key: &K) -> usize {
        self.of.get(key).copied().unwrap_or(0)
    }
}

impl<K> Shares<K>
where
    K: Clone + Eq + Hash,
{
    /// A share for `key`, unless `admit` refuses it given the shares that are taken.
    pub fn take<E>(
        &self,
        key: K,
        admit: impl FnOnce(&Taken<K>) -> Result<(), E>,
    ) -> Result<Share<K>, E> {
        self.take_many(key, 1, admit)
    }

    /// As [`take`](Shares::take), so many as one.
    pub fn take_many<E>(
        &self,
        key: K,
        count: usize,
        admit: impl FnOnce(&Taken<K>) -> Result<(), E>,
    ) -> Result<Share<K>, E> {
        let mut share = self.none(key);
        share.grow(count, admit)?;
        Ok(share)
    }

    /// No share yet for `key`: what it is to have is not known before it comes.
    pub fn none(&self, key: K) -> Share<K> {
        Share { shares: self.clone(), key, count: 0 }
    }

    /// How many shares `key` has at this moment.
    pub fn of(&self, key: &K) -> usize {
        self.taken().of(key)
    }
}

impl<K> Share<K>
where
    K: Clone + Eq + Hash,
{
    /// How many shares this is.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes so many more for the same key, unless `admit` refuses them given the shares that are taken.
    pub fn grow<E>(
        &mut self,
        more: usize,
        admit: impl FnOnce(&Taken<K>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut taken = self.shares.taken();
        admit(&taken)?;
        taken.all += more;
        *taken.of.entry(self.key.clone()).or_default() += more;
        self.count += more;
        Ok(())
    }
}

impl<K> Shares<K>
where
    K: Eq + Hash,
{
    fn taken(&self) -> MutexGuard<'_, Taken<K>> {
        // Counts are whole whatever panics beside them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Default for Shares<K>
where
    K: Eq + Hash,
{
    fn default() -> Shares<K> {
        Shares(Arc::new(Mutex::new(Taken { all: 0, of: HashMap::new() })))
    }
}

impl<K> Clone for Shares<K>
where
    K: Eq + Hash,
{
    fn clone(&self) -> Shares<K> {
        Shares(Arc::clone(&self.0))
    }
}

impl<K> Drop for Share<K>
where
    K: Eq + Hash,
{
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        taken.all -= self.count;
        if let Some(count) = taken.of.get_mut(&self.key) {
            *count -= self.count;
            if *count == 0 {
                taken.of.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_counted_while_it_lasts_and_leaves_nothing_behind() {
        let shares = Shares::default();
        let at_most =
            |most| move |taken: &Taken<&str>| if taken.all() < most { Ok(()) } else { Err(()) };
        let held: Vec<_> =
            ["a", "a", "b", "c"].into_iter().map(|key| shares.take(key, at_most(3))).collect();
        assert!(held[2].is_ok() && held[3].is_err());
        let taken = || {
            let taken = shares.taken();
            (taken.all(), taken.of(&"a"), taken.of.len())
        };
        assert_eq!(taken(), (3, 2, 2));
        drop(held);
        assert_eq!(taken(), (0, 0, 0));
    }

    #[test]
    fn a_share_that_grows_is_given_back_whole_and_one_that_may_not_stays_as_it_was() {
        let shares = Shares::default();
        let at_most = |most, more| {
            move |taken: &Taken<&str>| if taken.all() + more <= most { Ok(()) } else { Err(()) }
        };
        let (mut one, mut other) = (shares.none("a"), shares.none("a"));
        assert!(one.grow(7, at_most(10, 7)).is_ok() && other.grow(4, at_most(10, 4)).is_err());
        assert!(other.grow(3, at_most(10, 3)).is_ok());
        assert_eq!((one.count(), other.count(), shares.of(&"a")), (7, 3, 10));
        drop(one);
        drop(shares.none("a"));
        assert_eq!(shares.of(&"a"), 3);
        drop(other);
        let taken = shares.taken();
        assert_eq!((taken.all(), taken.of.len()), (0, 0));
    }
}
