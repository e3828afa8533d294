use std::path::{Path, PathBuf};
use std::pin::pin;

use anyhow::{Context, bail};
use domain::Artefact;
use domain::artefact::{ALL, ORIGINAL, PASSPORT, RESULT};
use futures::{StreamExt, stream};
use imaging::ResultDocument;
use tokio_util::sync::CancellationToken;

use super::input::Input;
use super::inside::Inside;
use super::outcome::{Outcome, Said};
use super::results::{Results, entry_name, write};
use crate::serve::Services;

/// How many inputs are in hand at a time: enough for two batches of slices. Large volumes wait for each other within.
const IN_HAND: usize = 16;
/// The services keep what they are given: after so many bytes of it they make way for others with an empty folder.
const KEPT_BYTES_MAX: u64 = 1 << 30;
/// Where the reason is written why a file is no scan.
const PROBLEM: &str = "problem.json";

/// Analyses inputs, and writes what they come to.
pub struct Analyst {
    services: Services,
    results: Results,
    inside: Inside,
    kept_bytes: u64,
}

impl Analyst {
    /// Loads the model and starts the services.
    pub async fn start(services: Services, results: Results) -> anyhow::Result<Analyst> {
        let inside = Inside::start(&services).await?;
        Ok(Analyst { services, results, inside, kept_bytes: 0 })
    }

    /// Takes inputs until `stop`, which lets those in hand be finished; `each` gets what became of one, by its place among
    /// them and in the order of places.
    pub async fn take(
        &mut self,
        paths: &[PathBuf],
        stop: &CancellationToken,
        mut each: impl FnMut(usize, Vec<Outcome>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.make_room().await?;
        let inputs: Vec<_> = paths.iter().map(|path| (path, Input::at(path))).collect();
        self.kept_bytes +=
            inputs.iter().flat_map(|(_, input)| input).map(Input::bytes).sum::<u64>();
        let (inside, results) = (&self.inside, &self.results);
        let all = async {
            let begun = stream::iter(inputs).take_until(stop.cancelled());
            let answers = begun.map(move |(path, input)| async move {
                match input {
                    Ok(input) => analysed(inside, results, path, &input).await,
                    Err(error) => Ok(vec![Outcome::unreadable(path, &error)]),
                }
            });
            let mut answers = pin!(answers.buffered(IN_HAND).enumerate());
            while let Some((index, outcomes)) = answers.next().await {
                each(index, outcomes?)?;
            }
            Ok(())
        };
        let whole = inside.while_it_works(all).await;
        whole.unwrap_or_else(|| bail!("the services have stopped"))
    }

    /// Ends the services; the error is that of one that has failed before.
    pub async fn end(self) -> anyhow::Result<()> {
        self.inside.end().await
    }

    async fn make_room(&mut self) -> anyhow::Result<()> {
        if self.kept_bytes >= KEPT_BYTES_MAX {
            let inside = Inside::start(&self.services).await?;
            std::mem::replace(&mut self.inside, inside).end().await?;
            self.kept_bytes = 0;
        }
        Ok(())
    }
}

/// What became of an input: of its one scan, or of each of several. An error: nobody can tell, or it cannot be written.
async fn analysed(
    inside: &Inside,
    results: &Results,
    path: &Path,
    input: &Input,
) -> anyhow::Result<Vec<Outcome>> {
    let parts = inside.upload(input).await?;
    if let [(_, Err(problem))] = &parts[..]
        && problem.is_transient()
    {
        // It says nothing about the file, so there is nothing to keep.
        return Ok(vec![Outcome::new(path, None, Said::Refused(problem.clone()))]);
    }
    let staged = results.stage()?;
    let mut said = Vec::new();
    for (index, (name, part)) in parts.into_iter().enumerate() {
        // The one scan of an input has no name besides the input's.
        let below = if name.is_empty() { String::new() } else { entry_name(index, &name) };
        let folder = staged.folder(&below)?;
        let part = match part {
            Ok(scan_id) => Said::Result(Box::new(result(inside, &scan_id, &folder).await?)),
            Err(problem) => {
                write(folder.join(PROBLEM), problem.to_json()).await?;
                Said::Refused(problem)
            }
        };
        said.push((name, below, part));
    }
    let folder = staged.publish(input.name()).await?;
    let outcome = |(name, below, said): (String, String, Said)| {
        Outcome::new(&joined(path, &name), Some(joined(&folder, &below)), said)
    };
    Ok(said.into_iter().map(outcome).collect())
}

/// Without the slash that an empty name would leave at the end.
fn joined(path: &Path, name: &str) -> PathBuf {
    if name.is_empty() { path.to_owned() } else { path.join(name) }
}

/// Writes all that there is of the scan once it is done, and answers with its result.
async fn result(inside: &Inside, scan_id: &str, folder: &Path) -> anyhow::Result<ResultDocument> {
    inside.until_done(scan_id).await?;
    let mut document = None;
    for artefact in ALL.iter().filter(|artefact| is_written(artefact)) {
        let Some(bytes) = inside.artefact(scan_id, artefact).await? else { continue };
        if *artefact == RESULT {
            let read = serde_json::from_slice(&bytes);
            document = Some(read.context("a result cannot be read")?);
        }
        write(folder.join(artefact.name), bytes.into()).await?;
    }
    document.context("a scan that is done has no result")
}

/// Whether an artefact is written: what the gateway hands out, but for the file itself, which whoever named it has, and for the
/// passport: its key goes with these services, so that nobody could verify it.
fn is_written(artefact: &Artefact) -> bool {
    artefact.published.is_some() && ![ORIGINAL, PASSPORT].contains(artefact)
}
