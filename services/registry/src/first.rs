//! The model that a new deployment begins with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::{ErrorKind, Result};
use platform::blob::Staged;
use proto::registry::{RegisterHeader, Version};
use service::Worker;

use crate::manifest::{MANIFEST, Manifest, OTHERS, Texts};
use crate::store::Store;
use crate::{events, table, versions};

/// Between two tries, while database or objects are away.
const RETRY: Duration = Duration::from_secs(5);
/// Who has registered it.
const SUBJECT: &str = "medseg";

/// Registers the model in `folder` and lets it serve, where no model is registered at all: nothing serves that it could be
/// worse than.
pub fn begin_with(store: Store, folder: PathBuf) -> Worker {
    Worker::new("first model", move |stop| async move {
        while !begun(&store, &folder).await {
            if stop.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                break;
            }
        }
        Ok(())
    })
}

/// Whether there was nothing to do, or it is done.
async fn begun(store: &Store, folder: &Path) -> bool {
    let begun = begin(store, folder).await;
    if let Err(error) = &begun {
        let error = error as &dyn std::error::Error;
        tracing::error!(error, folder = %folder.display(), "could not register the first model");
    }
    begun.is_ok()
}

async fn begin(store: &Store, folder: &Path) -> Result<()> {
    // Registered by an earlier start that ended before it served, it is found and serves now.
    let own = |version: &Version| version.registered_by == SUBJECT;
    let has_served = table::next_generation(store.database.pool()).await? > 1;
    if has_served || !store.versions("").await?.iter().all(own) {
        return Ok(());
    }
    let (texts, files) = read(store, folder).await?;
    let header = RegisterHeader { source: "shipped with medseg".into(), ..Default::default() };
    let version = store.register(SUBJECT, header, &texts, files).await?;
    store
        .unit(move |store, unit| {
            Box::pin(async move {
                // Another registry, or an admin, may have been first.
                if table::next_generation(&mut **unit).await? > 1 {
                    return Ok(());
                }
                let row = versions::find(&mut **unit, &version.name, &version.version).await?;
                table::serve(unit, &row, "", "").await?;
                let reason = "nothing else was registered";
                events::append(&store, unit, ("promoted", ""), SUBJECT, &row, reason).await
            })
        })
        .await
}

/// All files of the model, and what is read of them.
async fn read(store: &Store, folder: &Path) -> Result<(Texts, Vec<(String, Staged)>)> {
    let manifest = bytes_of(folder, MANIFEST).await?;
    let named: Manifest = serde_json::from_slice(&manifest).map_err(|error| {
        ErrorKind::Invalid.error(format!("{MANIFEST} is no manifest of a model")).because(error)
    })?;
    let mut names = vec![MANIFEST, named.file.as_str()];
    names.extend(OTHERS.into_iter().filter(|name| folder.join(name).is_file()));
    let (mut texts, mut files) = (Texts::default(), Vec::new());
    for name in names {
        let bytes = bytes_of(folder, name).await?;
        if let Some(text) = texts.of(name) {
            text.extend_from_slice(&bytes);
        }
        let mut staging = store.blobs.stage().await?;
        staging.write(bytes.into()).await?;
        files.push((name.to_owned(), staging.finish().await?));
    }
    Ok((texts, files))
}

async fn bytes_of(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    tokio::fs::read(&path).await.map_err(|error| {
        ErrorKind::NotFound.error(format!("cannot read {}", path.display())).because(error)
    })
}
