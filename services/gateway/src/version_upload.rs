//! A form with the files of a model's version, on its way to the registry.

use axum::extract::Request;
use bytes::Bytes;
use proto::registry::register_part::Part;
use proto::registry::{RegisterEnd, RegisterHeader, RegisterPart, Version};

use crate::Gateway;
use crate::caller::Caller;
use crate::pour::{Telling, pour};
use crate::problem::Problem;

/// The largest version: its weights and what comes with them.
const VERSION_BYTES_MAX: u64 = 300 << 20;

/// Streams the form's files to the registry, and gives its answer.
pub async fn forward(
    gateway: &Gateway,
    caller: &Caller,
    header: RegisterHeader,
    request: Request,
) -> Result<Version, Problem> {
    let mut models = gateway.models.clone();
    let files = Files { header: Some(header) };
    let call = |parts| async move { models.register(parts).await };
    pour(gateway, caller, VERSION_BYTES_MAX, files, request, call).await
}

/// Tells the registry of a version's files.
struct Files {
    /// Taken before the first file.
    header: Option<RegisterHeader>,
}

fn part(part: Part) -> RegisterPart {
    RegisterPart { part: Some(part) }
}

impl Telling for Files {
    type Part = RegisterPart;

    fn file(&mut self, name: &str) -> Vec<RegisterPart> {
        let header = self.header.take().map(Part::Header);
        header.into_iter().chain([Part::File(name.to_owned())]).map(part).collect()
    }

    fn bytes(&mut self, bytes: Bytes) -> RegisterPart {
        part(Part::Data(bytes))
    }

    fn end(&mut self, size_bytes: u64) -> RegisterPart {
        part(Part::End(RegisterEnd { size_bytes }))
    }
}
