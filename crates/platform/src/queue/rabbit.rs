//! RabbitMQ: quorum queues, confirmed and mandatory publishes, manual acknowledgement.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::{Error, ErrorKind, Result};
use futures::{StreamExt, stream};

use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions,
    BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;
use lapin::{
    Acker, BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    ExchangeKind,
};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Backend, Deliveries, Delivery, Queue, Settle};

const PERSISTENT: u8 = 2;
/// A broker in alarm stops reading from publishers; they must not wait for it for ever.
const PATIENCE: Duration = Duration::from_secs(5);
/// Two of them without a word, and the connection is taken for lost.
const HEARTBEAT_S: u16 = 5;
/// How soon a retried message comes back.
const PAUSE: Duration = Duration::from_secs(1);
/// Said aloud, because the default differs between releases (none in 3.10, 20 in 4.0).
const DELIVERIES_MAX: i64 = 20;
const DEAD_MAX: i64 = 100_000;
/// The topic exchange that events go through, each under its type.
const EVENTS: &str = "medseg.events";
/// CloudEvents' own media type, for its JSON form.
const CLOUD_EVENT: &str = "application/cloudevents+json";
const REQUEUE: BasicNackOptions = BasicNackOptions { multiple: false, requeue: true };

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
    let mut uri: AMQPUri =
        url.parse().map_err(|why| ErrorKind::Invalid.error("bad queue URL").because(why))?;
    // A network that has gone dark is noticed by its silence, unless the URL says otherwise.
    uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
    let (publishing, consuming) = (Link::new(uri.clone()), Link::new(uri));
    // A broker that is away is waited for: whoever publishes keeps what it has until it is back.
    if let Err(error) = publishing.channel().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the broker is not there yet");
    }
    Ok(Arc::new(Rabbit { publishing, consuming, publisher: Mutex::default() }))
}

#[async_trait]
impl Backend for Rabbit {
    async fn publish(&self, topic: &str, body: &[u8]) -> Result<()> {
        self.send("", topic, body, BasicProperties::default()).await
    }

    async fn emit(&self, topic: &str, event: &[u8]) -> Result<()> {
        let kind = BasicProperties::default().with_content_type(CLOUD_EVENT.into());
        self.send(EVENTS, topic, event, kind).await
    }

    async fn subscribe(&self, topic: &str, window: u16) -> Result<Deliveries> {
        let subscription = in_time(self.consume(topic, window)).await;
        if subscription.is_err() {
            self.consuming.forget().await;
        }
        let subscription = subscription?;
        let deliveries = stream::unfold(subscription, async |mut subscription| {
            let delivery = subscription.consumer.as_mut()?.next().await?.map_err(failed);
            let delivery = delivery.map(|delivery| Delivery {
                body: delivery.data,
                redelivered: delivery.redelivered,
                settle: Box::new(Unacked {
                    acker: delivery.acker,
                    _channel: subscription.channel.clone(),
                }),
            });
            Some((delivery, subscription))
        });
        Ok(deliveries.boxed())
    }

    async fn ping(&self) -> Result<()> {
        self.publishing.connected().await
    }
}

impl Rabbit {
    async fn send(
        &self,
        exchange: &str,
        topic: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<()> {
        let published = in_time(async {
            let channel = self.publisher(topic).await?;
            publish(&channel, exchange, topic, body, properties).await
        });
        let published = published.await;
        if published.is_err() {
            // The channel may be closed, the queue gone, or the network dark: all is made anew next time.
            self.publisher.lock().await.take();
            self.publishing.forget().await;
        }
        published
    }

    async fn consume(&self, topic: &str, window: u16) -> Result<Subscription> {
        let channel = self.consuming.channel().await?;
        channel.basic_qos(window, BasicQosOptions::default()).await.map_err(failed)?;
        declare(&channel, topic).await?;
        let (manual, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer =
            channel.basic_consume(topic.into(), "".into(), manual, none).await.map_err(failed)?;
        Ok(Subscription { consumer: Some(consumer), channel })
    }

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

async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let silent = |_| ErrorKind::Unavailable.error("the broker does not answer");
    timeout(PATIENCE, work).await.map_err(silent)?
}

async fn publish(
    channel: &Channel,
    exchange: &str,
    topic: &str,
    body: &[u8],
    properties: BasicProperties,
) -> Result<()> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties = properties.with_delivery_mode(PERSISTENT);
    let confirm = channel
        .basic_publish(exchange.into(), topic.into(), options, body, properties)
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
    uri: AMQPUri,
    connection: Mutex<Option<Connection>>,
}

impl Link {
    fn new(uri: AMQPUri) -> Link {
        Link { uri, connection: Mutex::default() }
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

    /// Ends the connection as far as we are concerned: the next user makes another.
    async fn forget(&self) {
        self.connection.lock().await.take();
    }

    async fn connected(&self) -> Result<()> {
        let alive = |connection: &Connection| connection.status().connected();
        if self.connection.lock().await.as_ref().is_some_and(alive) {
            return Ok(());
        }
        self.channel().await.map(drop)
    }

    async fn connect(&self) -> Result<Connection> {
        let uri = self.uri.clone();
        let connection = Connection::connect_uri(uri, ConnectionProperties::default());
        in_time(async { connection.await.map_err(failed) }).await
    }
}

/// A consumer that is ended with its handle: a worker that drains takes nothing that it will not do.
struct Subscription {
    consumer: Option<Consumer>,
    channel: Channel,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let (Some(consumer), Ok(runtime)) = (self.consumer.take(), Handle::try_current()) {
            runtime.spawn(hand_back(self.channel.clone(), consumer));
        }
    }
}

/// Tells the broker to send no more, and gives back what was on its way.
async fn hand_back(channel: Channel, mut consumer: Consumer) {
    // Where the connection is lost, the broker has taken it all back already.
    let _ = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await;
    while let Some(Ok(delivery)) = consumer.next().await {
        let _ = delivery.acker.nack(REQUEUE).await;
    }
}

struct Unacked {
    acker: Acker,
    /// The channel closes with its last handle, and an acknowledgement needs it open.
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
        self.acker.nack(REQUEUE).await.map(drop).map_err(failed)
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
    declare_durable(channel, topic, arguments).await?;
    // What is emitted under that name comes to the queue as well.
    let (durable, none) =
        (ExchangeDeclareOptions { durable: true, ..Default::default() }, FieldTable::default());
    let declared =
        channel.exchange_declare(EVENTS.into(), ExchangeKind::Topic, durable, none.clone());
    declared.await.map_err(failed)?;
    let bound = channel.queue_bind(
        topic.into(),
        EVENTS.into(),
        topic.into(),
        QueueBindOptions::default(),
        none,
    );
    bound.await.map_err(failed)
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
