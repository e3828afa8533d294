//! Work and events, delivered at least once.
//!
//! A message of work goes to one of the subscribers of its topic (competing consumers), and waits until there is one. An
//! event goes to every consumer group: the members of a group share its messages, and without a group nothing is kept.
//! Messages hold ids and small events, never pixels and never identity.

mod pubsub;
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

/// What a subscriber receives, in no order that is promised; ends, or yields an error, when the connection is lost.
pub type Deliveries = BoxStream<'static, Result<Delivery>>;

/// The name of a kind of work.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Work<'a>(pub &'a str);

/// The name of a kind of event. No work has the same name, nor the name of an event and a group with a dot between them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Event<'a>(pub &'a str);

/// What a message is published under.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Topic<'a> {
    /// Each message goes to one subscriber.
    Work(Work<'a>),
    /// Each message goes to every group.
    Event(Event<'a>),
}

/// An adapter to one message queue.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Publishes a message of work; returns once it will survive a crash.
    async fn publish(&self, work: Work<'_>, body: &[u8]) -> Result<()>;

    /// Publishes an event (a CloudEvent in its JSON form) to every group that exists; returns once it will survive a crash
    /// for each of them. With RabbitMQ, every queue that is bound to the topic exchange `medseg.events` gets it too; with Pub/Sub, every
    /// subscription to the event's topic.
    async fn emit(&self, event: Event<'_>, body: &[u8]) -> Result<()>;

    /// Creates the group, unless there is one of that name: from now on it gets every event of that kind, also while no
    /// member listens (with Pub/Sub, for 31 days).
    async fn create_group(&self, event: Event<'_>, group: &str) -> Result<()>;

    /// Creates the queue for work of that name, unless it exists.
    async fn create_work(&self, work: Work<'_>) -> Result<()>;

    /// Subscribes to a queue that exists; at most `window` of them unsettled at a time.
    async fn subscribe(&self, queue: &str, window: u16) -> Result<Deliveries>;

    /// Subscribes to `work`, shared with all other subscribers; at most `window` of them unsettled at a time.
    async fn subscribe_work(&self, work: Work<'_>, window: u16) -> Result<Deliveries> {
        self.create_work(work).await?;
        self.subscribe(work.0, window).await
    }

    /// Subscribes to an event as a member of `group`, which is created if it is new; at most `window` of them unsettled at a time.
    async fn subscribe_event(
        &self,
        event: Event<'_>,
        group: &str,
        window: u16,
    ) -> Result<Deliveries> {
        self.create_group(event, group).await?;
        self.subscribe(&event.queue_of(group), window).await
    }

    /// Whether the queue answers.
    async fn ping(&self) -> Result<()>;
}

/// One message, to be settled exactly once. Dropping it unsettled leaves it to be redelivered.
pub struct Delivery {
    /// The message, byte for byte as it was sent.
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

impl Event<'_> {
    /// The name of the queue of a group.
    fn queue_of(self, group: &str) -> String {
        format!("{}.{group}", self.0)
    }
}

impl<'a> Topic<'a> {
    /// The name that publisher and subscriber use.
    pub fn name(self) -> &'a str {
        match self {
            Topic::Work(Work(name)) | Topic::Event(Event(name)) => name,
        }
    }
}

impl<'a> From<Work<'a>> for Topic<'a> {
    fn from(work: Work<'a>) -> Topic<'a> {
        Topic::Work(work)
    }
}

impl<'a> From<Event<'a>> for Topic<'a> {
    fn from(event: Event<'a>) -> Topic<'a> {
        Topic::Event(event)
    }
}

#[async_trait]
trait Settle: Send {
    async fn ack(self: Box<Self>) -> Result<()>;
    async fn retry(self: Box<Self>) -> Result<()>;
}

/// Opens the queue at `url`: `amqp://…`, `amqps://…`, `pubsub://PROJECT/PREFIX` or `sqlite://FILE`.
///
/// Pub/Sub may be elsewhere than at Google's global address (`?endpoint=https://HOST`): in a region of theirs. At `http://HOST:PORT`, a
/// double's address, nobody's credentials are used.
pub async fn connect(url: &str) -> Result<Queue> {
    // What has no scheme is not quoted: it may be a password.
    match url.split_once(':').map_or("", |(scheme, _)| scheme) {
        "amqp" | "amqps" => rabbit::connect(url).await,
        "pubsub" => pubsub::connect(url).await,
        "sqlite" => sqlite::connect(url).await,
        scheme => Err(ErrorKind::Invalid.error(format!(
            "no queue adapter for `{scheme}://`: use amqp://, amqps://, pubsub:// or sqlite://"
        ))),
    }
}
