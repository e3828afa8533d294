use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use model::tracking::Journal;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::client::Client;
use super::sending::Sending;

/// How often a server is told what is new, and how long it is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks at what is new; after a failure twice as long, and so on.
    pub every: Duration,
    /// But no longer than this.
    pub at_most: Duration,
    /// What is sent when the run is over may take so long; what is then missing is sent on request.
    pub last: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            every: Duration::from_secs(2),
            at_most: Duration::from_secs(60),
            last: Duration::from_secs(180),
        }
    }
}

/// Sends what is kept of a run while it goes on, in a thread of its own: the run waits for it at its end only.
pub struct Sender {
    thread: JoinHandle<()>,
    over: oneshot::Sender<()>,
}

impl Sender {
    pub fn start(client: Client, journal: Arc<Journal>, pace: Pace) -> std::io::Result<Sender> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (over, told) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("mlflow".to_owned())
            .spawn(move || runtime.block_on(send(client, &journal, pace, told)))?;
        Ok(Sender { thread, over })
    }

    /// Sends the rest, within limits.
    pub fn finish(self) {
        // A thread that has panicked has said so; the run is kept all the same.
        let _ = self.over.send(());
        let _ = self.thread.join();
    }
}

async fn send(client: Client, journal: &Journal, pace: Pace, mut over: oneshot::Receiver<()>) {
    let address = shown(&client);
    let mut sending = Sending::to(client);
    let (mut wait, mut warned) = (pace.every, false);
    loop {
        let next = async {
            sleep(wait).await;
            match journal.begun() {
                true => sending.send(journal.run(), false).await,
                false => Ok(()),
            }
        };
        // What is cut off amid a request is asked for, or told, again.
        let sent = tokio::select! {
            _ = &mut over => break,
            sent = next => sent,
        };
        wait = match sent {
            Ok(()) => pace.every,
            Err(why) => {
                warn(&address, journal, &format!("{why:#}"), &mut warned);
                (2 * wait).min(pace.at_most)
            }
        };
    }
    if journal.begun() {
        let last = timeout(pace.last, sending.send(journal.run(), false)).await;
        let why = match last {
            Ok(Ok(())) => return,
            Ok(Err(why)) => format!("{why:#}"),
            Err(_) => "it takes too long".to_owned(),
        };
        warn(&address, journal, &why, &mut warned);
    }
}

/// One warning is enough: what is missing is kept.
fn warn(address: &str, journal: &Journal, why: &str, warned: &mut bool) {
    if !std::mem::replace(warned, true) {
        let run = journal.run().display();
        eprintln!(
            "warning: MLflow at {address} does not take the run: {why}. It goes on; what MLflow lacks then, \
             `medseg train --mlflow {address} --mlflow-resume {run}` sends"
        );
    }
}

/// Without a password.
pub fn shown(client: &Client) -> String {
    let mut url = client.url().clone();
    let _ = url.set_password(None);
    url.to_string()
}
