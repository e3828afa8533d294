use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// How long a process may take to say that it is ready; a debug build loads libtorch slowly on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A program of the workspace; killed when dropped.
pub struct Process {
    child: Child,
    /// What it printed on standard output until it was ready.
    pub said: Vec<String>,
    /// Whether it has printed anything: from then on it minds signals.
    awake: Arc<AtomicBool>,
}

impl Process {
    /// Starts `program` and waits until it has printed a line that starts with `ready`, if it prints one.
    pub fn start(
        program: &str,
        arguments: &[String],
        log: &Path,
        ready: Option<&str>,
    ) -> anyhow::Result<Process> {
        Process::start_through(&[], program, arguments, log, ready)
    }

    /// The same through a command that becomes the program in the end, such as `env NAME=VALUE`.
    pub fn start_through(
        through: &[String],
        program: &str,
        arguments: &[String],
        log: &Path,
        ready: Option<&str>,
    ) -> anyhow::Result<Process> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut copy = log.try_clone()?;
        let mut words = through.to_vec();
        words.push(built(program)?.display().to_string());
        words.extend_from_slice(arguments);
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{program} does not start"))?;
        let stdout = child.stdout.take().context("a piped output")?;
        let awake = Arc::<AtomicBool>::default();
        let mut process = Process { child, said: Vec::new(), awake: awake.clone() };
        let (lines, said) = mpsc::channel();
        // Read to the end: a full pipe would stop the process. What it logs (JSON, or a line that begins with the time) is
        // there too and goes to `log`; what it says to whoever started it, such as the first password, does not.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                awake.store(true, Ordering::Relaxed);
                if line.starts_with(|first: char| first == '{' || first.is_ascii_digit()) {
                    let _ = writeln!(copy, "{line}");
                }
                let _ = lines.send(line);
            }
        });
        let Some(ready) = ready else { return Ok(process) };
        loop {
            let line =
                said.recv_timeout(START).with_context(|| format!("{program} is not ready"))?;
            let is_ready = line.starts_with(ready);
            process.said.push(line);
            if is_ready {
                return Ok(process);
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Ends it as a crash would: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        // A process that is gone already is what was asked for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends it the signal of that name, such as `STOP`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let sent =
            Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status()?;
        ensure!(sent.success(), "it cannot be sent {name}");
        Ok(())
    }

    /// Asks it to stop and waits; the exit status must say that all went well. One that was started a moment ago is still
    /// being loaded, and would die of the signal: it is let wake up first.
    pub fn terminate(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while !self.awake.load(Ordering::Relaxed) && !self.has_ended()? && began.elapsed() < START {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.signal("TERM")?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program of this workspace, built in the same profile as this test.
pub fn built(program: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder =
        test.parent().and_then(Path::parent).context("tests run from target/<profile>/deps")?;
    let path = folder.join(program);
    if !path.try_exists()? {
        bail!("{} is missing: run `cargo build --workspace --bins` first", path.display());
    }
    Ok(path)
}

/// A port that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
