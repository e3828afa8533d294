//! Every queue adapter against the one suite. RabbitMQ runs when `TEST_AMQP_URL` names a server.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs::File;
use std::path::Path;

use domain::ErrorKind;
use platform::queue::testsuite::next;
use platform::queue::{connect, testsuite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

fn url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("queue.db").display())
}

#[tokio::test]
async fn sqlite() {
    let dir = tempfile::tempdir().unwrap();
    testsuite::run(connect(&url(dir.path())).await.unwrap(), "suite").await;
}

#[tokio::test]
async fn sqlite_delivers_after_a_restart_what_was_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let queue = connect(&url(dir.path())).await.unwrap();
    queue.publish("topic", b"acknowledged").await.unwrap();
    queue.publish("topic", b"taken").await.unwrap();
    queue.publish("topic", b"waiting").await.unwrap();
    let mut deliveries = queue.subscribe("topic", 2).await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();
    // As after kill -9: nobody puts back what was taken.
    std::mem::forget(next(&mut deliveries).await);
    drop((deliveries, queue));

    let queue = connect(&url(dir.path())).await.unwrap();
    let mut deliveries = queue.subscribe("topic", 8).await.unwrap();
    for body in [b"taken".as_slice(), b"waiting"] {
        let delivery = next(&mut deliveries).await;
        assert_eq!((delivery.body.as_slice(), delivery.redelivered), (body, true));
    }
}

#[tokio::test]
async fn sqlite_delivers_again_what_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let queue = connect(&url(dir.path())).await.unwrap();
    queue.publish("topic", b"dropped").await.unwrap();
    let mut deliveries = queue.subscribe("topic", 1).await.unwrap();
    drop(next(&mut deliveries).await);
    assert!(next(&mut deliveries).await.redelivered);
}

#[tokio::test]
async fn sqlite_is_shared_within_a_process_and_refused_to_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let queue = connect(&url(dir.path())).await.unwrap();
    let again = connect(&url(dir.path())).await.unwrap();
    let mut deliveries = again.subscribe("topic", 1).await.unwrap();
    queue.publish("topic", b"seen").await.unwrap();
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
    testsuite::run(connect(&url).await.unwrap(), &topic).await;
}

#[tokio::test]
async fn rabbitmq_is_found_again_after_the_connection_is_lost() {
    let Ok(server) = std::env::var("TEST_AMQP_URL") else {
        return eprintln!("skipped: TEST_AMQP_URL is not set");
    };
    let topic = format!("suite-{}-lost", std::process::id());
    let (url, mut proxied) = through_proxy(&server).await;
    let queue = connect(&url).await.unwrap();
    let mut deliveries = queue.subscribe(&topic, 1).await.unwrap();
    queue.publish(&topic, b"before").await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();

    while let Ok(connection) = proxied.try_recv() {
        connection.abort();
    }
    // The loss is noticed by the first that tries, or before.
    let mut published = queue.publish(&topic, b"after").await;
    if published.is_err() {
        published = queue.publish(&topic, b"after").await;
    }
    published.unwrap();
    let mut deliveries = queue.subscribe(&topic, 1).await.unwrap();
    let mut delivery = next(&mut deliveries).await;
    // Brokers confirm no acknowledgement: one that was cut off on its way brings its message back, marked.
    if delivery.redelivered {
        assert_eq!(delivery.body, b"before");
        delivery.ack().await.unwrap();
        delivery = next(&mut deliveries).await;
    }
    assert_eq!((delivery.body.as_slice(), delivery.redelivered), (b"after".as_slice(), false));
}

/// The same server through a proxy whose connections can be cut.
async fn through_proxy(
    server: &str,
) -> (String, tokio::sync::mpsc::UnboundedReceiver<JoinHandle<()>>) {
    let parsed: url::Url = server.parse().unwrap();
    let address = (parsed.host_str().unwrap().to_owned(), parsed.port().unwrap_or(5672));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut url = parsed;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
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
    (url.to_string(), cut)
}

#[tokio::test]
async fn a_queue_that_is_not_built_in_is_named() {
    let refused = connect("kafka://somewhere").await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("`kafka://`"), "{refused}");
}
