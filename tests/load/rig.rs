use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;
use tests::mesh::{Mesh, Options};
use tokio::time::sleep;

use crate::load::Rate;
use crate::uploader::Uploader;

const SERVICES: [&str; 8] =
    ["auth", "storage", "ingest", "registry", "drift", "delivery", "gateway", "inference"];
const LOOK: Duration = Duration::from_millis(20);
/// Nothing is done for so long: something is broken.
const STILL: Duration = Duration::from_secs(60);

/// A mesh that is measured. Its objects are files, flushed before anything is accepted: the double of the object store
/// flushes nothing.
pub struct Rig {
    pub mesh: Mesh,
    http: reqwest::Client,
    workers: Vec<usize>,
    running: usize,
    objects: TempDir,
}

impl Rig {
    /// A mesh whose workers look with `engine`; none of them runs yet. It makes no traces.
    pub async fn start(workers: usize, engine: &str, options: Options) -> anyhow::Result<Rig> {
        let silent = |options: Options, service| options.tell(service, "otlp-endpoint", "");
        Rig::traced(workers, engine, SERVICES.into_iter().fold(options, silent)).await
    }

    /// The same with traces, to the mesh's own collector.
    pub async fn traced(workers: usize, engine: &str, options: Options) -> anyhow::Result<Rig> {
        let queue = std::env::var("TEST_AMQP_URL").context("TEST_AMQP_URL names no broker")?;
        let objects = tempfile::tempdir()?;
        let folder = format!("file://{}", objects.path().display());
        let options = options.tell("storage", "blob-url", folder);
        let options = options.tell("inference", "model-url", engine);
        let mesh = Mesh::told(&queue, workers, &options).await?;
        let workers = mesh.parts_of("inference");
        let running = workers.len();
        let http = reqwest::Client::new();
        let mut rig = Rig { mesh, http, workers, running, objects };
        rig.stop_workers()?;
        Ok(rig)
    }

    /// Whoever uploads, after one first upload: a tenant's chain of audit entries begins with it, and several that
    /// began it at once would be told to come again.
    pub async fn uploader(&self) -> anyhow::Result<Uploader> {
        let uploader = Uploader::new(self.mesh.client().await?, &self.mesh.password);
        uploader.queue("first", 0).await?;
        Ok(uploader)
    }

    /// Ends it. Its objects stay for as long as what is returned: thousands of files that are deleted at once slow down whoever
    /// makes new ones on the same disk.
    pub fn end(self) -> TempDir {
        self.objects
    }

    pub fn start_workers(&mut self, count: usize) -> anyhow::Result<()> {
        for worker in &self.workers[..count] {
            self.mesh.restart(*worker)?;
        }
        self.running = count;
        Ok(())
    }

    /// What they have in hand is finished.
    pub fn stop_workers(&mut self) -> anyhow::Result<()> {
        let running = std::mem::take(&mut self.running);
        self.workers[..running].iter().try_for_each(|worker| self.mesh.stop(*worker))
    }

    /// Waits until the workers have ended so many jobs since they were started; answers how fast they were after
    /// the first tenth.
    pub async fn drain(&self, jobs: u64) -> anyhow::Result<Rate> {
        let begun = self.until_done(jobs / 10).await?;
        let ended = self.until_done(jobs).await?;
        Ok(Rate::between(begun, ended))
    }

    async fn until_done(&self, jobs: u64) -> anyhow::Result<(u64, Instant)> {
        let (mut last, mut moved) = (0, Instant::now());
        loop {
            let (done, now) = (self.done().await?, Instant::now());
            if done >= jobs {
                return Ok((done, now));
            }
            if done > last {
                (last, moved) = (done, now);
            }
            if moved.elapsed() > STILL {
                bail!("{done} of {jobs} jobs are done, and nothing moves");
            }
            sleep(LOOK).await;
        }
    }

    /// How many jobs the running workers have ended with an answer.
    async fn done(&self) -> anyhow::Result<u64> {
        let mut done = 0;
        for worker in &self.workers[..self.running] {
            let asked =
                self.http.get(format!("{}/metrics", self.mesh.probes(*worker)?)).send().await;
            // One that has just been started does not answer yet.
            let Ok(answer) = asked else { continue };
            done += answered(&answer.text().await?);
        }
        Ok(done)
    }
}

/// The jobs that ended with an answer, in the text of `/metrics`.
fn answered(metrics: &str) -> u64 {
    let jobs = metrics.lines().filter_map(|line| line.strip_prefix("medseg_inference_jobs_total"));
    let answers = jobs.filter(|line| line.contains("found\""));
    answers.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
