use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::multipart::{Form, Part};
use tests::client::ready;
use tests::mesh::Options;
use tests::process::free_port;

use crate::Args;
use crate::figures::{Times, head};
use crate::load::side_by_side;
use crate::machine::Busy;
use crate::rig::Rig;
use crate::uploader::small_scans;

const PACKAGES: [&str; 4] =
    ["fastapi==0.165.0", "uvicorn==0.54.0", "python-multipart==0.0.34", "pillow==13.0.0"];
const CLIENTS: [usize; 2] = [8, 20];
/// Before a row is counted: threads, allocators and kernels find their shape.
const WARM: Duration = Duration::from_secs(5);

/// From upload to answer with the real network, beside a service of the usual kind with the same network.
pub async fn measure(args: &Args) -> anyhow::Result<()> {
    println!("## Beside FastAPI and PyTorch\n");
    let Some(python) = python()? else {
        println!("skipped: PyTorch could not be fetched");
        return Ok(());
    };
    head(&[
        "from upload to answer",
        "clients",
        "answers",
        "answers/s",
        "median ms",
        "p99 ms",
        "CPU %",
    ]);
    for (kind, name) in [("usual", "FastAPI, float32"), ("tuned", "FastAPI, bfloat16, folded")] {
        let service = FastApi::start(&python, kind).await?;
        for clients in CLIENTS {
            let service = service.asked.clone();
            row(args, name, clients, move |number| service.clone().predict(number)).await?;
        }
    }
    for workers in [1, 2] {
        let mut rig = Rig::start(workers, &network()?, Options::default()).await?;
        rig.start_workers(workers)?;
        let uploader = rig.uploader().await?;
        for clients in CLIENTS {
            let (uploader, run) = (uploader.clone(), format!("{clients}-clients"));
            let name = format!("medseg, {workers} of inference");
            row(args, &name, clients, move |number| {
                let (uploader, run) = (uploader.clone(), run.clone());
                async move { uploader.analyse(&run, number).await }
            })
            .await?;
        }
    }
    Ok(())
}

/// The Python that has what the other service needs; None where it cannot be had.
fn python() -> anyhow::Result<Option<String>> {
    let mut fetch = Command::new(in_workspace("scripts/pytorch.sh"));
    let fetched = fetch.args(PACKAGES).stderr(Stdio::inherit()).output()?;
    let python = String::from_utf8(fetched.stdout)?.trim().to_owned();
    Ok(fetched.status.success().then_some(python))
}

fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The model that ships.
fn network() -> anyhow::Result<String> {
    let weights = in_workspace("models/medseg-mr/weights.safetensors");
    Ok(format!("file://{}", weights.canonicalize()?.display()))
}

async fn row<F>(
    args: &Args,
    name: &str,
    clients: usize,
    work: impl Fn(u64) -> F + Clone + Send + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let begin = Instant::now() + WARM;
    let end = begin + Duration::from_secs(args.seconds);
    let busy = Busy::start()?;
    let done = side_by_side(clients, move |_| Instant::now() < end, work).await?;
    let percent = busy.percent()?;
    let counted = done.iter().filter(|done| (begin..end).contains(&done.at));
    let times = Times::new(counted.map(|done| done.took).collect());
    println!(
        "| {name} | {clients} | {} | {:.1} | {:.0} | {:.0} | {percent:.0} |",
        times.len(),
        times.len() as f64 / args.seconds as f64,
        times.median_ms(),
        times.p99_ms(),
    );
    Ok(())
}

/// `scripts/bench_fastapi.py`; killed when dropped.
struct FastApi {
    process: Child,
    asked: Asked,
}

/// What its clients need.
#[derive(Clone)]
struct Asked {
    url: String,
    http: reqwest::Client,
    scans: Arc<Vec<Vec<u8>>>,
}

impl FastApi {
    async fn start(python: &str, kind: &str) -> anyhow::Result<FastApi> {
        let port = free_port()?;
        let mut command = Command::new(python);
        // Ours is not the libtorch of that PyTorch.
        command.env_remove("LD_LIBRARY_PATH").arg(in_workspace("scripts/bench_fastapi.py"));
        let process = command.arg(port.to_string()).arg(kind).spawn().context("FastAPI")?;
        let url = format!("http://127.0.0.1:{port}");
        let (http, scans) = (reqwest::Client::new(), Arc::new(small_scans()));
        let service = FastApi { process, asked: Asked { url, http, scans } };
        ready(&service.asked.url).await.context("FastAPI")?;
        Ok(service)
    }
}

impl Drop for FastApi {
    fn drop(&mut self) {
        // It keeps nothing.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Asked {
    async fn predict(self, number: u64) -> anyhow::Result<()> {
        let scan = self.scans[number as usize % self.scans.len()].clone();
        let form = Form::new().part("file", Part::bytes(scan).file_name("scan.png"));
        let asked = self.http.post(format!("{}/predict", self.url)).multipart(form).send().await?;
        asked.error_for_status()?.bytes().await?;
        Ok(())
    }
}
