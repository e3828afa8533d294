//! What the machine says of itself and of what runs on it.

use std::fs;

use anyhow::Context;

/// What figures depend on, in a line.
pub async fn facts() -> anyhow::Result<String> {
    let cores = std::thread::available_parallelism()?;
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model =
        processors.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let flush = flush_at_commit().await?;
    Ok(format!(
        "{cores} cores ({}), innodb_flush_log_at_trx_commit = {flush}",
        model.unwrap_or("unknown")
    ))
}

async fn flush_at_commit() -> anyhow::Result<String> {
    sqlx::any::install_default_drivers();
    let server = std::env::var("TEST_MYSQL_URL").context("TEST_MYSQL_URL names no server")?;
    let pool = sqlx::AnyPool::connect(&server).await?;
    let ask = "SELECT CAST(@@innodb_flush_log_at_trx_commit AS CHAR)";
    Ok(sqlx::query_scalar(ask).fetch_one(&pool).await?)
}

/// What a process has in memory; None when it is gone.
pub fn resident_mib(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

/// The private MariaDB and RabbitMQ, known by the ports in the URLs that `servers.sh` has given.
pub fn servers() -> anyhow::Result<Vec<(&'static str, u32)>> {
    let database = format!("--port={}", port("TEST_MYSQL_URL")?);
    let broker = format!("RABBITMQ_NODENAME=medseg{}@", port("TEST_AMQP_URL")?);
    let process = |name, word: &str| process(name, word).with_context(|| format!("no {name}"));
    Ok(vec![
        ("MariaDB", process("mariadbd", &database)?),
        ("RabbitMQ", process("beam.smp", &broker)?),
    ])
}

/// The port in the URL that the variable holds.
fn port(variable: &str) -> anyhow::Result<String> {
    let url = std::env::var(variable).with_context(|| format!("{variable} names no server"))?;
    let port = url.rsplit('/').nth(1).and_then(|server| server.rsplit(':').next());
    Ok(port.with_context(|| format!("no port in {variable}"))?.to_owned())
}

/// The process of that name with that word in its arguments or its environment.
fn process(name: &str, word: &str) -> Option<u32> {
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let mut ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|id| {
        let says = |what: &str, word: &str| {
            let text = fs::read(format!("/proc/{id}/{what}")).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(word)
        };
        says("comm", name) && (says("cmdline", word) || says("environ", word))
    })
}

/// The processors' time from here on.
pub struct Busy(Ticks);

struct Ticks {
    all: u64,
    idle: u64,
}

impl Busy {
    pub fn start() -> anyhow::Result<Busy> {
        Ok(Busy(Ticks::now()?))
    }

    /// How much of it was used so far, in percent of all processors.
    pub fn percent(&self) -> anyhow::Result<f64> {
        let now = Ticks::now()?;
        let (all, idle) = (now.all - self.0.all, now.idle - self.0.idle);
        Ok(100.0 * (1.0 - idle as f64 / all.max(1) as f64))
    }
}

impl Ticks {
    fn now() -> anyhow::Result<Ticks> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("a line for all processors")?;
        let ticks: Vec<u64> =
            line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
        // user, nice, system, idle, iowait, irq, softirq, steal; guests count among the users.
        let all = ticks.iter().take(8).sum();
        Ok(Ticks { all, idle: ticks.iter().skip(3).take(2).sum() })
    }
}
