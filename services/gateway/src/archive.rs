use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::artefact::{ALL, RESULT};
use domain::{Artefact, Error, ErrorKind, Result};
use futures::TryStreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tracing::Instrument;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use crate::Gateway;
use crate::artefacts::{self, StoredArtefact};
use crate::batches::{Batch, Entry};
use crate::caller::Caller;
use crate::extract::Path;
use crate::problem::{NOT_READY, Problem};
use crate::scans::{Binary, Scan};

/// Pieces of the archive on their way; a slow reader holds the writer back.
const PIECES_UNDER_WAY: usize = 4;
const NAME_LONGEST: usize = 64;

/// Gives all results of a batch: overlays, masks and one `batch.json`
#[utoipa::path(
    operation_id = "get_batch_results", get, path = "/v1/batches/{id}/result.zip", tag = "batches", params(("id" = String, Path, description = "The batch's id", format = "uuid")),
    responses(
        (status = 200, description = "A zip: `overlays/`, `masks/` and `batch.json`", body = Binary, content_type = "application/zip"),
        (status = 404, description = "No such batch", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not ready: ask again after `Retry-After` seconds", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn download(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let batch = Batch::get(&mut gateway, &caller, id).await?;
    if !batch.done {
        return Err(NOT_READY.problem("some scans of the batch are not done"));
    }
    let (sender, pieces) = mpsc::channel(PIECES_UNDER_WAY);
    let archive = Archive::new(gateway, caller, sender.clone());
    let write = async move {
        if let Err(error) = archive.write(batch).await {
            tracing::error!(error = &error as &dyn std::error::Error, "an archive broke off");
            // Breaks the answer off, so that nobody takes it for whole; a reader who is gone does not mind.
            let _ = sender.send(Err(io::Error::other("the archive broke off"))).await;
        }
    };
    tokio::spawn(write.in_current_span());
    let headers = [
        (header::CONTENT_TYPE, "application/zip"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"result.zip\""),
    ];
    Ok((headers, Body::from_stream(ReceiverStream::new(pieces))).into_response())
}

/// A zip that is sent while it is written.
struct Archive {
    gateway: Gateway,
    caller: Caller,
    zip: ZipWriter<StreamWriter<Buffer>>,
    written: Buffer,
    sender: mpsc::Sender<io::Result<Bytes>>,
}

/// What `batch.json` says of one image.
#[derive(Serialize)]
struct Line<'e> {
    #[serde(flatten)]
    entry: &'e Entry,
    /// Where its overlay, its mask and so on are in the archive.
    #[serde(flatten)]
    packed: BTreeMap<&'static str, Option<String>>,
    /// The scan's own result document.
    result: Option<Value>,
}

impl Archive {
    fn new(gateway: Gateway, caller: Caller, sender: mpsc::Sender<io::Result<Bytes>>) -> Archive {
        let written = Buffer::default();
        Archive { gateway, caller, zip: ZipWriter::new_stream(written.clone()), written, sender }
    }

    async fn write(mut self, batch: Batch) -> Result<()> {
        let mut lines = Vec::with_capacity(batch.entries.len());
        for (index, entry) in batch.entries.iter().enumerate() {
            let packed = self.pack(index, entry).await?;
            lines.push(Line { entry, packed, result: None });
        }
        self.begin("batch.json", CompressionMethod::Deflated)?;
        let about = json!({ "id": batch.id, "accepted_ms": batch.accepted_ms });
        self.put(format!("{{\"batch\":{about},\"entries\":[").as_bytes()).await?;
        for (index, line) in lines.into_iter().enumerate() {
            // One document at a time: a batch may have thousands.
            let line = Line { result: self.result(line.entry).await?, ..line };
            self.put(if index == 0 { b"\n" } else { b",\n" }).await?;
            self.put(&serde_json::to_vec(&line).map_err(archive_error)?).await?;
        }
        self.put(b"\n]}\n").await?;
        let Archive { zip, written, sender, .. } = self;
        zip.finish().map_err(archive_error)?;
        send(&sender, &written).await
    }

    /// Copies the entry's artefacts into their folders, and says where each is.
    async fn pack(
        &mut self,
        index: usize,
        entry: &Entry,
    ) -> Result<BTreeMap<&'static str, Option<String>>> {
        let mut all = BTreeMap::new();
        for artefact in ALL {
            let Some(packed) = artefact.packed else { continue };
            let name = file_name(index, &entry.name, artefact.extension());
            let path = format!("{}/{name}", packed.folder);
            all.insert(packed.field, self.add(entry, artefact, path).await?);
        }
        Ok(all)
    }

    /// Copies an artefact of the entry's scan to `path`; `None` when there is no such artefact.
    async fn add(
        &mut self,
        entry: &Entry,
        artefact: &Artefact,
        path: String,
    ) -> Result<Option<String>> {
        let Some(kept) = self.read(entry, artefact).await? else { return Ok(None) };
        let packed = match artefact.is_compressed() {
            true => CompressionMethod::Stored,
            false => CompressionMethod::Deflated,
        };
        self.begin(&path, packed)?;
        let mut bytes = kept.bytes;
        while let Some(bytes) = bytes.try_next().await? {
            self.put(&bytes).await?;
        }
        Ok(Some(path))
    }

    async fn result(&mut self, entry: &Entry) -> Result<Option<Value>> {
        let Some(kept) = self.read(entry, &RESULT).await? else { return Ok(None) };
        let document: Vec<u8> = kept
            .bytes
            .try_fold(Vec::new(), async |all, part| Ok([&all[..], &part].concat()))
            .await?;
        Ok(Some(serde_json::from_slice(&document).map_err(archive_error)?))
    }

    async fn read(&mut self, entry: &Entry, artefact: &Artefact) -> Result<Option<StoredArtefact>> {
        let Some(Scan { id, .. }) = &entry.scan else { return Ok(None) };
        match artefacts::read(&mut self.gateway, &self.caller, id, artefact.name).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status.into()),
        }
    }

    fn begin(&mut self, path: &str, packed: CompressionMethod) -> Result<()> {
        let options = SimpleFileOptions::default().compression_method(packed);
        self.zip.start_file(path, options).map_err(archive_error)
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.zip.write_all(bytes).map_err(archive_error)?;
        send(&self.sender, &self.written).await
    }
}

/// What the zip has written and nobody has sent.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn send(sender: &mpsc::Sender<io::Result<Bytes>>, written: &Buffer) -> Result<()> {
    let bytes = written.take();
    if bytes.is_empty() {
        return Ok(());
    }
    let gone = |_| ErrorKind::Unavailable.error("nobody reads the archive any more");
    sender.send(Ok(bytes.into())).await.map_err(gone)
}

fn archive_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    ErrorKind::Internal.error("cannot write the archive").because(error)
}

/// A name that is unique in the archive and safe wherever it is unpacked, and still tells which image it is.
fn file_name(index: usize, name: &str, extension: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    let safe = |letter: char| {
        if letter.is_ascii_alphanumeric() || "-_".contains(letter) { letter } else { '_' }
    };
    let stem: String = stem.chars().take(NAME_LONGEST).map(safe).collect();
    format!("{:04}-{stem}.{extension}", index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_the_folder() {
        assert_eq!(file_name(0, "series/slice 7.dcm", "png"), "0001-slice_7.png");
        assert_eq!(file_name(41, "../../etc/passwd", "png"), "0042-passwd.png");
        assert_eq!(file_name(1, r"C:\..\con.png", "nii.gz"), "0002-con.nii.gz");
        assert_eq!(file_name(12_344, "…", "png"), "12345-_.png");
    }
}
