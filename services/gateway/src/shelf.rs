use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use domain::TenantId;
use imaging::{Plane, Slices};
use service::Turns;
use tokio::sync::OnceCell;

use crate::problem::Problem;

/// What is kept for whoever scrolls on, in MiB.
const KEPT_MIB: u32 = 64;
/// What may be read at the same time, in MiB; who needs more of it waits.
const READ_MIB: usize = 64;

/// Slices that somebody looks at: whoever scrolls asks for one after the other, and storage hands a volume out whole.
///
/// That the caller may see them is asked of storage each time, before anything is taken from here.
#[derive(Clone)]
pub struct Shelf {
    kept: Arc<Mutex<VecDeque<Book>>>,
    room: Turns<TenantId>,
}

/// Neighbouring slices of a scan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Title {
    pub tenant: TenantId,
    pub scan: String,
    /// In which the slices lie; None: as they are stored.
    pub plane: Option<Plane>,
    /// The first of the slices.
    pub first: usize,
}

struct Book {
    title: Title,
    mib: u32,
    slices: Arc<OnceCell<Arc<Slices>>>,
}

impl Default for Shelf {
    fn default() -> Shelf {
        Shelf { kept: Arc::default(), room: Turns::of(READ_MIB) }
    }
}

impl Shelf {
    /// The slices of that title, which take so many bytes: those that are kept, else what `read` brings. Who asks for the
    /// same ones meanwhile waits for them.
    pub async fn get(
        &self,
        title: Title,
        bytes: usize,
        read: impl Future<Output = Result<Slices, Problem>>,
    ) -> Result<Arc<Slices>, Problem> {
        let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX).saturating_add(1);
        let tenant = title.tenant;
        let slices = self.place(title, mib);
        let slices = slices.get_or_try_init(|| async move {
            let _room = self.room.take_many(tenant, mib as usize).await;
            read.await.map(Arc::new)
        });
        slices.await.cloned()
    }

    /// The slices that `read` brings, which take so many bytes, and are not kept.
    pub async fn once(
        &self,
        tenant: TenantId,
        bytes: usize,
        read: impl Future<Output = Result<Slices, Problem>>,
    ) -> Result<Slices, Problem> {
        let mib = bytes >> 20;
        let _room = self.room.take_many(tenant, mib.saturating_add(1)).await;
        read.await
    }

    /// Where the slices of that title are, or will be; they are the last to give way.
    fn place(&self, title: Title, mib: u32) -> Arc<OnceCell<Arc<Slices>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().position(|book| book.title == title);
        let book = known.and_then(|at| kept.remove(at));
        let book = book.unwrap_or_else(|| Book { title, mib, slices: Arc::default() });
        let slices = book.slices.clone();
        kept.push_back(book);
        while kept.iter().map(|book| u64::from(book.mib)).sum::<u64>() > u64::from(KEPT_MIB) {
            kept.pop_front();
        }
        slices
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use imaging::SlicesReader;
    use imaging::phantom::{Phantom, Settings};

    use super::*;
    use crate::problem::UNAVAILABLE;

    const MIB: usize = 1 << 20;

    fn title(first: usize) -> Title {
        let tenant = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        Title { tenant, scan: "scan".into(), plane: None, first }
    }

    fn slices() -> Slices {
        let volume = Phantom::new(&Settings::slice(1)).unwrap().volume;
        let mut reader = SlicesReader::new(0..1);
        reader.push(&volume.to_bytes()).unwrap();
        reader.finish().unwrap()
    }

    #[tokio::test]
    async fn slices_are_read_once_until_others_need_their_place() {
        let (shelf, reads) = (Shelf::default(), Cell::new(0));
        let get = async |first: usize| {
            let read = async {
                reads.set(reads.get() + 1);
                Ok(slices())
            };
            shelf.get(title(first), 20 * MIB, read).await.unwrap();
        };
        for (first, expected) in [(0, 1), (0, 1), (1, 2), (2, 3), (0, 3), (3, 4), (0, 4), (1, 5)] {
            get(first).await;
            assert_eq!(reads.get(), expected, "{first}");
        }
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let shelf = Shelf::default();
        let failed = shelf.get(title(0), MIB, async { Err(UNAVAILABLE.problem("away")) }).await;
        assert_eq!(failed.err().map(|problem| problem.status()), Some(503));
        assert!(shelf.get(title(0), MIB, async { Ok(slices()) }).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_larger_than_the_shelf_is_handed_out_and_not_kept() {
        let shelf = Shelf::default();
        assert!(shelf.get(title(0), 500 * MIB, async { Ok(slices()) }).await.is_ok());
        assert!(shelf.kept.lock().unwrap().is_empty());
    }
}
