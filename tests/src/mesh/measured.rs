use anyhow::Context;

use super::{Mesh, Options};

const SERVICES: [&str; 8] =
    ["auth", "storage", "ingest", "registry", "drift", "delivery", "gateway", "inference"];

/// What measurements ask of a mesh, beside what stories do.
impl Mesh {
    /// One process per service, `workers` of inference, all told `options`.
    pub async fn told(queue: &str, workers: usize, options: &Options) -> anyhow::Result<Mesh> {
        let server = std::env::var("TEST_MYSQL_URL").context("TEST_MYSQL_URL names no server")?;
        let more = std::iter::repeat_n("inference", workers.saturating_sub(1));
        let services: Vec<_> = SERVICES.into_iter().chain(more).collect();
        Mesh::start(queue, Some(&server), &services, options).await
    }

    /// Each process with its service's name and its id, also those that are stopped.
    pub fn processes(&self) -> Vec<(&'static str, u32)> {
        self.parts.iter().map(|part| (part.service, part.process.id())).collect()
    }

    /// Where that process answers probes.
    pub fn probes(&self, part: usize) -> anyhow::Result<String> {
        let probes =
            self.parts[part].arguments.iter().find_map(|told| told.strip_prefix("--probes="));
        Ok(format!("http://{}", probes.context("a process that is probed")?))
    }
}
