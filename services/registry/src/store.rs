use std::sync::Arc;

use domain::{Clock, Random, Result};
use futures::future::BoxFuture;
use platform::blob::Blobs;
use platform::db::{Database, Unit};
use tokio::sync::Notify;

use crate::signature::Signer;
use crate::{GateRules, Ports};

/// What every part of the service shares; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub database: Database,
    pub blobs: Blobs,
    pub signer: Signer,
    pub clock: Clock,
    pub random: Random,
    pub gate: GateRules,
    /// Notified when a version waits for its evaluation.
    pub registered: Arc<Notify>,
}

impl Store {
    pub fn new(gate: GateRules, ports: Ports) -> Store {
        let Ports { database, blobs, queue: _, signer, clock, random } = ports;
        Store { database, blobs, signer, clock, random, gate, registered: Arc::default() }
    }

    /// Runs `work` as one unit; see [`Database::unit`].
    pub async fn unit<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'u> FnOnce(Store, &'u mut Unit) -> BoxFuture<'u, Result<T>> + Send + 'static,
    {
        let store = self.clone();
        self.database.unit(move |unit| work(store, unit)).await
    }
}
