//! The servers that `scripts/servers.sh` keeps up, to be killed and told to refuse. Others use them too, so only where
//! `FAULT_SERVERS` says so.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

const PATIENCE: Duration = Duration::from_secs(60);

/// Where they keep what they say of themselves; none where they are to be left alone.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("FAULT_SERVERS")?;
    std::env::var_os("TEST_SERVERS").map(PathBuf::from)
}

/// Ends a server as a crash would; returns when it is up again as a new process.
pub async fn kill(server: &str) -> anyhow::Result<()> {
    let folder = folder().context("the servers are to be left alone")?;
    let pid_file = folder.join(server).join("pid");
    let pid = || std::fs::read_to_string(&pid_file).map(|text| text.trim().to_owned());
    let old = pid()?;
    std::fs::remove_file(&pid_file)?;
    let killed = Command::new("kill").arg("-9").arg(&old).status()?;
    ensure!(killed.success(), "{server} ({old}) cannot be killed");
    let begun = Instant::now();
    while !pid().is_ok_and(|new| new != old && !new.is_empty()) {
        ensure!(begun.elapsed() < PATIENCE, "{server} does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Runs one of the scripts beside the servers: `rabbitmqctl` or `mariadb`, as their administrator.
pub fn administer(script: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let folder = folder().context("the servers are to be left alone")?;
    let output = Command::new(folder.join(script)).args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{script} {arguments:?}: {said}");
    Ok(())
}
