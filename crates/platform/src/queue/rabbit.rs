//! RabbitMQ: quorum queues, confirmed and mandatory publishes, manual acknowledgement.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::{Error, ErrorKind, Result};
use futures::{StreamExt, TryStreamExt};

use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Acker, BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Backend, Deliveries, Delivery, Queue, Settle};

const PERSISTENT: u8 = 2;
/// A broker in alarm stops reading from publishers; they must not wait for it for ever.
const PATIENCE: Duration = Duration::from_secs(5);
/// How soon a retried message comes back.
const PAUSE: Duration = Duration::from_secs(1);
/// Said aloud, because the default differs between releases (none in 3.10, 20 in 4.0).
const DELIVERIES_MAX: i64 = 20;
const DEAD_MAX: i64 = 100_000;

struct Rabbit {
    /// An alarm blocks a publishing connection whole, so consumers have their own.
    publishing: Link,
    consuming: Link,
    publisher: Mutex<Option<Publisher>>,
}

struct Publisher {
    channel: Channel,
    declared: HashSet<String>,
}

pub(super) async fn connect(url: &str) -> Result<Queue> {
    let publishing = Link::new(url);
    publishing.channel().await?;
    let consuming = Link::new(url);
    Ok(Arc::new(Rabbit { publishing, consuming, publisher: Mutex::default() }))
}

#[async_trait]
impl Backend for Rabbit {
    async fn publish(&self, topic: &str, body: &[u8]) -> Result<()> {
        let channel = self.publisher(topic).await?;
        let published = timeout(PATIENCE, publish(&channel, topic, body)).await;
        let published = published
            .unwrap_or_else(|_| Err(ErrorKind::Unavailable.error("the broker confirms nothing")));
        if published.is_err() {
            // The channel may be closed, or the queue gone: both are made anew next time.
            self.publisher.lock().await.take();
        }
        published
    }

    async fn subscribe(&self, topic: &str, window: u16) -> Result<Deliveries> {
        let channel = self.consuming.channel().await?;
        channel.basic_qos(window, BasicQosOptions::default()).await.map_err(failed)?;
        declare(&channel, topic).await?;
        let (manual, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer =
            channel.basic_consume(topic.into(), "".into(), manual, none).await.map_err(failed)?;
        let deliveries = consumer.map_err(failed).map_ok(move |delivery| Delivery {
            body: delivery.data,
            redelivered: delivery.redelivered,
            // The channel closes with its last handle, and a subscription needs it open.
            settle: Box::new(Unacked { acker: delivery.acker, _channel: channel.clone() }),
        });
        Ok(deliveries.boxed())
    }

    async fn ping(&self) -> Result<()> {
        self.publishing.connected().await
    }
}

impl Rabbit {
    /// The channel to publish on, with the queue of `topic` declared on it.
    async fn publisher(&self, topic: &str) -> Result<Channel> {
        let mut slot = self.publisher.lock().await;
        let mut publisher = match slot.take() {
            Some(publisher) if publisher.channel.status().connected() => publisher,
            _ => Publisher::on(self.publishing.channel().await?).await?,
        };
        if !publisher.declared.contains(topic) {
            declare(&publisher.channel, topic).await?;
            publisher.declared.insert(topic.to_owned());
        }
        Ok(slot.insert(publisher).channel.clone())
    }
}

impl Publisher {
    async fn on(channel: Channel) -> Result<Publisher> {
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed)?;
        Ok(Publisher { channel, declared: HashSet::new() })
    }
}

async fn publish(channel: &Channel, topic: &str, body: &[u8]) -> Result<()> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    let confirm = channel
        .basic_publish("".into(), topic.into(), options, body, properties)
        .await
        .map_err(failed)?;
    match confirm.await.map_err(failed)? {
        Confirmation::Ack(None) => Ok(()),
        // An unroutable message is returned, and then acknowledged.
        Confirmation::Ack(Some(_)) => Err(ErrorKind::Unavailable.error("no queue for the message")),
        _ => Err(ErrorKind::Unavailable.error("the broker refused the message")),
    }
}

/// A connection that is made again when it is found broken.
struct Link {
    url: String,
    connection: Mutex<Option<Connection>>,
}

impl Link {
    fn new(url: &str) -> Link {
        Link { url: url.to_owned(), connection: Mutex::default() }
    }

    async fn channel(&self) -> Result<Channel> {
        let mut slot = self.connection.lock().await;
        let connection = match slot.take() {
            Some(connection) if connection.status().connected() => connection,
            _ => self.connect().await?,
        };
        let channel = connection.create_channel().await.map_err(failed);
        *slot = Some(connection);
        channel
    }

    async fn connected(&self) -> Result<()> {
        let alive = |connection: &Connection| connection.status().connected();
        if self.connection.lock().await.as_ref().is_some_and(alive) {
            return Ok(());
        }
        self.channel().await.map(drop)
    }

    async fn connect(&self) -> Result<Connection> {
        let connection = Connection::connect(&self.url, ConnectionProperties::default());
        let connection = timeout(PATIENCE, connection).await;
        connection
            .map_err(|_| ErrorKind::Unavailable.error("the broker does not answer"))?
            .map_err(failed)
    }
}

struct Unacked {
    acker: Acker,
    _channel: Channel,
}

#[async_trait]
impl Settle for Unacked {
    async fn ack(self: Box<Self>) -> Result<()> {
        self.acker.ack(BasicAckOptions::default()).await.map(drop).map_err(failed)
    }

    async fn retry(self: Box<Self>) -> Result<()> {
        // Each return counts against the delivery limit: an outage must not use it up at once.
        tokio::time::sleep(PAUSE).await;
        let requeue = BasicNackOptions { requeue: true, ..Default::default() };
        self.acker.nack(requeue).await.map(drop).map_err(failed)
    }
}

/// The queue, and the one beside it for what was delivered too often: for people to look at, since
/// the job table decides what becomes of a job.
async fn declare(channel: &Channel, topic: &str) -> Result<()> {
    let dead = format!("{topic}.dead");
    let quorum = ("x-queue-type", text("quorum"));
    let keep = ("x-max-length", AMQPValue::LongLongInt(DEAD_MAX));
    declare_durable(channel, &dead, [quorum.clone(), keep]).await?;
    let arguments = [
        quorum,
        ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERIES_MAX)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(&dead)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ];
    declare_durable(channel, topic, arguments).await
}

async fn declare_durable<const N: usize>(
    channel: &Channel,
    name: &str,
    arguments: [(&str, AMQPValue); N],
) -> Result<()> {
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        table.insert(key.into(), value);
    }
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(name.into(), durable, table).await.map(drop).map_err(failed)
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn failed(error: lapin::Error) -> Error {
    ErrorKind::Unavailable.error("a broker request failed").because(error)
}
