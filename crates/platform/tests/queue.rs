//! Every queue adapter against the one suite. RabbitMQ runs when `TEST_AMQP_URL` names a server, Pub/Sub's is a double.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs::File;
use std::path::Path;

use domain::ErrorKind;
use platform::queue::testsuite::{next, nothing};
use platform::queue::{Event, Work, connect, testsuite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

fn url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("queue.db").display())
}

#[tokio::test]
async fn a_bad_address_is_refused_without_a_word_of_its_password() {
    for url in ["hunter2", "amqp:medseg:hunter2@broker", "amqp://medseg:hunter2@broker:port"] {
        let refused = connect(url).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    }
}

#[tokio::test]
async fn sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let queue = connect(&url(dir.path())).await.unwrap();
    testsuite::run(queue.clone(), "suite").await;
    testsuite::run_ordered(queue, "suite").await;
}

#[tokio::test]
async fn sqlite_delivers_after_a_restart_what_was_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let queue = connect(&url(dir.path())).await.unwrap();
    queue.publish(Work("topic"), b"acknowledged").await.unwrap();
    queue.publish(Work("topic"), b"taken").await.unwrap();
    queue.publish(Work("topic"), b"waiting").await.unwrap();
    let mut deliveries = queue.subscribe_work(Work("topic"), 2).await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();
    // As after kill -9: nobody puts back what was taken.
    std::mem::forget(next(&mut deliveries).await);
    drop((deliveries, queue));

    let queue = connect(&url(dir.path())).await.unwrap();
    let mut deliveries = queue.subscribe_work(Work("topic"), 8).await.unwrap();
    for body in [b"taken".as_slice(), b"waiting"] {
        let delivery = next(&mut deliveries).await;
        assert_eq!((delivery.body.as_slice(), delivery.redelivered), (body, true));
    }
}

#[tokio::test]
async fn sqlite_delivers_again_what_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let queue = connect(&url(dir.path())).await.unwrap();
    queue.publish(Work("topic"), b"dropped").await.unwrap();
    let mut deliveries = queue.subscribe_work(Work("topic"), 1).await.unwrap();
    drop(next(&mut deliveries).await);
    assert!(next(&mut deliveries).await.redelivered);
}

#[tokio::test]
async fn sqlite_is_shared_within_a_process_and_refused_to_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let queue = connect(&url(dir.path())).await.unwrap();
    let again = connect(&url(dir.path())).await.unwrap();
    let mut deliveries = again.subscribe_work(Work("topic"), 1).await.unwrap();
    queue.publish(Work("topic"), b"seen").await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();

    let other = tempfile::tempdir().unwrap();
    let held = File::create(other.path().join("queue.db.lock")).unwrap();
    held.lock().unwrap();
    let refused = connect(&url(other.path())).await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn rabbitmq() {
    let Ok(url) = std::env::var("TEST_AMQP_URL") else {
        return eprintln!("skipped: TEST_AMQP_URL is not set");
    };
    let topic = format!("suite-{}", std::process::id());
    let queue = connect(&url).await.unwrap();
    testsuite::run(queue.clone(), &topic).await;
    testsuite::run_ordered(queue, &topic).await;
}

#[tokio::test]
async fn pubsub() {
    let double = pubsub::Double::start().await.unwrap();
    testsuite::run(connect(&double.url()).await.unwrap(), "suite").await;
}

#[tokio::test]
async fn pubsub_puts_aside_what_was_delivered_too_often() {
    let double = pubsub::Double::start().await.unwrap();
    let queue = connect(&double.url()).await.unwrap();
    let mut deliveries = queue.subscribe_work(Work("work"), 1).await.unwrap();
    queue.publish(Work("work"), b"poison").await.unwrap();
    // As often as RabbitMQ would deliver it.
    for _ in 0..20 {
        drop(next(&mut deliveries).await);
    }
    let mut dead = queue.subscribe("work.dead", 1).await.unwrap();
    let delivery = next(&mut dead).await;
    assert_eq!(delivery.body, b"poison");
    delivery.ack().await.unwrap();
    assert!(nothing(&mut deliveries).await, "it comes no more");
}

#[tokio::test]
async fn pubsub_that_refuses_says_what_is_missing() {
    let double = pubsub::Double::start().await.unwrap();
    let queue = connect(&double.url()).await.unwrap();
    queue.publish(Work("work"), b"before").await.unwrap();
    double.refuse();
    let refused = queue.publish(Work("work"), b"after").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "whoever publishes keeps it");
    let refused = connect(&double.url()).await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("roles/pubsub.editor"), "{refused}");
}

#[tokio::test]
async fn rabbitmq_is_found_again_after_the_connection_is_lost() {
    let Ok(server) = std::env::var("TEST_AMQP_URL") else {
        return eprintln!("skipped: TEST_AMQP_URL is not set");
    };
    let topic = format!("suite-{}-lost", std::process::id());
    let (url, mut proxied) = through_proxy(&server).await;
    let queue = connect(&url).await.unwrap();
    let mut deliveries = queue.subscribe_work(Work(&topic), 1).await.unwrap();
    queue.publish(Work(&topic), b"before").await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();

    while let Ok(connection) = proxied.try_recv() {
        connection.abort();
    }
    // The loss is noticed by the first that tries, or before.
    let mut published = queue.publish(Work(&topic), b"after").await;
    if published.is_err() {
        published = queue.publish(Work(&topic), b"after").await;
    }
    published.unwrap();
    let mut deliveries = queue.subscribe_work(Work(&topic), 1).await.unwrap();
    let mut delivery = next(&mut deliveries).await;
    // Brokers confirm no acknowledgement: one that was cut off on its way brings its message back, marked.
    if delivery.redelivered {
        assert_eq!(delivery.body, b"before");
        delivery.ack().await.unwrap();
        delivery = next(&mut deliveries).await;
    }
    assert_eq!((delivery.body.as_slice(), delivery.redelivered), (b"after".as_slice(), false));
}

#[tokio::test]
async fn rabbitmq_that_is_away_at_the_start_is_found_when_it_comes() {
    let Ok(server) = std::env::var("TEST_AMQP_URL") else {
        return eprintln!("skipped: TEST_AMQP_URL is not set");
    };
    let topic = format!("suite-{}-late", std::process::id());
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut url: url::Url = server.parse().unwrap();
    url.set_port(Some(away.port())).unwrap();
    let queue = connect(url.as_str()).await.unwrap();
    assert_eq!(queue.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let published = queue.publish(Work(&topic), b"early").await;
    assert_eq!(published.unwrap_err().kind(), ErrorKind::Unavailable);

    let _proxy = through_proxy_at(TcpListener::bind(away).await.unwrap(), &server);
    queue.publish(Work(&topic), b"late").await.unwrap();
    let mut deliveries = queue.subscribe_work(Work(&topic), 1).await.unwrap();
    let delivery = next(&mut deliveries).await;
    assert_eq!(delivery.body, b"late");
    delivery.ack().await.unwrap();
    let nonsense = connect("amqp://host:port").await.map(drop).unwrap_err();
    assert_eq!(nonsense.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn rabbitmq_shows_events_to_whoever_binds_a_queue() {
    let Ok(url) = std::env::var("TEST_AMQP_URL") else {
        return eprintln!("skipped: TEST_AMQP_URL is not set");
    };
    let topic = format!("suite-{}-shown", std::process::id());
    let queue = connect(&url).await.unwrap();
    // Declares the exchange.
    let mut ours = queue.subscribe_event(Event(&topic), "ours", 8).await.unwrap();
    let outside = lapin::Connection::connect(&url, Default::default()).await.unwrap();
    let channel = outside.create_channel().await.unwrap();
    let exclusive = lapin::options::QueueDeclareOptions { exclusive: true, ..Default::default() };
    let theirs = channel.queue_declare("".into(), exclusive, Default::default()).await.unwrap();
    let name = theirs.name();
    bind(&channel, name.as_str(), &topic).await;

    queue.emit(Event(&topic), b"{}").await.unwrap();
    queue.publish(Work(&topic), b"work").await.unwrap();
    let delivery = next(&mut ours).await;
    assert_eq!(delivery.body, b"{}");
    delivery.ack().await.unwrap();
    assert!(nothing(&mut ours).await, "work is no event");
    let get = || channel.basic_get(name.clone(), lapin::options::BasicGetOptions { no_ack: true });
    let seen = get().await.unwrap().expect("the event");
    assert_eq!(seen.data, b"{}");
    let kind = seen.properties.content_type().as_ref().unwrap().to_string();
    assert_eq!(kind, "application/cloudevents+json");
    assert!(get().await.unwrap().is_none(), "work is nobody else's");
}

#[tokio::test]
async fn rabbitmq_takes_over_the_queue_that_an_earlier_version_bound() {
    let Ok(url) = std::env::var("TEST_AMQP_URL") else {
        return eprintln!("skipped: TEST_AMQP_URL is not set");
    };
    let topic = format!("suite-{}-earlier", std::process::id());
    let queue = connect(&url).await.unwrap();
    // Declares the exchange.
    queue.emit(Event(&topic), b"to nobody").await.unwrap();
    // As the earlier version left it: a queue named as the event, bound to the exchange.
    queue.publish(Work(&topic), b"before the upgrade").await.unwrap();
    let outside = lapin::Connection::connect(&url, Default::default()).await.unwrap();
    let channel = outside.create_channel().await.unwrap();
    bind(&channel, &topic, &topic).await;
    queue.emit(Event(&topic), b"meanwhile").await.unwrap();

    let mut group = queue.subscribe_event(Event(&topic), "group", 8).await.unwrap();
    queue.emit(Event(&topic), b"after it").await.unwrap();
    for body in [b"before the upgrade".as_slice(), b"meanwhile", b"after it"] {
        let delivery = next(&mut group).await;
        assert_eq!(delivery.body, body);
        delivery.ack().await.unwrap();
    }
    assert!(nothing(&mut group).await, "each once");
    let passive = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
    let earlier = channel.queue_declare(topic.as_str().into(), passive, Default::default()).await;
    assert!(earlier.is_err(), "the earlier queue is gone");
}

#[tokio::test]
async fn sqlite_keeps_groups_and_their_events_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let queue = connect(&url(dir.path())).await.unwrap();
    queue.create_group(Event("event"), "group").await.unwrap();
    queue.emit(Event("event"), b"before").await.unwrap();
    drop(queue);

    let queue = connect(&url(dir.path())).await.unwrap();
    queue.emit(Event("event"), b"after").await.unwrap();
    let mut group = queue.subscribe_event(Event("event"), "group", 8).await.unwrap();
    for body in [b"before".as_slice(), b"after"] {
        let delivery = next(&mut group).await;
        assert_eq!(delivery.body, body);
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn sqlite_keeps_for_each_group_what_that_group_has_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let queue = connect(&url(dir.path())).await.unwrap();
    let mut done = queue.subscribe_event(Event("event"), "done", 8).await.unwrap();
    let mut away = queue.subscribe_event(Event("event"), "away", 8).await.unwrap();
    queue.emit(Event("event"), b"one").await.unwrap();
    next(&mut done).await.ack().await.unwrap();
    // As after kill -9.
    std::mem::forget(next(&mut away).await);
    drop((done, away, queue));

    let queue = connect(&url(dir.path())).await.unwrap();
    let mut done = queue.subscribe_event(Event("event"), "done", 8).await.unwrap();
    let mut away = queue.subscribe_event(Event("event"), "away", 8).await.unwrap();
    let delivery = next(&mut away).await;
    assert_eq!((delivery.body.as_slice(), delivery.redelivered), (b"one".as_slice(), true));
    delivery.ack().await.unwrap();
    assert!(nothing(&mut done).await, "it had its own");
}

/// Binds a queue to the exchange of events.
async fn bind(channel: &lapin::Channel, queue: &str, event: &str) {
    let (options, none) = (Default::default(), Default::default());
    let bound =
        channel.queue_bind(queue.into(), "medseg.events".into(), event.into(), options, none);
    bound.await.unwrap();
}

type Proxied = tokio::sync::mpsc::UnboundedReceiver<JoinHandle<()>>;

/// The same server through a proxy whose connections can be cut.
async fn through_proxy(server: &str) -> (String, Proxied) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut url: url::Url = server.parse().unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    (url.to_string(), through_proxy_at(listener, server))
}

fn through_proxy_at(listener: TcpListener, server: &str) -> Proxied {
    let parsed: url::Url = server.parse().unwrap();
    let address = (parsed.host_str().unwrap().to_owned(), parsed.port().unwrap_or(5672));
    let (connections, cut) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let address = address.clone();
            let _ = connections.send(tokio::spawn(async move {
                let mut far = TcpStream::connect(address).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }));
        }
    });
    cut
}

#[tokio::test]
async fn a_queue_that_is_not_built_in_is_named() {
    let refused = connect("kafka://somewhere").await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("`kafka://`"), "{refused}");
}
