//! Work and events, delivered at least once.
//!
//! A message of work is for one of those who take from its topic, and waits until there is one. An event is for every
//! group that listens: each group gets all of it, the members of a group share it, and where no group is, nothing is kept.
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

/// The name of a kind of work.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Work<'a>(pub &'a str);

/// The name of a kind of event. No work has the same name, nor the name of an event and a group with a dot between them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Event<'a>(pub &'a str);

/// What a message is about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Topic<'a> {
    /// Each message is for one of those who take it.
    Work(Work<'a>),
    /// Each message is for every group.
    Event(Event<'a>),
}

/// What an adapter does.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Leaves a message of work; returns once it will survive a crash.
    async fn publish(&self, work: Work<'_>, body: &[u8]) -> Result<()>;

    /// Tells every group that there is of an event (a CloudEvent in its JSON form); returns once it will survive a crash
    /// for each of them. With RabbitMQ, whoever binds a queue of their own to the topic exchange `medseg.events` gets it
    /// too.
    async fn emit(&self, event: Event<'_>, body: &[u8]) -> Result<()>;

    /// Creates the group, unless there is one of that name: from now on it gets every event of that kind, also while no
    /// member listens.
    async fn create_group(&self, event: Event<'_>, group: &str) -> Result<()>;

    /// Creates the queue that work of that name waits in, unless it is there.
    async fn create_work(&self, work: Work<'_>) -> Result<()>;

    /// Messages of a queue that is there; at most `window` of them unsettled at a time.
    async fn subscribe(&self, queue: &str, window: u16) -> Result<Deliveries>;

    /// Messages of `work`, shared with whoever else subscribes; at most `window` of them unsettled at a time.
    async fn subscribe_work(&self, work: Work<'_>, window: u16) -> Result<Deliveries> {
        self.create_work(work).await?;
        self.subscribe(work.0, window).await
    }

    /// Events for the members of `group`, which is created where it is new; at most `window` of them unsettled at a time.
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
    /// Where the events of a group wait.
    fn queue_of(self, group: &str) -> String {
        format!("{}.{group}", self.0)
    }
}

impl<'a> Topic<'a> {
    /// The name that both sides know it by.
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

/// Opens the queue at `url`: `amqp://…`, `amqps://…` or `sqlite://FILE`.
pub async fn connect(url: &str) -> Result<Queue> {
    // What has no scheme is not quoted: it may be a password.
    match url.split_once(':').map_or("", |(scheme, _)| scheme) {
        "amqp" | "amqps" => rabbit::connect(url).await,
        "sqlite" => sqlite::connect(url).await,
        scheme => Err(ErrorKind::Invalid.error(format!(
            "no queue adapter for `{scheme}://`: use amqp://, amqps:// or sqlite://"
        ))),
    }
}
