//! The one queue that an event had before there were groups, named as the event.
//!
//! It is still bound to the exchange: left alone, it would fill with copies that nobody takes.

use lapin::Channel;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;

use super::{EVENTS, Event, Link, Result, Work, amqp_error, publish, within_timeout};

/// Brings what waits there to `queue`, and deletes the earlier queue unless an earlier version still takes from it.
///
/// `queue` gets the event already, so nothing is missed meanwhile; some of it may come twice.
pub(super) async fn inherit(link: &Link, Event(earlier): Event<'_>, queue: &str) -> Result<()> {
    let Some(consumers) = within_timeout(consumers(link, earlier)).await? else { return Ok(()) };
    let channel = within_timeout(unbind(link, earlier)).await?;
    while within_timeout(hand_over(&channel, earlier, queue)).await? {}
    if consumers == 0 {
        within_timeout(delete(&channel, earlier)).await?;
    }
    tracing::info!(earlier, queue, "moved what waited in the queue of an earlier version");
    Ok(())
}

/// How many take from the queue; None where there is no queue of that name.
async fn consumers(link: &Link, name: &str) -> Result<Option<u32>> {
    // On a channel of its own, which the broker closes where there is none.
    let channel = link.channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    match channel.queue_declare(name.into(), passive, FieldTable::default()).await {
        Ok(queue) => Ok(Some(queue.consumer_count())),
        Err(error) if error.is_amqp_soft_error() => Ok(None),
        Err(error) => Err(amqp_error(error)),
    }
}

/// The channel to move messages on, once no more of them come.
async fn unbind(link: &Link, name: &str) -> Result<Channel> {
    let channel = link.channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(amqp_error)?;
    let unbound =
        channel.queue_unbind(name.into(), EVENTS.into(), name.into(), FieldTable::default());
    unbound.await.map_err(amqp_error)?;
    Ok(channel)
}

/// Moves one message; answers whether there was one.
async fn hand_over(channel: &Channel, from: &str, to: &str) -> Result<bool> {
    let got =
        channel.basic_get(from.into(), BasicGetOptions::default()).await.map_err(amqp_error)?;
    let Some(message) = got else { return Ok(false) };
    publish(channel, Work(to).into(), &message.data).await?;
    message.acker.ack(BasicAckOptions::default()).await.map_err(amqp_error)?;
    Ok(true)
}

async fn delete(channel: &Channel, name: &str) -> Result<()> {
    // A quorum queue knows no `if-unused` and no `if-empty`.
    let deleted = channel.queue_delete(name.into(), QueueDeleteOptions::default());
    deleted.await.map(drop).map_err(amqp_error)
}
