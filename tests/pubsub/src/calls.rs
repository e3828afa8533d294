//! The gRPC interface: publish, pull, acknowledge.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};
use v1::publisher_server::{Publisher, PublisherServer};
use v1::subscriber_server::{Subscriber, SubscriberServer};
use v1::{
    AcknowledgeRequest, ModifyAckDeadlineRequest, PublishRequest, PublishResponse, PubsubMessage,
    ReceivedMessage, StreamingPullRequest, StreamingPullResponse,
};

use crate::broker::{Puller, Received};
use crate::{State, lock};

#[expect(clippy::allow_attributes, reason = "generated")]
mod v1 {
    tonic::include_proto!("google.pubsub.v1");
}

/// How often it is looked whether a lease has ended.
const TICK: Duration = Duration::from_millis(100);

pub fn publisher(state: Arc<State>) -> PublisherServer<Calls> {
    PublisherServer::new(Calls(state))
}

pub fn subscriber(state: Arc<State>) -> SubscriberServer<Calls> {
    SubscriberServer::new(Calls(state))
}

pub struct Calls(Arc<State>);

#[tonic::async_trait]
impl Publisher for Calls {
    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        let PublishRequest { topic, messages } = request.into_inner();
        self.admit()?;
        let empty =
            |message: &PubsubMessage| message.data.is_empty() && message.attributes.is_empty();
        if messages.iter().any(empty) {
            return Err(Status::invalid_argument("a message needs data or an attribute"));
        }
        let message_ids: Option<Vec<String>> = {
            let mut broker = lock(&self.0.broker);
            let publish =
                |message: PubsubMessage| broker.publish(&topic, message.data, message.attributes);
            messages.into_iter().map(publish).collect()
        };
        let message_ids = message_ids.ok_or_else(|| Status::not_found("no such topic"))?;
        self.0.changed.notify_waiters();
        Ok(Response::new(PublishResponse { message_ids }))
    }
}

#[tonic::async_trait]
impl Subscriber for Calls {
    type StreamingPullStream = BoxStream<'static, Result<StreamingPullResponse, Status>>;

    async fn modify_ack_deadline(
        &self,
        request: Request<ModifyAckDeadlineRequest>,
    ) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        self.admit()?;
        {
            let mut broker = lock(&self.0.broker);
            match u64::try_from(request.ack_deadline_seconds).unwrap_or(0) {
                0 => request
                    .ack_ids
                    .iter()
                    .for_each(|ack_id| broker.give_back(&request.subscription, ack_id)),
                seconds => {
                    let until = Instant::now() + Duration::from_secs(seconds);
                    broker.extend(&request.subscription, &request.ack_ids, until);
                }
            }
        }
        self.0.changed.notify_waiters();
        Ok(Response::new(()))
    }

    async fn acknowledge(
        &self,
        request: Request<AcknowledgeRequest>,
    ) -> Result<Response<()>, Status> {
        let AcknowledgeRequest { subscription, ack_ids } = request.into_inner();
        self.admit()?;
        lock(&self.0.broker).acknowledge(&subscription, &ack_ids);
        self.0.changed.notify_waiters();
        Ok(Response::new(()))
    }

    async fn streaming_pull(
        &self,
        request: Request<Streaming<StreamingPullRequest>>,
    ) -> Result<Response<Self::StreamingPullStream>, Status> {
        self.admit()?;
        let mut requests = request.into_inner();
        let first = requests.message().await?;
        let first =
            first.ok_or_else(|| Status::invalid_argument("a stream says what it is for"))?;
        let window = usize::try_from(first.max_outstanding_messages).ok();
        let lease = u64::try_from(first.stream_ack_deadline_seconds).unwrap_or(0);
        let puller = Puller {
            subscription: first.subscription,
            stream: self.0.streams.fetch_add(1, Ordering::Relaxed),
            window: window.filter(|window| *window > 0).unwrap_or(usize::MAX),
            lease: Duration::from_secs(lease),
        };
        let pull = Pull { state: self.0.clone(), puller, requests };
        let responses = stream::unfold(pull, async |mut pull| {
            let response = pull.next().await;
            Some((response, pull))
        });
        Ok(Response::new(responses.boxed()))
    }
}

impl Calls {
    fn admit(&self) -> Result<(), Status> {
        if self.0.refuses() {
            return Err(Status::permission_denied("told to"));
        }
        Ok(())
    }
}

/// One open stream.
struct Pull {
    state: Arc<State>,
    puller: Puller,
    /// What keeps the stream alive.
    requests: Streaming<StreamingPullRequest>,
}

impl Pull {
    /// The next messages, once there are any. The stream ends when its caller says no more.
    async fn next(&mut self) -> Result<StreamingPullResponse, Status> {
        loop {
            // From here on no change goes unseen.
            let changed = self.state.changed.notified();
            let received = lock(&self.state.broker).pull(&self.puller, Instant::now());
            let received = received.ok_or_else(|| Status::not_found("no such subscription"))?;
            if !received.is_empty() {
                let received_messages = received.into_iter().map(sent).collect();
                return Ok(StreamingPullResponse { received_messages });
            }
            // Whoever keeps the stream alive says nothing new.
            tokio::select! {
                _ = timeout(TICK, changed) => {}
                alive = self.requests.message() => match alive? {
                    Some(_) => {}
                    None => return Err(Status::cancelled("the caller is gone")),
                },
            }
        }
    }
}

fn sent(received: Received) -> ReceivedMessage {
    let Received { ack_id, message, attempt } = received;
    let message = PubsubMessage {
        data: message.data,
        attributes: message.attributes,
        message_id: message.id,
    };
    ReceivedMessage { ack_id, message: Some(message), delivery_attempt: attempt }
}
