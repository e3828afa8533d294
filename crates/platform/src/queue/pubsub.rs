//! Google Cloud Pub/Sub: a topic and a subscription for each kind of work; a topic for each kind of event, and a subscription for each group.
//!
//! A publish returns when Pub/Sub has the message. While a message is in hand the client prolongs its lease, so a process that is
//! killed leaves it to others after [`LEASE`]. Messages come in no order, and Pub/Sub forgets what nobody took within [`setup::KEPT`].

mod address;
mod setup;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::{Error, ErrorKind, Result};
use futures::{StreamExt, stream};
use google_cloud_auth::credentials::anonymous;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::exponential_backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use google_cloud_gax::retry_policy::RetryPolicyExt;
use google_cloud_pubsub::client::{
    BasePublisher, Publisher, Subscriber, SubscriptionAdmin, TopicAdmin,
};
use google_cloud_pubsub::model::Message;
use google_cloud_pubsub::retry_policy::RetryableErrors;
use google_cloud_pubsub::subscriber::MessageStream;
use google_cloud_pubsub::subscriber::handler::Handler;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::{Backend, Deliveries, Delivery, Event, Queue, Settle, Topic, Work};
use crate::choose_tls;
use address::Address;

/// How long a request may take, with all its attempts.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS_MAX: u32 = 4;
/// How long a message stays with a process that has gone silent.
const LEASE: Duration = Duration::from_secs(30);
/// Longer than anything takes that is done about one message.
const IN_HAND_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// After how long a retried message is delivered again.
const REDELIVERY_DELAY: Duration = Duration::from_secs(1);
/// How long what was sent may take to arrive.
const ON_ITS_WAY: Duration = Duration::from_millis(100);
/// After so long without a message a subscriber asks whether Pub/Sub still answers: the client waits for ever on a dead network.
const QUIET: Duration = Duration::from_secs(60);

struct Pubsub {
    address: Address,
    /// Made anew after an error.
    clients: Mutex<Option<Arc<Clients>>>,
}

/// Google's clients, each with a connection of its own.
struct Clients {
    topics: TopicAdmin,
    subscriptions: SubscriptionAdmin,
    publisher: BasePublisher,
    subscriber: Subscriber,
    /// By the names of topics, which are there, with all that messages of them wait in.
    publishers: Mutex<HashMap<String, Publisher>>,
}

pub(super) async fn connect(url: &str) -> Result<Queue> {
    choose_tls();
    let pubsub = Pubsub { address: Address::of(url)?, clients: Mutex::default() };
    match pubsub.ping().await {
        Err(error) if error.kind().is_transient() => {
            // It is waited for: whoever publishes keeps what it has until it is back.
            tracing::warn!(error = &error as &dyn std::error::Error, "Pub/Sub does not answer yet");
        }
        answered => answered?,
    }
    Ok(Arc::new(pubsub))
}

#[async_trait]
impl Backend for Pubsub {
    async fn publish(&self, work: Work<'_>, body: &[u8]) -> Result<()> {
        self.send(work.into(), body).await
    }

    async fn emit(&self, event: Event<'_>, body: &[u8]) -> Result<()> {
        self.send(event.into(), body).await
    }

    async fn create_group(&self, event: Event<'_>, group: &str) -> Result<()> {
        let made = within_timeout(async {
            let clients = self.clients().await?;
            clients.make_group(&self.address, event, group).await
        });
        self.or_forget(made.await).await
    }

    async fn create_work(&self, work: Work<'_>) -> Result<()> {
        let made = within_timeout(async {
            let clients = self.clients().await?;
            clients.make_work(&self.address, work).await
        });
        self.or_forget(made.await).await
    }

    async fn subscribe(&self, queue: &str, window: u16) -> Result<Deliveries> {
        let name = self.address.subscription(queue);
        let subscription = within_timeout(async {
            let clients = self.clients().await?;
            clients.check_subscription(&name).await?;
            Ok(Subscription::of(clients, name, window))
        });
        let subscription = self.or_forget(subscription.await).await?;
        let deliveries = stream::unfold(subscription, async |mut subscription| {
            let delivery = subscription.next().await?;
            Some((delivery, subscription))
        });
        Ok(deliveries.boxed())
    }

    async fn ping(&self) -> Result<()> {
        let answered = within_timeout(async {
            let clients = self.clients().await?;
            clients.check_access(&self.address).await
        });
        self.or_forget(answered.await).await
    }
}

impl Pubsub {
    async fn send(&self, topic: Topic<'_>, body: &[u8]) -> Result<()> {
        let sent = within_timeout(async {
            let publisher = self.clients().await?.publisher(&self.address, topic).await?;
            publisher.publish(message(topic, body)).await.map(drop).map_err(|error| {
                ErrorKind::Unavailable.error("Pub/Sub did not take the message").because(error)
            })
        });
        self.or_forget(sent.await).await
    }

    async fn clients(&self) -> Result<Arc<Clients>> {
        let mut slot = self.clients.lock().await;
        if let Some(clients) = &*slot {
            return Ok(clients.clone());
        }
        let clients = Arc::new(Clients::of(&self.address).await?);
        *slot = Some(clients.clone());
        Ok(clients)
    }

    /// Forgets the clients on an error: a topic may be gone, or the network dark, and all is made anew next time.
    async fn or_forget<T>(&self, done: Result<T>) -> Result<T> {
        if done.is_err() {
            self.clients.lock().await.take();
        }
        done
    }
}

impl Clients {
    async fn of(address: &Address) -> Result<Clients> {
        let retry = || RetryableErrors.with_attempt_limit(ATTEMPTS_MAX);
        let mut topics =
            TopicAdmin::builder().with_retry_policy(retry()).with_backoff_policy(backoff());
        let mut subscriptions =
            SubscriptionAdmin::builder().with_retry_policy(retry()).with_backoff_policy(backoff());
        let mut publisher =
            BasePublisher::builder().with_retry_policy(retry()).with_backoff_policy(backoff());
        let mut subscriber = Subscriber::builder();
        if let Some(endpoint) = &address.endpoint {
            topics = topics.with_endpoint(endpoint);
            subscriptions = subscriptions.with_endpoint(endpoint);
            publisher = publisher.with_endpoint(endpoint);
            subscriber = subscriber.with_endpoint(endpoint);
        }
        if address.is_in_clear() {
            // Nobody's token goes there.
            let anybody = || anonymous::Builder::new().build();
            topics = topics.with_credentials(anybody());
            subscriptions = subscriptions.with_credentials(anybody());
            publisher = publisher.with_credentials(anybody());
            subscriber = subscriber.with_credentials(anybody());
        }
        let unknown = |error| {
            let message =
                "no Google credentials: use workload identity, or GOOGLE_APPLICATION_CREDENTIALS";
            ErrorKind::Invalid.error(message).because(error)
        };
        Ok(Clients {
            topics: topics.build().await.map_err(unknown)?,
            subscriptions: subscriptions.build().await.map_err(unknown)?,
            publisher: publisher.build().await.map_err(unknown)?,
            subscriber: subscriber.build().await.map_err(unknown)?,
            publishers: Mutex::default(),
        })
    }

    /// The publisher for `topic`, once there is all that its messages go to.
    async fn publisher(&self, address: &Address, topic: Topic<'_>) -> Result<Publisher> {
        let name = address.topic_of(topic);
        let mut publishers = self.publishers.lock().await;
        if let Some(publisher) = publishers.get(&name) {
            return Ok(publisher.clone());
        }
        match topic {
            Topic::Work(work) => self.make_work(address, work).await?,
            Topic::Event(_) => self.make_topic(&name).await?,
        }
        // Each message is waited for, so none may wait for others.
        let publisher =
            self.publisher.publisher(name.clone()).set_message_count_threshold(1_u32).build();
        publishers.insert(name, publisher.clone());
        Ok(publisher)
    }
}

/// Pub/Sub refuses a message that has neither data nor an attribute, and a body may be empty.
fn message(topic: Topic<'_>, body: &[u8]) -> Message {
    let kind = match topic {
        Topic::Work(_) => "application/octet-stream",
        // As CloudEvents' binding for Pub/Sub says it.
        Topic::Event(_) => "application/cloudevents+json",
    };
    Message::new().set_data(body.to_vec()).set_attributes([("content-type", kind)])
}

async fn within_timeout<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let silent = |_| ErrorKind::Unavailable.error("Pub/Sub does not answer");
    timeout(REQUEST_TIMEOUT, work).await.map_err(silent)?
}

/// One subscriber's stream. When it is dropped, what was taken from it can still be settled.
struct Subscription {
    clients: Arc<Clients>,
    name: String,
    messages: Option<MessageStream>,
    /// Whether a message has come: the client connects for the first.
    open: bool,
}

impl Subscription {
    fn of(clients: Arc<Clients>, name: String, window: u16) -> Subscription {
        let messages = clients
            .subscriber
            .subscribe(&name)
            .set_max_outstanding_messages(window)
            .set_max_lease_extension(LEASE)
            .set_max_lease(IN_HAND_MAX)
            .build();
        Subscription { clients, name, messages: Some(messages), open: false }
    }

    async fn next(&mut self) -> Option<Result<Delivery>> {
        let mut next = pin!(self.messages.as_mut()?.next());
        loop {
            tokio::select! {
                message = &mut next => {
                    let message = message?;
                    self.open |= message.is_ok();
                    return Some(message.map(delivery).map_err(pubsub_error));
                }
                () = sleep(QUIET) => {
                    let answered = within_timeout(self.clients.check_subscription(&self.name));
                    if let Err(error) = answered.await {
                        return Some(Err(error));
                    }
                }
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let messages = self.messages.take().filter(|_| self.open);
        if let (Some(messages), Ok(runtime)) = (messages, Handle::try_current()) {
            runtime.spawn(hand_back(messages));
        }
    }
}

/// Gives back what has come and was not taken. The client would keep it until all that was taken is settled, for minutes perhaps.
async fn hand_back(mut messages: MessageStream) {
    let mut untaken = Vec::new();
    // Ends: while they are held, no more come than the window lets through.
    while let Ok(Some(Ok(message))) = timeout(ON_ITS_WAY, messages.next()).await {
        untaken.push(message);
    }
    // First the stream, or they came back on it. What is dropped unsettled is given back.
    drop(messages);
    drop(untaken);
}

fn delivery((message, handler): (Message, Handler)) -> Delivery {
    // Nobody counts where a subscription has no topic for dead letters.
    let redelivered = handler.delivery_attempt().is_none_or(|attempt| attempt > 1);
    Delivery { body: message.data.to_vec(), redelivered, settle: Box::new(Unacked(handler)) }
}

struct Unacked(Handler);

#[async_trait]
impl Settle for Unacked {
    async fn ack(self: Box<Self>) -> Result<()> {
        // Sent with others, and not confirmed: what is lost on its way brings the message back.
        self.0.ack();
        Ok(())
    }

    async fn retry(self: Box<Self>) -> Result<()> {
        // Each return counts against the delivery limit: an outage must not use it up at once.
        sleep(REDELIVERY_DELAY).await;
        self.0.nack();
        Ok(())
    }
}

fn backoff() -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_delay(Duration::from_millis(100))
        .with_maximum_delay(Duration::from_secs(2))
        .clamp()
}

/// Whether Pub/Sub answered with one of these codes, or the HTTP status of one.
fn is(error: &google_cloud_pubsub::Error, codes: &[Code], statuses: &[u16]) -> bool {
    error.status().is_some_and(|status| codes.contains(&status.code))
        || error.http_status_code().is_some_and(|status| statuses.contains(&status))
}

fn is_access_denied(error: &google_cloud_pubsub::Error) -> bool {
    is(error, &[Code::PermissionDenied, Code::Unauthenticated], &[401, 403])
}

fn is_missing(error: &google_cloud_pubsub::Error) -> bool {
    is(error, &[Code::NotFound], &[404])
}

/// The error of the port. To medseg's caller, refused credentials are a queue that does not answer.
fn pubsub_error(error: google_cloud_pubsub::Error) -> Error {
    let message = match &error {
        error if is_access_denied(error) => "Pub/Sub refuses our credentials",
        error if is_missing(error) => "a topic or a subscription is gone from Pub/Sub",
        _ => "a request to Pub/Sub failed",
    };
    ErrorKind::Unavailable.error(message).because(error)
}
