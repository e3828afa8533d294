use anyhow::Context;
use gcs::Double;
use platform::queue::Queue;
use service::claims::{Epochs, Grant, Role, SigningKey};

use super::{Mesh, Options, worker_name};
use crate::client::Client;
use crate::proxy::Proxy;

/// The variable that names the bug which a process is to have, where it is built with the patches of `tests/seeded`.
pub const SEEDED_BUG: &str = "MEDSEG_SEEDED_BUG";

pub(super) struct Proxies {
    broker: Proxy,
    /// The broker itself.
    queue: String,
    database: Proxy,
    /// Before the gateway: clients come through it.
    front: Proxy,
}

/// What is done to a mesh, and looked at behind its back.
impl Mesh {
    /// The same with two workers and short leases, with faults on the ways to the broker, the database and the object
    /// store.
    pub async fn through_proxies(queue: &str) -> anyhow::Result<Mesh> {
        let server = std::env::var("TEST_MYSQL_URL").context("TEST_MYSQL_URL names no server")?;
        let (broker, proxied) = Proxy::before(queue, 5672).await?;
        let (database, proxied_server) = Proxy::before(&server, 3306).await?;
        let services = [
            "auth",
            "storage",
            "ingest",
            "registry",
            "inference",
            "inference",
            "drift",
            "delivery",
            "gateway",
        ];
        let quick = [("lease-s", "3"), ("sweep-s", "1"), ("attempts-max", "20")];
        let quick = quick
            .into_iter()
            .fold(Options::default(), |quick, (name, value)| quick.tell("storage", name, value));
        let mut mesh = Mesh::start(&proxied, Some(&proxied_server), &services, &quick).await?;
        let (root, _) = server.rsplit_once('/').context("a database in TEST_MYSQL_URL")?;
        for url in mesh.databases.values_mut() {
            let (_, name) = url.rsplit_once('/').context("a database's name")?;
            *url = format!("{root}/{name}");
        }
        let gateway = mesh.url.trim_start_matches("http://").to_owned();
        let front = Proxy::start(&gateway).await?;
        mesh.url = format!("http://{}", front.address);
        mesh.proxies = Some(Proxies { broker, queue: queue.to_owned(), database, front });
        Ok(mesh)
    }

    /// Starts every process anew with that bug ([`SEEDED_BUG`]).
    pub fn seed(&mut self, bug: &'static str) -> anyhow::Result<()> {
        self.bug = Some(bug);
        (0..self.parts.len()).try_for_each(|part| self.renew(part))
    }

    /// Whether a process has come to where its bug is, and said so.
    pub fn has_met(&self, bug: &str) -> anyhow::Result<bool> {
        let line = format!("seeded bug: {bug}");
        for part in &self.parts {
            // One that was killed may have left half a character.
            let log = std::fs::read(&part.log)?;
            if String::from_utf8_lossy(&log).lines().any(|said| said.ends_with(&line)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Starts every process anew that has ended by itself, as an orchestrator does.
    pub fn revive(&mut self) -> anyhow::Result<()> {
        for part in 0..self.parts.len() {
            if self.parts[part].process.has_ended()? {
                self.restart(part)?;
            }
        }
        Ok(())
    }

    /// Gives the processes of `service` another value of an option, from their next start.
    pub fn set(&mut self, service: &str, option: &str, value: &str) {
        for part in self.parts.iter_mut().filter(|part| part.service == service) {
            part.arguments.retain(|argument| !argument.starts_with(&format!("--{option}=")));
            part.arguments.push(format!("--{option}={value}"));
        }
    }

    /// What a worker in that place is called in its jobs.
    pub fn worker(&self, part: usize) -> String {
        worker_name(part)
    }

    /// What the database of `service` says to a query for two columns: a text and a number.
    pub async fn ask(&self, service: &str, query: &str) -> anyhow::Result<Vec<(String, i64)>> {
        let pool = self.pool(service).await?;
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_all(&pool).await?)
    }

    /// Changes the database of `service` behind its back.
    pub async fn execute(&self, service: &str, statement: &str) -> anyhow::Result<()> {
        let pool = self.pool(service).await?;
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await?;
        Ok(())
    }

    /// Keeps everybody else from a table for as long as what is returned lives.
    pub async fn lock(&self, service: &str, table: &str) -> anyhow::Result<impl Send + use<>> {
        let mut connection = self.pool(service).await?.acquire().await?;
        let lock = sqlx::AssertSqlSafe(format!("LOCK TABLES {table} WRITE"));
        // The lock ends with the connection, which is not to go back to the pool.
        sqlx::raw_sql(lock).execute(&mut *connection).await?;
        Ok(connection.detach())
    }

    async fn pool(&self, service: &str) -> anyhow::Result<sqlx::AnyPool> {
        let url = self.databases.get(service).context("a service with a database")?;
        Ok(sqlx::AnyPool::connect(url).await?)
    }

    /// Stops a process where it is, or lets it go on: it does not know that time has passed.
    pub fn freeze(&self, part: usize, frozen: bool) -> anyhow::Result<()> {
        self.parts[part].process.signal(if frozen { "STOP" } else { "CONT" })
    }

    pub fn broker(&self) -> anyhow::Result<&Proxy> {
        Ok(&self.proxies.as_ref().context("no proxies")?.broker)
    }

    /// Empties the queue of that name; answers how many messages went.
    pub async fn purge(&self, topic: &str) -> anyhow::Result<u32> {
        let queue = &self.proxies.as_ref().context("no proxies")?.queue;
        Ok(platform::queue::testsuite::purge(queue, topic).await?)
    }

    /// The broker's queues, around the proxy.
    pub async fn queue(&self) -> anyhow::Result<Queue> {
        let queue = &self.proxies.as_ref().context("no proxies")?.queue;
        Ok(platform::queue::connect(queue).await?)
    }

    /// Somebody with every right at a hospital that has sent nothing.
    pub fn stranger(&self) -> anyhow::Result<Client> {
        // One process keeps its key at home.
        let (home, apart) = (self.data.path().join("home"), self.data.path().join("key.pem"));
        let path = if home.try_exists()? { home.join("signing-key.pem") } else { apart };
        let key = std::fs::read_to_string(path)?;
        let (clock, random) = (service::system_clock(), service::system_random());
        let tenant = domain::TenantId::new(&clock, &random);
        let (subject, name) = ("stranger".to_owned(), "stranger".to_owned());
        let (roles, scopes, epochs) = (vec![Role::Admin], Vec::new(), Epochs::default());
        let grant = Grant { subject, name, tenant, roles, scopes, epochs };
        let token = grant.sign(&SigningKey::from_pem(&key)?, clock.now_ms());
        Ok(Client::with_token(&self.url, token))
    }

    pub fn front(&self) -> anyhow::Result<&Proxy> {
        Ok(&self.proxies.as_ref().context("no proxies")?.front)
    }

    pub fn database(&self) -> anyhow::Result<&Proxy> {
        Ok(&self.proxies.as_ref().context("no proxies")?.database)
    }

    pub fn objects(&self) -> anyhow::Result<&Double> {
        self.objects.as_ref().context("no objects")
    }
}

/// What makes a process have that bug, to start it through.
pub fn seeded(bug: Option<&str>) -> Vec<String> {
    let setting = |bug| ["env".to_owned(), format!("{SEEDED_BUG}={bug}")];
    bug.into_iter().flat_map(setting).collect()
}
