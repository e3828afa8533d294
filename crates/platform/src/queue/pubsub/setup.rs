//! Topics and subscriptions are made when somebody needs them, unless they are there: they may be made beforehand, by whoever has
//! the right to, and are then left as they are.

use std::time::Duration;

use domain::{Error, ErrorKind, Result};
use google_cloud_gax::error::rpc::Code;
use google_cloud_pubsub::model::{DeadLetterPolicy, ExpirationPolicy, Subscription};

use super::address::Address;
use super::{Clients, Event, Topic, Work, is, is_access_denied, is_missing, pubsub_error};

/// How long Pub/Sub keeps a message that nobody takes: the longest that it can.
pub(super) const KEPT: Duration = Duration::from_secs(31 * 24 * 60 * 60);
/// After so many deliveries a message is put aside.
const DELIVERIES_MAX: i32 = 20;

impl Clients {
    /// Whether Pub/Sub answers, and lets us see what is there.
    pub(super) async fn check_access(&self, address: &Address) -> Result<()> {
        let request = self.topics.list_topics().set_project(address.project()).set_page_size(1);
        request.send().await.map(drop).map_err(|error| {
            if !is_access_denied(&error) {
                return pubsub_error(error);
            }
            let project = address.project();
            let message =
                format!("Pub/Sub lets us see nothing of {project}: give roles/pubsub.editor");
            ErrorKind::Invalid.error(message).because(error)
        })
    }

    /// Makes what work of that name goes through.
    pub(super) async fn make_work(&self, address: &Address, work: Work<'_>) -> Result<()> {
        self.make_queue(address, &address.topic_of(work.into()), work.0).await
    }

    /// Makes what the events of that kind go through, and where they wait for the group.
    pub(super) async fn make_group(
        &self,
        address: &Address,
        event: Event<'_>,
        group: &str,
    ) -> Result<()> {
        let topic = address.topic_of(Topic::Event(event));
        self.make_queue(address, &topic, &event.queue_of(group)).await
    }

    /// Makes the topic, unless there is one.
    pub(super) async fn make_topic(&self, name: &str) -> Result<()> {
        match self.topics.get_topic().set_topic(name).send().await {
            Ok(_) => return Ok(()),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(pubsub_error(error)),
        }
        let made = self.topics.create_topic().set_name(name).send().await.map(drop);
        made.or_else(|error| there_by_now(error, name))
    }

    /// Whether there is a subscription of that name, and Pub/Sub answers.
    pub(super) async fn check_subscription(&self, name: &str) -> Result<()> {
        let request = self.subscriptions.get_subscription().set_subscription(name);
        request.send().await.map(drop).map_err(pubsub_error)
    }

    /// Makes a subscription to `topic`, and what is put aside of it: for operators, since the job table decides what becomes of a job.
    async fn make_queue(&self, address: &Address, topic: &str, queue: &str) -> Result<()> {
        let dead = format!("{queue}.dead");
        let dead_topic = address.topic(&dead);
        self.make_topic(&dead_topic).await?;
        self.make_subscription(lasting(&address.subscription(&dead), &dead_topic)).await?;
        self.make_topic(topic).await?;
        let policy = DeadLetterPolicy::new()
            .set_dead_letter_topic(dead_topic)
            .set_max_delivery_attempts(DELIVERIES_MAX);
        let waiting = lasting(&address.subscription(queue), topic).set_dead_letter_policy(policy);
        self.make_subscription(waiting).await
    }

    async fn make_subscription(&self, wanted: Subscription) -> Result<()> {
        let (name, topic) = (wanted.name.clone(), wanted.topic.clone());
        match self.subscriptions.get_subscription().set_subscription(&name).send().await {
            Ok(there) if there.topic == topic => return Ok(()),
            // It is left behind when its topic is deleted, and nothing comes to it ever again.
            Ok(there) => {
                let other = there.topic;
                return Err(ErrorKind::Unavailable.error(format!(
                    "the subscription {name} is to {other} and not to {topic}: delete it, and it is made anew"
                )));
            }
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(pubsub_error(error)),
        }
        let made = self.subscriptions.create_subscription().with_request(wanted).send().await;
        made.map(drop).or_else(|error| there_by_now(error, &name))
    }
}

/// A subscription that stays when nobody listens, and keeps what it can.
fn lasting(name: &str, topic: &str) -> Subscription {
    let mut subscription = Subscription::new()
        .set_name(name)
        .set_topic(topic)
        // Without a time in it, this says never.
        .set_expiration_policy(ExpirationPolicy::new());
    subscription.message_retention_duration = KEPT.try_into().ok();
    subscription
}

/// What could not be made because somebody else just made it is there.
fn there_by_now(error: google_cloud_pubsub::Error, name: &str) -> Result<()> {
    if is(&error, &[Code::AlreadyExists], &[409]) {
        return Ok(());
    }
    Err(not_made(error, name))
}

fn not_made(error: google_cloud_pubsub::Error, name: &str) -> Error {
    if !is_access_denied(&error) {
        return pubsub_error(error);
    }
    let message =
        format!("there is no {name}, and we may not make it: make it, or give roles/pubsub.editor");
    ErrorKind::Unavailable.error(message).because(error)
}
