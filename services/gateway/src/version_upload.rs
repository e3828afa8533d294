//! A form with the files of a model's version, on its way to the registry.

use std::pin::pin;

use axum::extract::Request;
use bytes::Bytes;
use proto::registry::register_part::Part;
use proto::registry::{RegisterHeader, RegisterPart, Version};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::Gateway;
use crate::caller::Caller;
use crate::intake::{Upload, UploadSink};
use crate::problem::Problem;

/// The largest version: its weights and what comes with them.
const VERSION_BYTES_MAX: u64 = 300 << 20;
/// Parts on their way; a slow registry holds the sender back.
const PARTS_UNDER_WAY: usize = 4;

/// Streams the form's files to the registry, and gives its answer. A form that is cut short registers nothing: then the
/// call is dropped before it has ended.
pub async fn forward(
    gateway: &Gateway,
    caller: &Caller,
    header: RegisterHeader,
    request: Request,
) -> Result<Version, Problem> {
    let upload = Upload::new(request, VERSION_BYTES_MAX)?.begun().await?;
    let _place = gateway.uploads.take(caller.tenant())?;
    let (sender, parts) = mpsc::channel(PARTS_UNDER_WAY);
    let parts = ReceiverStream::new(parts).map(|part| RegisterPart { part: Some(part) });
    let mut models = gateway.models.clone();
    let mut call = pin!(models.register(caller.request(parts)));
    let mut files = Files(Some(sender));
    let mut pour = pin!(async {
        files.send(Part::Header(header)).await;
        upload.copy_to(&mut files).await?;
        files.0 = None;
        Ok::<(), Problem>(())
    });
    tokio::select! {
        biased;
        answer = &mut call => return Ok(answer?.into_inner()),
        poured = &mut pour => poured?,
    }
    Ok(call.await?.into_inner())
}

/// The sender's side; the call ends when this is gone.
struct Files(Option<mpsc::Sender<Part>>);

impl Files {
    async fn send(&self, part: Part) {
        if let Some(sender) = &self.0 {
            // Nobody listens any more once the call is answered: then the rest is read and dropped.
            let _ = sender.send(part).await;
        }
    }
}

impl UploadSink for Files {
    async fn begin(&mut self, file_name: &str) {
        self.send(Part::File(file_name.to_owned())).await;
    }

    async fn bytes(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(service::CHUNK_BYTES));
            self.send(Part::Data(part)).await;
        }
    }
}
