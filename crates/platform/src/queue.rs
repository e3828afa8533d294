//! Work queues with at-least-once delivery.
//!
//! Messages hold ids and small events, never pixels and never identity.

mod rabbit;
mod sqlite;
#[cfg(feature = "testsuite")]
pub mod testsuite;

use std::sync::Arc;

use async_trait::async_trait;
use domain::{ErrorKind, Result};
use futures::stream::BoxStream;

/// A handle to the queue; cheap to clone.
pub type Queue = Arc<dyn Backend>;

/// What a subscriber receives; ends, or yields an error, when the connection is lost.
pub type Deliveries = BoxStream<'static, Result<Delivery>>;

/// What an adapter does.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Returns once the message will survive a crash.
    async fn publish(&self, topic: &str, body: &[u8]) -> Result<()>;

    /// As [`publish`](Backend::publish), for an event (a CloudEvent in its JSON form) that others than medseg may want:
    /// with RabbitMQ, whoever binds a queue of his own to the topic exchange `medseg.events` gets it too.
    async fn emit(&self, topic: &str, event: &[u8]) -> Result<()> {
        self.publish(topic, event).await
    }

    /// Messages of `topic`, at most `window` of them unsettled at a time.
    async fn subscribe(&self, topic: &str, window: u16) -> Result<Deliveries>;

    /// Whether the queue answers.
    async fn ping(&self) -> Result<()>;
}

/// One message, to be settled exactly once. Dropping it unsettled leaves it to be redelivered.
pub struct Delivery {
    pub body: Vec<u8>,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    settle: Box<dyn Settle>,
}

impl Delivery {
    /// Deletes the message.
    pub async fn ack(self) -> Result<()> {
        self.settle.ack().await
    }

    /// Puts the message back after a pause, for a failure that may pass.
    pub async fn retry(self) -> Result<()> {
        self.settle.retry().await
    }
}

#[async_trait]
trait Settle: Send {
    async fn ack(self: Box<Self>) -> Result<()>;
    async fn retry(self: Box<Self>) -> Result<()>;
}

/// Opens the queue at `url`: `amqp://…`, `amqps://…` or `sqlite://FILE`.
pub async fn connect(url: &str) -> Result<Queue> {
    match url.split(':').next() {
        Some("amqp" | "amqps") => rabbit::connect(url).await,
        Some("sqlite") => sqlite::connect(url).await,
        scheme => Err(ErrorKind::Invalid.error(format!(
            "no queue adapter for `{}://`: use amqp://, amqps:// or sqlite://",
            scheme.unwrap_or_default()
        ))),
    }
}
