//! Compares the latency of a whole upload with the network alone: both in one run, because machines differ.

mod batches;
mod network;
mod process;
mod tiles;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use imaging::phantom::{Phantom, Settings};
use imaging::slice_png;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::batches::Batches;
use self::network::{NetworkOnly, median};
use crate::models;

const ANALYSIS_TIMEOUT: Duration = Duration::from_secs(300);

/// `medseg bench`
#[derive(clap::Args)]
pub struct Bench {
    /// The weights file; without it, the model that came with this program.
    #[arg(long, env)]
    model: Option<PathBuf>,

    /// Where the network runs: `auto`, `cpu`, `openvino` (the processor, faster) or `cuda:N`.
    #[arg(long, env, default_value = "auto")]
    device: String,

    /// How many scans are sent one after another; with `--network-only`, how often each batch is predicted.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..))]
    scans: u64,

    /// How many clients send scans side by side.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    clients: u64,

    #[command(flatten)]
    batches: Batches,
}

impl Bench {
    pub fn run(self) -> anyhow::Result<()> {
        let model = self.model.clone().map_or_else(models::shipped, Ok)?;
        if self.batches.network_only {
            return self.batches.run(&model, &self.device, self.scans);
        }
        let network_only = NetworkOnly::measure(&model, &self.device, self.scans)?;
        let end_to_end = tokio::runtime::Runtime::new()?
            .block_on(self.whole_way(&model, network_only.best_batch))?;
        print_table(&network_only, &end_to_end);
        Ok(())
    }

    async fn whole_way(&self, model: &Path, batch: usize) -> anyhow::Result<EndToEnd> {
        let server = Server::start(model, &self.device, batch)?;
        let client = server.sign_in().await?;
        // The first scans warm caches, allocators and connections.
        for seed in 0..3 {
            client.analyse(png(seed)?).await?;
        }
        let mut latencies = Vec::new();
        for seed in 0..self.scans {
            let png = png(seed)?;
            let start = Instant::now();
            client.analyse(png).await?;
            latencies.push(start.elapsed());
        }
        let throughput = self.throughput(&client).await?;
        Ok(EndToEnd { latency: median(latencies), throughput })
    }

    /// Scans per second with all clients at once, each sending its next scan when it has the answer to its last.
    async fn throughput(&self, client: &Gateway) -> anyhow::Result<f64> {
        let each = (self.scans * 4).div_ceil(self.clients);
        let pngs = (0..self.clients).map(png).collect::<anyhow::Result<Vec<_>>>()?;
        let start = Instant::now();
        let mut clients = JoinSet::new();
        for png in pngs {
            let client = client.clone();
            clients.spawn(async move {
                for _ in 0..each {
                    client.analyse(png.clone()).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        Ok((each * self.clients) as f64 / start.elapsed().as_secs_f64())
    }
}

/// The times from upload to result.
struct EndToEnd {
    latency: Duration,
    throughput: f64,
}

fn print_table(network_only: &NetworkOnly, end_to_end: &EndToEnd) {
    let ms = |time: Duration| 1000.0 * time.as_secs_f64();
    let allowed = 1.25 * ms(network_only.forward) + 10.0;
    println!("| what | bare network | whole way | ratio | asked |");
    println!("|---|--:|--:|--:|--:|");
    println!(
        "| one 256 x 256 PNG, upload to result, median ms | {:.1} | {:.1} | {:.2} | <= {:.2} (1.25 x + 10 ms) |",
        ms(network_only.forward),
        ms(end_to_end.latency),
        ms(end_to_end.latency) / ms(network_only.forward),
        allowed / ms(network_only.forward),
    );
    println!(
        "| side by side, scans/s (bare: batches of {}) | {:.2} | {:.2} | {:.2} | >= 0.80 |",
        network_only.best_batch,
        network_only.throughput,
        end_to_end.throughput,
        end_to_end.throughput / network_only.throughput,
    );
    println!("\nmodel: {}", network_only.facts);
}

/// `medseg serve` in a process and a directory of its own.
struct Server {
    process: Child,
    url: String,
    password: String,
    _data: tempfile::TempDir,
}

impl Server {
    fn start(model: &Path, device: &str, batch: usize) -> anyhow::Result<Server> {
        let data = tempfile::tempdir()?;
        let password = domain::hex(&service::system_random().bytes::<16>());
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen=127.0.0.1:0", "--log=error"])
            .arg(format!("--data={}", data.path().display()))
            .arg(format!("--model-url={}", model.display()))
            .args([format!("--device={device}"), format!("--batch={batch}")])
            .env("FIRST_PASSWORD", &password)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdout = BufReader::new(process.stdout.take().context("a piped output")?);
        for line in stdout.by_ref().lines() {
            let line = line?;
            if let Some(url) = line.strip_prefix("medseg answers on ") {
                let url = url.to_owned();
                // Read to the end: a full pipe would stop it.
                std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
                return Ok(Server { process, url, password, _data: data });
            }
        }
        let mut said = String::new();
        process.stderr.take().context("a piped output")?.read_to_string(&mut said)?;
        bail!("medseg serve does not start: {}", said.trim().trim_start_matches("error: "))
    }

    async fn sign_in(&self) -> anyhow::Result<Gateway> {
        let http = Client::new();
        let form =
            json!({ "grant_type": "password", "username": "admin", "password": self.password });
        let answer = http.post(format!("{}/v1/token", self.url)).json(&form).send().await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        let token = answer["access_token"].as_str().context("an access token")?.to_owned();
        Ok(Gateway { http, url: self.url.clone(), token })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The directory goes with it; there is nothing to drain.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Clone)]
struct Gateway {
    http: Client,
    url: String,
    token: String,
}

impl Gateway {
    /// Uploads a scan, follows its events to the end, and reads the result.
    async fn analyse(&self, png: Vec<u8>) -> anyhow::Result<()> {
        let upload = self.http.post(format!("{}/v1/scans", self.url)).bearer_auth(&self.token);
        let scan: Value = upload.body(png).send().await?.error_for_status()?.json().await?;
        let path = format!("{}/v1/scans/{}", self.url, scan["id"].as_str().context("an id")?);
        let events = self.http.get(format!("{path}/events")).bearer_auth(&self.token);
        // The stream ends with the answer.
        tokio::time::timeout(ANALYSIS_TIMEOUT, events.send().await?.error_for_status()?.bytes())
            .await??;
        let result = self.http.get(format!("{path}/result")).bearer_auth(&self.token);
        let result: Value = result.send().await?.error_for_status()?.json().await?;
        if result["answer"] != "found" && result["answer"] != "none_found" {
            bail!("the scan was not analysed: {result}");
        }
        Ok(())
    }
}

fn png(seed: u64) -> anyhow::Result<Vec<u8>> {
    Ok(slice_png(&Phantom::new(&Settings::slice(seed))?.volume, 0)?)
}
