//! medseg as its operators run it: one process, or one process per service.

mod certificates;
mod faulty;
mod measured;
mod one_process;
mod options;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use gcs::Double;
use tempfile::TempDir;

use crate::client::{Client, ready};
use crate::collector::Collector;
use crate::process::{Process, free_port};

use faulty::Proxies;
pub use faulty::{SEEDED_BUG, seeded};
pub use one_process::OneProcess;
pub use options::Options;

/// What a running medseg is to a story.
pub struct Mesh {
    pub url: String,
    pub password: String,
    parts: Vec<Part>,
    /// Where the separate services keep objects.
    objects: Option<Double>,
    /// The services' databases, around any proxy.
    databases: BTreeMap<&'static str, String>,
    /// The bug that every process has on purpose, if any.
    bug: Option<&'static str>,
    /// The ways to the broker and to the database, where faults are to happen on them.
    proxies: Option<Proxies>,
    /// Held while it uses the broker: two meshes on one broker would take each other's messages.
    _turn: Option<File>,
    /// Where it sends its traces.
    pub collector: Collector,
    /// The names of its programs that have a part in every scan.
    pub programs: Vec<&'static str>,
    pub data: TempDir,
}

impl Mesh {
    /// The administrator of the first tenant, signed in.
    pub async fn client(&self) -> anyhow::Result<Client> {
        Client::sign_in(&self.url, "admin", &self.password).await
    }

    /// `medseg serve` on one directory.
    pub async fn one_process() -> anyhow::Result<Mesh> {
        let collector = Collector::start().await?;
        let one = OneProcess::traced(Some(&collector.url)).await?;
        Ok(Mesh {
            url: one.url,
            password: one.password,
            parts: vec![Part::of("medseg", one.process)],
            objects: None,
            databases: BTreeMap::new(),
            bug: None,
            proxies: None,
            _turn: None,
            collector,
            programs: vec!["medseg"],
            data: one.data,
        })
    }

    /// One process per service, on sockets, the broker at `queue`, and a double of Google Cloud Storage.
    ///
    /// Databases are made on the server that `TEST_MYSQL_URL` names, or else in files.
    pub async fn one_process_each(queue: &str) -> anyhow::Result<Mesh> {
        let server = std::env::var("TEST_MYSQL_URL").ok();
        let services =
            ["auth", "storage", "ingest", "registry", "inference", "drift", "delivery", "gateway"];
        Mesh::start(queue, server.as_deref(), &services, &Options::default()).await
    }

    async fn start(
        queue: &str,
        server: Option<&str>,
        services: &[&'static str],
        options: &Options,
    ) -> anyhow::Result<Mesh> {
        let turn = Some(turn().await?);
        let data = tempfile::tempdir()?;
        let objects = Double::start("medseg", &data.path().join("objects")).await?;
        let collector = Collector::start().await?;
        let (mut address, mut databases) = (BTreeMap::new(), BTreeMap::new());
        for service in services {
            address.insert(*service, format!("127.0.0.1:{}", free_port()?));
        }
        let scheme = if options.mutual { "https" } else { "http" };
        let url = |service: &str| format!("{scheme}://{}", address[service]);
        if options.mutual {
            certificates::sign(data.path(), services)?;
        }
        let secret = "the secret that the workers of this test sign in with".to_owned();
        let delivery_secret = "the secret that delivery alone signs in with here".to_owned();
        let gateway_secret = "the secret that the gateway alone shows to auth".to_owned();
        let option = |name: &str, value: String| format!("--{name}={value}");

        let mut parts: Vec<Part> = Vec::new();
        for &service in services {
            let mut listen = address[service].clone();
            if parts.iter().any(|part| part.service == service) {
                // Of several workers the first is called, but each listens.
                listen = format!("127.0.0.1:{}", free_port()?);
            }
            let probed = format!("127.0.0.1:{}", free_port()?);
            let mut arguments = vec![option("listen", listen), option("probes", probed.clone())];
            if options.mutual {
                for (name, file) in certificates::files(data.path(), service) {
                    arguments.push(option(name, file.display().to_string()));
                }
            }
            let mut say = |name: &str, value: String| {
                if !options.tells(service, name) {
                    arguments.push(option(name, value));
                }
            };
            say("otlp-endpoint", collector.url.clone());
            if ["auth", "storage", "drift", "delivery", "registry"].contains(&service) {
                let url = database_url(server, service, data.path()).await?;
                databases.insert(service, url.clone());
                say("database-url", url);
            }
            if ["storage", "inference", "drift", "delivery", "registry"].contains(&service) {
                say("queue-url", queue.to_owned());
            }
            if service != "auth" {
                say("auth-url", url("auth"));
            }
            if ["ingest", "inference", "delivery", "gateway"].contains(&service) {
                say("storage-url", url("storage"));
            }
            if ["auth", "ingest", "inference", "drift", "storage"].contains(&service) {
                say("service-secret", secret.clone());
            }
            if ["auth", "gateway"].contains(&service) {
                say("gateway-secret", gateway_secret.clone());
            }
            if ["auth", "delivery"].contains(&service) {
                say("delivery-secret", delivery_secret.clone());
            }
            match service {
                "auth" => {
                    say("signing-key", data.path().join("key.pem").display().to_string());
                    say("first-password", FIRST_PASSWORD.to_owned());
                }
                "storage" => {
                    say("blob-url", objects.url());
                    say("data-keys-url", data_keys(data.path())?);
                    say("registry-url", url("registry"));
                }
                "registry" => {
                    say("blob-url", format!("file://{}/models", data.path().display()));
                    say("model-key", data.path().join("model-key.pem").display().to_string());
                }
                // Receivers of tests are on this machine.
                "delivery" => say("delivery-networks", "127.0.0.0/8".to_owned()),
                "ingest" => {
                    say("spool", data.path().join("spool").display().to_string());
                    say("inference-url", url("inference"));
                }
                "inference" => {
                    say("model-url", "threshold:".to_owned());
                    say("worker", worker_name(parts.len()));
                }
                "gateway" => {
                    say("ingest-url", url("ingest"));
                    say("drift-url", url("drift"));
                    say("delivery-url", url("delivery"));
                    say("registry-url", url("registry"));
                }
                _ => (),
            }
            if service == "inference" {
                arguments.push("--research".to_owned());
            }
            arguments.extend(options.arguments(service));
            let log = data.path().join(format!("{service}.log"));
            // Only the first start of auth says anything on standard output.
            let said = (service == "auth").then_some("First start");
            let process = Process::start(service, &arguments, &log, said)?;
            ready(&format!("http://{probed}"))
                .await
                .with_context(|| format!("{service} in {}", data.path().display()))?;
            parts.push(Part { service, arguments, log, process });
        }
        let password = FIRST_PASSWORD.to_owned();
        let (url, objects) = (format!("http://{}", address["gateway"]), Some(objects));
        // Auth has no part in a scan.
        let programs = vec!["drift", "gateway", "inference", "ingest", "storage"];
        Ok(Mesh {
            url,
            password,
            parts,
            objects,
            databases,
            bug: None,
            proxies: None,
            _turn: turn,
            collector,
            programs,
            data,
        })
    }

    /// The database of its accounts.
    pub fn accounts_url(&self) -> String {
        let at_home = || format!("sqlite://{}/home/auth.db", self.data.path().display());
        self.databases.get("auth").cloned().unwrap_or_else(at_home)
    }

    /// Where the objects of its scans lie as files.
    pub fn objects_folder(&self) -> PathBuf {
        let folder = if self.objects.is_some() { "objects" } else { "home/objects" };
        self.data.path().join(folder)
    }

    /// How many processes it has; [`kill`](Mesh::kill) and the others take their places.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The places of that service's processes.
    pub fn parts_of(&self, service: &str) -> Vec<usize> {
        (0..self.parts.len()).filter(|part| self.parts[*part].service == service).collect()
    }

    pub fn kill(&mut self, part: usize) {
        self.parts[part].process.kill();
    }

    /// Stops a process as an orchestrator would.
    pub fn stop(&mut self, part: usize) -> anyhow::Result<()> {
        let Part { service, process, .. } = &mut self.parts[part];
        process.terminate().with_context(|| (*service).to_owned())
    }

    pub fn restart(&mut self, part: usize) -> anyhow::Result<()> {
        let Part { service, arguments, log, process } = &mut self.parts[part];
        *process = Process::start_through(&seeded(self.bug), service, arguments, log, None)?;
        Ok(())
    }

    /// Stops a process as an orchestrator would, and starts it anew.
    pub fn renew(&mut self, part: usize) -> anyhow::Result<()> {
        self.stop(part)?;
        self.restart(part)
    }

    /// Stops everything as an orchestrator would; each process must end well.
    pub fn terminate(self) -> anyhow::Result<()> {
        self.parts.into_iter().rev().try_for_each(|mut part| part.process.terminate())
    }
}

/// The broker that stories may use; none, and it says so, where `TEST_AMQP_URL` names none.
pub fn broker() -> Option<String> {
    let named = std::env::var("TEST_AMQP_URL").ok();
    if named.is_none() {
        println!("skipped: TEST_AMQP_URL names no broker");
    }
    named
}

/// What the worker in that place is called in its jobs.
fn worker_name(part: usize) -> String {
    format!("worker-{part}")
}

/// Waits until no other mesh uses the broker, in this process or another.
async fn turn() -> anyhow::Result<File> {
    let path = std::env::temp_dir().join("medseg-e2e-broker.lock");
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(path)?;
        file.lock()?;
        std::io::Result::Ok(file)
    });
    Ok(locked.await??)
}

/// A key ring of one key, as an operator mounts it.
fn data_keys(data: &Path) -> anyhow::Result<String> {
    let file = data.join("data-keys");
    platform::keys::make(&file, &service::system_random())?;
    Ok(format!("file://{}", file.display()))
}

/// One process of a mesh.
struct Part {
    service: &'static str,
    arguments: Vec<String>,
    log: PathBuf,
    process: Process,
}

impl Part {
    /// One that is never started again.
    fn of(service: &'static str, process: Process) -> Part {
        Part { service, arguments: Vec::new(), log: PathBuf::new(), process }
    }
}

/// The first administrator's, chosen by whoever starts it: one that is printed has to be changed first.
pub(crate) const FIRST_PASSWORD: &str = "the password that this test has chosen";

/// A database of its own for each service and each mesh, on that server or in a file.
async fn database_url(server: Option<&str>, service: &str, data: &Path) -> anyhow::Result<String> {
    let Some(server) = server else {
        return Ok(format!("sqlite://{}/{service}.db?mode=rwc", data.display()));
    };
    sqlx::any::install_default_drivers();
    let mesh = data.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mesh: String = mesh.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("medseg_e2e_{}_{mesh}_{service}", std::process::id());
    let pool = sqlx::AnyPool::connect(server).await?;
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await?;
    let (root, _) = server.rsplit_once('/').context("a database in TEST_MYSQL_URL")?;
    Ok(format!("{root}/{name}"))
}
