//! medseg as its operators run it: one process, or one process per service.

use std::path::Path;

use anyhow::Context;
use tempfile::TempDir;

use crate::client::{Client, ready};
use crate::process::{Process, free_port};

/// What a running medseg is to a story.
pub struct Mesh {
    pub url: String,
    pub password: String,
    processes: Vec<Process>,
    pub data: TempDir,
}

impl Mesh {
    /// The administrator of the first tenant, signed in.
    pub async fn client(&self) -> anyhow::Result<Client> {
        Client::sign_in(&self.url, "admin", &self.password).await
    }

    /// `medseg serve` on one directory.
    pub async fn one_process() -> anyhow::Result<Mesh> {
        let one = OneProcess::start().await?;
        Ok(Mesh {
            url: one.url,
            password: one.password,
            processes: vec![one.process],
            data: one.data,
        })
    }

    /// One process per service, on sockets and the broker at `queue`.
    ///
    /// Databases are made on the server that `TEST_MYSQL_URL` names, or else in files.
    pub async fn one_process_each(queue: &str) -> anyhow::Result<Mesh> {
        let data = tempfile::tempdir()?;
        let services = ["auth", "storage", "ingest", "inference", "drift", "gateway"];
        let mut address = std::collections::BTreeMap::new();
        for service in services {
            address.insert(service, format!("127.0.0.1:{}", free_port()?));
        }
        let url = |service: &str| format!("http://{}", address[service]);
        let secret = "the secret that the workers of this test sign in with".to_owned();
        let option = |name: &str, value: String| format!("--{name}={value}");

        let mut processes = Vec::new();
        for service in services {
            let mut arguments = vec![option("listen", address[service].clone())];
            let mut say = |name: &str, value: String| arguments.push(option(name, value));
            if ["auth", "storage", "drift"].contains(&service) {
                say("database-url", database_url(service, data.path()).await?);
            }
            if ["storage", "inference", "drift"].contains(&service) {
                say("queue-url", queue.to_owned());
            }
            if service != "auth" {
                say("auth-url", url("auth"));
            }
            if ["ingest", "inference", "gateway"].contains(&service) {
                say("storage-url", url("storage"));
            }
            if ["auth", "inference"].contains(&service) {
                say("service-secret", secret.clone());
            }
            match service {
                "auth" => say("signing-key", data.path().join("key.pem").display().to_string()),
                "storage" => say("blob-url", format!("file://{}/objects", data.path().display())),
                "ingest" => say("spool", data.path().join("spool").display().to_string()),
                "inference" => say("model-url", "threshold:".to_owned()),
                "gateway" => {
                    say("ingest-url", url("ingest"));
                    say("drift-url", url("drift"));
                }
                _ => (),
            }
            let log = data.path().join(format!("{service}.log"));
            // Only the first start of auth says anything on standard output.
            let ready = (service == "auth").then_some("First start");
            processes.push(Process::start(service, &arguments, &log, ready)?);
        }
        for service in services {
            ready(&url(service))
                .await
                .with_context(|| format!("{service} in {}", data.path().display()))?;
        }
        let password = password(&processes[0].said)?;
        Ok(Mesh { url: url("gateway"), password, processes, data })
    }

    /// Stops everything as an orchestrator would; each process must end well.
    pub fn terminate(self) -> anyhow::Result<()> {
        self.processes.into_iter().rev().try_for_each(Process::terminate)
    }
}

/// `medseg serve` that can be killed and started again on the same directory.
pub struct OneProcess {
    pub url: String,
    pub password: String,
    process: Process,
    data: TempDir,
}

impl OneProcess {
    pub async fn start() -> anyhow::Result<OneProcess> {
        let data = tempfile::tempdir()?;
        let process = serve(data.path())?;
        let password = password(&process.said)?;
        Ok(OneProcess { url: address(&process)?, password, process, data })
    }

    pub async fn client(&self) -> anyhow::Result<Client> {
        Client::sign_in(&self.url, "admin", &self.password).await
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.process = serve(self.data.path())?;
        self.url = address(&self.process)?;
        Ok(())
    }
}

fn serve(data: &Path) -> anyhow::Result<Process> {
    let arguments = [
        "serve".to_owned(),
        format!("--data={}", data.join("home").display()),
        "--listen=127.0.0.1:0".to_owned(),
        "--model-url=threshold:".to_owned(),
    ];
    Process::start("medseg", &arguments, &data.join("medseg.log"), Some("medseg answers on "))
}

fn address(process: &Process) -> anyhow::Result<String> {
    let line = process.said.last().context("a last line")?;
    Ok(line.strip_prefix("medseg answers on ").context("the address")?.to_owned())
}

/// The first administrator's, printed once by the first start.
fn password(said: &[String]) -> anyhow::Result<String> {
    let line = said.iter().find_map(|line| line.split_once(" the password "));
    let (_, password) = line.with_context(|| format!("no password in {said:?}"))?;
    Ok(password.trim().to_owned())
}

/// A database of its own for each service and each mesh.
async fn database_url(service: &str, data: &Path) -> anyhow::Result<String> {
    let Ok(server) = std::env::var("TEST_MYSQL_URL") else {
        return Ok(format!("sqlite://{}/{service}.db?mode=rwc", data.display()));
    };
    sqlx::any::install_default_drivers();
    let name = format!("medseg_e2e_{}_{service}", std::process::id());
    let pool = sqlx::AnyPool::connect(&server).await?;
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await?;
    let (root, _) = server.rsplit_once('/').context("a database in TEST_MYSQL_URL")?;
    Ok(format!("{root}/{name}"))
}
