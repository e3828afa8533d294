//! Topics, subscriptions and their messages. Time is an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

#[derive(Default)]
pub struct Broker {
    topics: BTreeSet<String>,
    subscriptions: BTreeMap<String, Subscription>,
    /// How many messages and leases have been named.
    named: u64,
}

pub struct Subscription {
    topic: String,
    dead_letters: Option<DeadLetters>,
    waiting: Vec<Message>,
    leased: HashMap<String, Lease>,
}

/// Where a message goes that was delivered so often.
pub struct DeadLetters {
    pub topic: String,
    pub attempts: i64,
}

#[derive(Clone)]
pub struct Message {
    pub id: String,
    pub data: Vec<u8>,
    pub attributes: HashMap<String, String>,
    /// How often it was delivered.
    attempts: i32,
}

struct Lease {
    message: Message,
    stream: u64,
    until: Instant,
}

/// A message on its way to a subscriber.
pub struct Received {
    pub ack_id: String,
    pub message: Message,
    /// 0 where nobody counts.
    pub attempt: i32,
}

/// Who pulls, and how much at a time.
pub struct Puller {
    pub subscription: String,
    pub stream: u64,
    pub window: usize,
    pub lease: Duration,
}

impl Subscription {
    pub fn new(topic: &str, dead_letters: Option<DeadLetters>) -> Subscription {
        let topic = topic.to_owned();
        Subscription { topic, dead_letters, waiting: Vec::new(), leased: HashMap::new() }
    }
}

impl Broker {
    /// Whether the topic is new.
    pub fn add_topic(&mut self, name: &str) -> bool {
        self.topics.insert(name.to_owned())
    }

    pub fn has_topic(&self, name: &str) -> bool {
        self.topics.contains(name)
    }

    /// Whether the subscription is new.
    pub fn add_subscription(&mut self, name: &str, subscription: Subscription) -> bool {
        if self.subscriptions.contains_key(name) {
            return false;
        }
        self.subscriptions.insert(name.to_owned(), subscription);
        true
    }

    pub fn topic_of(&self, subscription: &str) -> Option<&str> {
        self.subscriptions.get(subscription).map(|found| found.topic.as_str())
    }

    /// The name that the message gets; `None` where there is no such topic.
    pub fn publish(
        &mut self,
        topic: &str,
        data: Vec<u8>,
        attributes: HashMap<String, String>,
    ) -> Option<String> {
        if !self.has_topic(topic) {
            return None;
        }
        self.named += 1;
        let id = self.named.to_string();
        let message = Message { id: id.clone(), data, attributes, attempts: 0 };
        for subscription in self.subscriptions.values_mut().filter(|found| found.topic == topic) {
            subscription.waiting.push(message.clone());
        }
        Some(id)
    }

    /// What there is for the puller; `None` where there is no such subscription.
    pub fn pull(&mut self, puller: &Puller, now: Instant) -> Option<Vec<Received>> {
        self.end_leases(now);
        let subscription = self.subscriptions.get_mut(&puller.subscription)?;
        let held = subscription.leased.values().filter(|lease| lease.stream == puller.stream);
        let room = puller.window.saturating_sub(held.count());
        let mut received = Vec::new();
        while received.len() < room {
            // The newest first: Pub/Sub promises no order, and whoever leans on one finds out.
            let Some(mut message) = subscription.waiting.pop() else { break };
            message.attempts += 1;
            self.named += 1;
            let ack_id = format!("ack-{}", self.named);
            let (stream, until) = (puller.stream, now + puller.lease);
            let lease = Lease { message: message.clone(), stream, until };
            subscription.leased.insert(ack_id.clone(), lease);
            let attempt = subscription.dead_letters.as_ref().map_or(0, |_| message.attempts);
            received.push(Received { ack_id, message, attempt });
        }
        Some(received)
    }

    pub fn acknowledge(&mut self, subscription: &str, ack_ids: &[String]) {
        let Some(subscription) = self.subscriptions.get_mut(subscription) else { return };
        for ack_id in ack_ids {
            subscription.leased.remove(ack_id);
        }
    }

    pub fn extend(&mut self, subscription: &str, ack_ids: &[String], until: Instant) {
        let Some(subscription) = self.subscriptions.get_mut(subscription) else { return };
        for ack_id in ack_ids {
            if let Some(lease) = subscription.leased.get_mut(ack_id) {
                lease.until = until;
            }
        }
    }

    /// Puts a message back, or aside where it was delivered too often.
    pub fn give_back(&mut self, name: &str, ack_id: &str) {
        let Some(subscription) = self.subscriptions.get_mut(name) else { return };
        let Some(Lease { message, .. }) = subscription.leased.remove(ack_id) else { return };
        let dead = subscription.dead_letters.as_ref();
        let dead = dead.filter(|dead| i64::from(message.attempts) >= dead.attempts);
        match dead.map(|dead| dead.topic.clone()) {
            Some(topic) => {
                self.publish(&topic, message.data, message.attributes);
            }
            None => subscription.waiting.push(message),
        }
    }

    fn end_leases(&mut self, now: Instant) {
        let mut ended = Vec::new();
        for (name, subscription) in &self.subscriptions {
            let late = subscription.leased.iter().filter(|(_, lease)| lease.until <= now);
            ended.extend(late.map(|(ack_id, _)| (name.clone(), ack_id.clone())));
        }
        for (name, ack_id) in ended {
            self.give_back(&name, &ack_id);
        }
    }
}
