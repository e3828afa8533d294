//! RabbitMQ: quorum queues, confirmed publishes, manual acknowledgement.
//!
//! Work waits in a queue of its name. An event goes through the topic exchange [`EVENTS`] into the queue `event.group` of
//! each group.

mod earlier;

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

use super::{Backend, Deliveries, Delivery, Event, Queue, Settle, Topic, Work};

const PERSISTENT: u8 = 2;
/// A broker in alarm stops reading from publishers; they must not wait for it for ever.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// The heartbeat interval; after two missed ones the connection counts as lost.
const HEARTBEAT_S: u16 = 5;
/// After how long a retried message is delivered again.
const REDELIVERY_DELAY: Duration = Duration::from_secs(1);
/// The delivery limit, set because the default differs between releases (none in 3.10, 20 in 4.0).
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
    /// The queues that are declared on it.
    queues: HashSet<String>,
    exchange: bool,
}

pub(super) async fn connect(url: &str) -> Result<Queue> {
    let mut uri: AMQPUri = url.parse().map_err(|why: String| {
        // Some of the parser's words quote the URL, and with it a password.
        ErrorKind::Invalid.error("bad queue URL").because(why.replace(url, "…"))
    })?;
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
    async fn publish(&self, work: Work<'_>, body: &[u8]) -> Result<()> {
        self.send(work.into(), body).await
    }

    async fn emit(&self, event: Event<'_>, body: &[u8]) -> Result<()> {
        self.send(event.into(), body).await
    }

    async fn create_group(&self, event: Event<'_>, group: &str) -> Result<()> {
        let queue = event.queue_of(group);
        let declared = within_timeout(self.declare_group(event, &queue)).await;
        self.or_disconnect(declared).await?;
        // The group listens all the same, and what is left is moved when somebody subscribes again.
        if let Err(error) = earlier::inherit(&self.publishing, event, &queue).await {
            tracing::warn!(
                queue,
                error = &error as &dyn std::error::Error,
                "could not move what waits in the queue of an earlier version"
            );
        }
        Ok(())
    }

    async fn create_work(&self, Work(queue): Work<'_>) -> Result<()> {
        let declared = within_timeout(self.declare_work(queue)).await;
        self.or_disconnect(declared).await.map(drop)
    }

    async fn subscribe(&self, queue: &str, window: u16) -> Result<Deliveries> {
        let subscription = within_timeout(self.consume(queue, window)).await;
        let subscription = self.or_disconnect(subscription).await?;
        let deliveries = stream::unfold(subscription, async |mut subscription| {
            let delivery = subscription.consumer.as_mut()?.next().await?.map_err(amqp_error);
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
    async fn send(&self, topic: Topic<'_>, body: &[u8]) -> Result<()> {
        let published = within_timeout(async {
            let channel = self.publisher(topic).await?;
            publish(&channel, topic, body).await
        });
        let published = published.await;
        if published.is_err() {
            // The channel may be closed, the queue gone, or the network dark: all is made anew next time.
            self.publisher.lock().await.take();
            self.publishing.disconnect().await;
        }
        published
    }

    async fn declare_work(&self, queue: &str) -> Result<()> {
        declare(&self.consuming.channel().await?, queue).await
    }

    async fn declare_group(&self, event: Event<'_>, queue: &str) -> Result<()> {
        let channel = self.consuming.channel().await?;
        declare(&channel, queue).await?;
        declare_exchange(&channel).await?;
        bind(&channel, queue, event).await
    }

    async fn consume(&self, queue: &str, window: u16) -> Result<Subscription> {
        let channel = self.consuming.channel().await?;
        channel.basic_qos(window, BasicQosOptions::default()).await.map_err(amqp_error)?;
        let (manual, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer = channel
            .basic_consume(queue.into(), "".into(), manual, none)
            .await
            .map_err(amqp_error)?;
        Ok(Subscription { consumer: Some(consumer), channel })
    }

    /// Drops the connection on an error, which it may have caused: the next consumer opens another.
    async fn or_disconnect<T>(&self, done: Result<T>) -> Result<T> {
        if done.is_err() {
            self.consuming.disconnect().await;
        }
        done
    }

    /// The channel to publish on, with what `topic` is sent to declared on it.
    async fn publisher(&self, topic: Topic<'_>) -> Result<Channel> {
        let mut slot = self.publisher.lock().await;
        let mut publisher = match slot.take() {
            Some(publisher) if publisher.channel.status().connected() => publisher,
            _ => Publisher::on(self.publishing.channel().await?).await?,
        };
        publisher.declare(topic).await?;
        Ok(slot.insert(publisher).channel.clone())
    }
}

impl Publisher {
    async fn on(channel: Channel) -> Result<Publisher> {
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(amqp_error)?;
        Ok(Publisher { channel, queues: HashSet::new(), exchange: false })
    }

    async fn declare(&mut self, topic: Topic<'_>) -> Result<()> {
        match topic {
            Topic::Work(Work(queue)) if !self.queues.contains(queue) => {
                declare(&self.channel, queue).await?;
                self.queues.insert(queue.to_owned());
            }
            Topic::Event(_) if !self.exchange => {
                declare_exchange(&self.channel).await?;
                self.exchange = true;
            }
            Topic::Work(_) | Topic::Event(_) => {}
        }
        Ok(())
    }
}

async fn within_timeout<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let silent = |_| ErrorKind::Unavailable.error("the broker does not answer");
    timeout(BROKER_TIMEOUT, work).await.map_err(silent)?
}

async fn publish(channel: &Channel, topic: Topic<'_>, body: &[u8]) -> Result<()> {
    // Work that no queue takes is an error; an event that no group listens to is not.
    let (exchange, mandatory, properties) = match topic {
        Topic::Work(_) => ("", true, BasicProperties::default()),
        Topic::Event(_) => {
            (EVENTS, false, BasicProperties::default().with_content_type(CLOUD_EVENT.into()))
        }
    };
    let options = BasicPublishOptions { mandatory, ..Default::default() };
    let properties = properties.with_delivery_mode(PERSISTENT);
    let confirm = channel
        .basic_publish(exchange.into(), topic.name().into(), options, body, properties)
        .await
        .map_err(amqp_error)?;
    match confirm.await.map_err(amqp_error)? {
        Confirmation::Ack(None) => Ok(()),
        // An unroutable message is returned, and then acknowledged.
        Confirmation::Ack(Some(_)) => Err(ErrorKind::Unavailable.error("no queue for the message")),
        _ => Err(ErrorKind::Unavailable.error("the broker refused the message")),
    }
}

/// A connection that is opened again when it is lost.
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
        let channel = connection.create_channel().await.map_err(amqp_error);
        *slot = Some(connection);
        channel
    }

    /// Drops the connection: the next user opens another.
    async fn disconnect(&self) {
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
        within_timeout(async { connection.await.map_err(amqp_error) }).await
    }
}

/// A consumer that is cancelled when it is dropped: a worker that drains takes no message that it will not do.
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
        self.acker.ack(BasicAckOptions::default()).await.map(drop).map_err(amqp_error)
    }

    async fn retry(self: Box<Self>) -> Result<()> {
        // Each return counts against the delivery limit: an outage must not use it up at once.
        tokio::time::sleep(REDELIVERY_DELAY).await;
        self.acker.nack(REQUEUE).await.map(drop).map_err(amqp_error)
    }
}

/// Declares the queue, and beside it the dead letter queue for what was delivered too often: for operators, since
/// the job table decides what becomes of a job.
async fn declare(channel: &Channel, queue: &str) -> Result<()> {
    let dead = format!("{queue}.dead");
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
    declare_durable(channel, queue, arguments).await
}

async fn declare_exchange(channel: &Channel) -> Result<()> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default();
    let declared = channel.exchange_declare(EVENTS.into(), ExchangeKind::Topic, durable, none);
    declared.await.map_err(amqp_error)
}

/// Binds the queue to the event's routing key.
async fn bind(channel: &Channel, queue: &str, event: Event<'_>) -> Result<()> {
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    let bound = channel.queue_bind(queue.into(), EVENTS.into(), event.0.into(), options, none);
    bound.await.map_err(amqp_error)
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
    channel.queue_declare(name.into(), durable, table).await.map(drop).map_err(amqp_error)
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn amqp_error(error: lapin::Error) -> Error {
    ErrorKind::Unavailable.error("a broker request failed").because(error)
}
