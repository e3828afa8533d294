//! The rows of the fault matrix that are played on the mesh. Each fault ends as it should end in the world.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures::future::BoxFuture;
use tests::mesh::Mesh;

use super::doors;
use super::ledger::{Expected, Judged, Play};
use super::servers;
use super::steps::{ms, repeat_messages, roll_out, until, until_one_works, wait, with_model};

pub struct Row {
    pub name: &'static str,
    pub fault: Fault,
    pub expected: Expected,
    /// Of every so many uploads, one is a scan that no worker survives.
    pub poisons: Option<u64>,
    /// Whether its results are pushed to destinations, each with a fault of its own.
    pub pushed: bool,
    /// What is played in place of uploads and a fault beside them.
    pub whole: Option<Whole>,
}

/// A row that sends and judges by itself.
pub type Whole = for<'m> fn(&'m mut Mesh, Play) -> BoxFuture<'m, anyhow::Result<Judged>>;

/// What happens while the uploads come.
pub type Fault = for<'m> fn(&'m mut Mesh, Stage) -> BoxFuture<'m, anyhow::Result<()>>;

/// What a fault may know of the row that it is in.
#[derive(Clone, Copy)]
pub struct Stage {
    /// How many scans there were before.
    pub before: usize,
    pub play: Play,
}

/// Every row that can be played here.
pub fn all() -> Vec<Row> {
    let mut rows = among_services();
    rows.extend(of_doors());
    rows.extend(of_data());
    rows.extend(of_models());
    if servers::folder().is_some() {
        rows.extend(of_servers());
    }
    rows
}

/// The row whose name begins like that.
pub fn named(start: &str) -> anyhow::Result<Row> {
    all().into_iter().find(|row| row.name.starts_with(start)).with_context(|| start.to_owned())
}

/// A row in which each scan must come to its patient's lesion.
fn row(name: &'static str, fault: Fault) -> Row {
    Row { name, fault, expected: Expected::Found, poisons: None, pushed: false, whole: None }
}

fn among_services() -> Vec<Row> {
    vec![
        row("P1 every part killed, one after another", |mesh, stage| {
            Box::pin(async move {
                for _ in 0..stage.play.rounds {
                    for index in 0..mesh.parts() {
                        wait(300).await;
                        mesh.kill(index);
                        wait(200).await;
                        mesh.restart(index)?;
                    }
                    if servers::folder().is_some() {
                        servers::kill("rabbit").await?;
                        servers::kill("mysql").await?;
                    }
                }
                Ok(())
            })
        }),
        row("P1 drift killed with news in its hands", |mesh, _| {
            Box::pin(async {
                let drift = mesh.parts_of("drift")[0];
                let slow = mesh.lock("drift", "observations").await?;
                wait(4_000).await;
                mesh.kill(drift);
                drop(slow);
                mesh.restart(drift)
            })
        }),
        row("P3 every service told to stop, one after another", |mesh, _| {
            Box::pin(async { roll_out(mesh).await })
        }),
        row("P5 a worker frozen for longer than its lease", |mesh, _| {
            Box::pin(async {
                // Volumes that come late keep jobs in hand.
                let faults = gcs::Faults { reads_late: ms(1_000), ..Default::default() };
                mesh.objects()?.fail(faults);
                let worker = until_one_works(mesh, 2).await?;
                mesh.freeze(worker, true)?;
                mesh.objects()?.fail(gcs::Faults::default());
                wait(5_000).await;
                mesh.freeze(worker, false)?;
                // It hands in what others have done since.
                wait(3_000).await;
                Ok(())
            })
        }),
        row("P7 the next version's tables, and every service restarted", |mesh, _| {
            Box::pin(async {
                for service in ["storage", "drift"] {
                    let table = if service == "storage" { "scans" } else { "observations" };
                    let add = format!(
                        "ALTER TABLE {table} ADD COLUMN later VARCHAR(9) NOT NULL DEFAULT ''"
                    );
                    mesh.execute(service, &add).await?;
                    let applied = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                         VALUES (9000, 'later', TRUE, 'none', 0)";
                    mesh.execute(service, applied).await?;
                }
                roll_out(mesh).await
            })
        }),
        row("B1 the broker gone for five seconds", |mesh, _| {
            Box::pin(async {
                until_one_works(mesh, 1).await?;
                mesh.broker()?.gone_for(ms(5_000)).await;
                Ok(())
            })
        }),
        row("B2 the queue of waiting scans emptied", |mesh, _| {
            Box::pin(async {
                let workers = mesh.parts_of("inference");
                workers.iter().for_each(|worker| mesh.kill(*worker));
                wait(4_000).await;
                let emptied = mesh.purge("scan.ready").await?;
                ensure!(emptied > 0, "nothing waited: the row shows nothing");
                workers.iter().try_for_each(|worker| mesh.restart(*worker))
            })
        }),
        row("B5 the broker's confirms lost", |mesh, _| {
            Box::pin(async {
                mesh.broker()?.lose_replies(3, ms(700), ms(300)).await;
                Ok(())
            })
        }),
        row("B6 every message three times, in another order", |mesh, stage| {
            Box::pin(async move { repeat_messages(mesh, stage).await })
        }),
        row("N2 the broker's network gone dark", |mesh, _| {
            Box::pin(async {
                until_one_works(mesh, 1).await?;
                mesh.broker()?.dark_for(ms(12_000)).await;
                Ok(())
            })
        }),
        row("D1 the database gone for five seconds", |mesh, _| {
            Box::pin(async {
                mesh.database()?.gone_for(ms(5_000)).await;
                Ok(())
            })
        }),
        row("D2 the answers of commits lost", |mesh, _| {
            Box::pin(async {
                mesh.database()?.lose_replies(5, ms(200), ms(400)).await;
                Ok(())
            })
        }),
        row("N2 the database's network gone dark", |mesh, _| {
            Box::pin(async {
                mesh.database()?.dark_for(ms(3_000)).await;
                Ok(())
            })
        }),
        row("D6 every answer of the database 100 ms late", |mesh, _| {
            Box::pin(async {
                mesh.database()?.delay(ms(100));
                wait(4_000).await;
                mesh.database()?.delay(Duration::ZERO);
                Ok(())
            })
        }),
    ]
}

/// At the hospital's doors: what comes instance by instance, and what leaves.
fn of_doors() -> Vec<Row> {
    vec![
        Row {
            whole: Some(|mesh, play| Box::pin(doors::stored_and_killed(mesh, play))),
            ..row("P1 ingest killed between an instance's success and its scan", |_, _| {
                Box::pin(async { Ok(()) })
            })
        },
        Row {
            whole: Some(|mesh, play| Box::pin(doors::sent_and_killed(mesh, play))),
            ..row("P1 the DICOM door killed before its study is whole", |_, _| {
                Box::pin(async { Ok(()) })
            })
        },
        Row {
            whole: Some(|mesh, play| Box::pin(doors::sent_and_archived(mesh, play))),
            ..row("X1 archives away, slow and of half a mind, delivery killed", |_, _| {
                Box::pin(async { Ok(()) })
            })
        },
        Row {
            pushed: true,
            ..row("X1 destinations away, slow and of half a mind, delivery killed", |mesh, _| {
                Box::pin(async {
                    let delivery = mesh.parts_of("delivery")[0];
                    for _ in 0..2 {
                        wait(3_000).await;
                        mesh.kill(delivery);
                        mesh.restart(delivery)?;
                    }
                    // As if the leases of the attempts that were killed had passed: they are longer than anybody waits here.
                    wait(2_000).await;
                    mesh.execute("delivery", "UPDATE deliveries SET leased_until_ms = 0").await
                })
            })
        },
        Row {
            pushed: true,
            ..row("B6 news of results three times, where they are pushed", |mesh, stage| {
                Box::pin(async move { repeat_messages(mesh, stage).await })
            })
        },
    ]
}

fn of_data() -> Vec<Row> {
    vec![
        row("S1 half of the object store's answers 503", |mesh, _| {
            Box::pin(async {
                let faults = gcs::Faults { unavailable_percent: 50, ..Default::default() };
                mesh.objects()?.fail(faults);
                wait(4_000).await;
                mesh.objects()?.fail(gcs::Faults::default());
                Ok(())
            })
        }),
        row("S2 the answers to clients lost", |mesh, _| {
            Box::pin(async {
                mesh.front()?.lose_replies(5, ms(300), ms(300)).await;
                Ok(())
            })
        }),
        row("S2 transfers to and from the store cut", |mesh, _| {
            Box::pin(async {
                let faults = gcs::Faults {
                    uploads_cut: 20,
                    reads_cut: 20,
                    answers_lost: 20,
                    ..Default::default()
                };
                mesh.objects()?.fail(faults);
                wait(3_000).await;
                mesh.objects()?.fail(gcs::Faults::default());
                Ok(())
            })
        }),
        Row {
            expected: Expected::Answer("failed", "the stored scan is damaged"),
            ..row("S3 a bit of each stored volume flipped", |mesh, stage| {
                Box::pin(async move {
                    let workers = mesh.parts_of("inference");
                    workers.iter().for_each(|worker| mesh.kill(*worker));
                    until(mesh, stage, "scans").await?;
                    let volumes =
                        "SELECT blob_key, 0 FROM artefacts JOIN jobs USING (tenant_id, scan_id)
                         WHERE name = 'volume' AND jobs.state <> 'done'";
                    for (key, _) in mesh.ask("storage", volumes).await? {
                        mesh.objects()?.flip(&key)?;
                    }
                    workers.iter().try_for_each(|worker| mesh.restart(*worker))
                })
            })
        },
    ]
}

fn of_models() -> Vec<Row> {
    vec![
        Row {
            expected: Expected::Answer("failed", "is no probability"),
            ..row("G6 a model that says NaN", |mesh, stage| {
                Box::pin(async move { with_model(mesh, stage, "stub:?fault=nan").await })
            })
        },
        Row {
            expected: Expected::Answer("failed", "has the wrong shape"),
            ..row("G6 a model that says too little", |mesh, stage| {
                Box::pin(async move { with_model(mesh, stage, "stub:?fault=short").await })
            })
        },
        Row {
            expected: Expected::PoisonFails,
            poisons: Some(12),
            ..row("B9 scans that no worker survives among the others", |mesh, stage| {
                Box::pin(async move {
                    let storage = mesh.parts_of("storage")[0];
                    mesh.set("storage", "attempts-max", "3");
                    mesh.renew(storage)?;
                    with_model(mesh, stage, "stub:?fault=abort").await?;
                    mesh.set("storage", "attempts-max", "20");
                    mesh.renew(storage)
                })
            })
        },
    ]
}

/// Those that need the servers themselves.
fn of_servers() -> Vec<Row> {
    vec![
        row("B1 the broker killed", |_, _| Box::pin(servers::kill("rabbit"))),
        row("B4 the broker low on memory for eight seconds", |_, _| {
            Box::pin(async {
                servers::administer("rabbitmqctl", &["set_vm_memory_high_watermark", "0.00001"])?;
                wait(8_000).await;
                servers::administer("rabbitmqctl", &["set_vm_memory_high_watermark", "0.4"])
            })
        }),
        row("D1 the database killed", |_, _| Box::pin(servers::kill("mysql"))),
        row("D5 the database read-only for five seconds", |_, _| {
            Box::pin(async {
                servers::administer("mariadb", &["-e", "SET GLOBAL read_only = 1"])?;
                wait(5_000).await;
                servers::administer("mariadb", &["-e", "SET GLOBAL read_only = 0"])
            })
        }),
    ]
}
