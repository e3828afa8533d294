use std::sync::Arc;

use domain::{Clock, Random, Result, ScanId, TenantId};
use futures::future::BoxFuture;
use platform::blob::Blobs;
use platform::db::{Database, Unit, failed};
use platform::disk;
use platform::queue::Topic;
use service::Turns;
use service::claims::{Tenant, Verifier};
use tokio::sync::{Mutex, Notify, broadcast};
use uuid::Builder;

use crate::audit::{self, Lately};
use crate::data_keys::Hospitals;
use crate::leases::Given;
use crate::{Ports, Rules};

/// How many changes a slow watcher may miss before it has to read its scan again.
const WATCH_BUFFER: usize = 1024;

/// How many reads and writes for hospitals are under way at once; the other connections are for the service's own work.
const READS_AT_ONCE: usize = 3;
const WRITES_AT_ONCE: usize = 3;
/// One more of each, for a hospital that has none.
const BEYOND: usize = 1;

/// Whose a unit of work is: a hospital's, or this service's own. Claims are its own: those of one hospital's jobs would
/// otherwise hold up all others'.
pub type Party = Option<TenantId>;

/// The ports and the rules that every part of the service shares; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub database: Database,
    pub blobs: Blobs,
    /// Hospitals' keys; None: there is no key ring.
    pub hospitals: Option<Arc<Hospitals>>,
    pub clock: Clock,
    pub random: Random,
    pub rules: Rules,
    /// Knows which hospitals are closed.
    pub verifier: Verifier,
    /// Sends the id of each scan that changes, with whose it is.
    changes: broadcast::Sender<(TenantId, ScanId)>,
    /// Held while the next job in turn is chosen and leased.
    pub choosing: Arc<Mutex<Given>>,
    /// The hospitals' turns at reading rows, and at writing scans.
    pub reads: Turns<TenantId>,
    pub writes: Turns<TenantId>,
    /// The turns at writing to the database.
    units: Turns<Party>,
    /// Notified when the outbox has a message.
    pub outbox: Arc<Notify>,
    /// Readings that were noted lately.
    pub lately: Arc<Lately>,
}

impl Store {
    pub fn new(rules: Rules, ports: Ports, verifier: Verifier) -> Store {
        let Ports { database, blobs, queue: _, keys, clock, random } = ports;
        let (changes, _) = broadcast::channel(WATCH_BUFFER);
        let units = Turns::of(database.units_at_once());
        Store {
            database,
            blobs,
            hospitals: keys.map(|ring| Arc::new(Hospitals::new(ring))),
            clock,
            random,
            rules,
            verifier,
            changes,
            choosing: Arc::default(),
            reads: Turns::of(READS_AT_ONCE).with_beyond(BEYOND),
            writes: Turns::of(WRITES_AT_ONCE).with_beyond(BEYOND),
            units,
            outbox: Arc::default(),
            lately: Arc::default(),
        }
    }

    /// Wakes the watchers of `scan`, and the relay; to be called after each committed change.
    pub fn changed(&self, tenant: TenantId, scan: ScanId) {
        self.outbox.notify_one();
        // Nobody watching is no error.
        let _ = self.changes.send((tenant, scan));
    }

    pub fn changes(&self) -> broadcast::Receiver<(TenantId, ScanId)> {
        self.changes.subscribe()
    }

    /// Runs `work` as one unit when it is the turn of whose it is; see [`Database::unit`].
    pub async fn unit<T, F>(&self, of: Party, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'u> FnOnce(Store, &'u mut Unit) -> BoxFuture<'u, Result<T>> + Send + 'static,
    {
        let _turn = self.units.take(of).await;
        let store = self.clone();
        self.database.unit(move |unit| work(store, unit)).await
    }

    /// Puts a message into the outbox, as part of `unit`.
    pub async fn announce(
        &self,
        unit: &mut Unit,
        topic: impl Into<Topic<'static>> + Send,
        body: &str,
    ) -> Result<()> {
        let ms = u64::try_from(self.clock.now_ms()).unwrap_or_default();
        let id = Builder::from_unix_timestamp_millis(ms, &self.random.bytes()).into_uuid();
        sqlx::query("INSERT INTO outbox (id, topic, body) VALUES (?, ?, ?)")
            .bind(id.to_string())
            .bind(topic.into().name())
            .bind(body)
            .execute(&mut **unit)
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Refuses while the database is away or the disk is fuller than it should be: before the bytes
    /// come, not after.
    pub async fn require_ready(&self, tenant: Tenant) -> Result<()> {
        audit::begin(&self.database, tenant.id()).await?;
        match self.blobs.free_bytes().await? {
            Some(free) if free < self.disk_reserve() => Err(disk::full()),
            _ => Ok(()),
        }
    }

    /// How many bytes of the disk are to stay free.
    pub fn disk_reserve(&self) -> u64 {
        self.rules.disk_reserve_mib.saturating_mul(1024 * 1024)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use service::{Peer, Service};
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::Config;

    async fn store(folder: &std::path::Path) -> Store {
        let at = |name: &str| folder.join(name).display().to_string();
        let config = Config {
            database_url: format!("sqlite://{}", at("storage.db")).into(),
            blob_url: format!("file://{}", at("blobs")).into(),
            queue_url: format!("sqlite://{}", at("queue.db")).into(),
            data_keys_url: None,
            rules: Rules::default(),
        };
        let (clock, random) = (service::system_clock(), service::system_random());
        let verifier = Verifier::new(Peer::within(&Service::default()), clock.clone());
        Store::new(Rules::default(), Ports::open(&config, clock, random).await.unwrap(), verifier)
    }

    #[tokio::test]
    async fn nobodys_unit_waits_behind_another_hospitals_line() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let [flooder, other] = [(); 2].map(|()| Some(TenantId::new(&store.clock, &store.random)));
        let (sender, mut begun) = unbounded_channel();
        let unit = |of: Party| {
            let begun = sender.clone();
            store.unit(of, move |_, _| Box::pin(async move { Ok(begun.send(of)) }))
        };
        let units = [flooder; 12].into_iter().chain([other, None]).map(unit);
        for done in join_all(units).await {
            done.unwrap().unwrap();
        }
        let order: Vec<_> = std::iter::from_fn(|| begun.try_recv().ok()).collect();
        assert_eq!(order.len(), 14);
        // They come right behind those that are under way.
        let early = &order[..store.database.units_at_once() + 2];
        assert!(early.contains(&other) && early.contains(&None), "{order:?}");
    }
}
