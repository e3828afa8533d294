//! Settings that are secrets: neither a log, nor whoever prints a configuration, nor help shows one.

use std::any::TypeId;
use std::fmt::Debug;

use clap::{Args, CommandFactory, Parser};
use secrecy::SecretString;

const SECRET: &str = "correct-horse-battery-staple-which-nobody-may-read";

/// A service's program, as far as its own settings go.
#[derive(Debug, Parser)]
struct Program<C: Args> {
    #[command(flatten)]
    config: C,
}

/// That of these settings so many are secrets, and that no way of printing shows one.
#[track_caller]
fn keeps<C: Args + Debug>(secrets: usize, settings: &[&str]) {
    let settings = settings.iter().map(|setting| setting.replace("SECRET", SECRET));
    let line = std::iter::once("program".to_owned()).chain(settings);
    let program = Program::<C>::try_parse_from(line).expect("what such a service is told");
    for printed in [format!("{program:?}"), format!("{:#?}", program.config)] {
        assert!(!printed.contains(SECRET), "{printed}");
        assert_eq!(printed.matches("[REDACTED]").count(), secrets, "{printed}");
    }
    let command = Program::<C>::command();
    let hidden = command.get_arguments().filter(|argument| {
        let is_secret = argument.get_value_parser().type_id() == TypeId::of::<SecretString>();
        assert!(!is_secret || argument.is_hide_env_values_set(), "help shows {argument}");
        is_secret
    });
    assert_eq!(hidden.count(), secrets);
}

#[test]
fn no_configuration_shows_its_secrets() {
    let (database, queue) =
        ("--database-url=mysql://medseg:SECRET@db/x", "--queue-url=amqp://medseg:SECRET@broker/x");
    let service = "--service-secret=SECRET";
    let first = "--first-password=SECRET";
    let delivery = "--delivery-secret=SECRET";
    let gateway = "--gateway-secret=SECRET";
    keeps::<auth::Config>(
        5,
        &[database, service, delivery, gateway, first, "--signing-key=key.pem"],
    );
    keeps::<storage::Config>(3, &[database, queue, "--blob-url=s3://bucket?key=SECRET"]);
    keeps::<drift::Config>(3, &[database, queue, service, "--auth-url=http://auth:8080"]);
    keeps::<delivery::Config>(
        3,
        &[
            database,
            queue,
            delivery,
            "--auth-url=http://auth:8080",
            "--storage-url=http://storage:8080",
        ],
    );
    keeps::<inference::Config>(1, &[service, "--model-url=weights.safetensors"]);
    keeps::<ingest::Config>(1, &[service, "--spool=spool"]);
    keeps::<registry::Config>(
        3,
        &[database, queue, "--blob-url=s3://b?key=SECRET", "--model-key=k.pem"],
    );
    keeps::<gateway::Config>(0, &[]);
    let peers = ["auth", "ingest", "storage", "drift", "registry", "delivery"];
    let urls = peers.map(|peer| format!("--{peer}-url=http://{peer}:8080"));
    let settings: Vec<&str> = urls.iter().map(String::as_str).chain([gateway]).collect();
    keeps::<gateway::PeerUrls>(1, &settings);
}
