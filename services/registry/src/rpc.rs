//! Translates between the wire and the store; decides nothing but authorization.

use domain::{ErrorKind, Result};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use platform::blob::{Staged, Staging};
use proto::registry::models_server::Models as WireModels;
use proto::registry::register_part::Part;
use proto::registry::routing_server::Routing as WireRouting;
use proto::registry::*;
use service::claims::{Role, Verifier};
use service::status_in_stream;
use tonic::{Request, Response, Status, Streaming};

use crate::events;
use crate::manifest::Texts;
use crate::store::Store;

/// The roles that may read of models.
const READERS: [Role; 3] = [Role::Scientist, Role::Admin, Role::Service];
/// The roles that register versions and let them look on.
const SCIENTISTS: [Role; 2] = [Role::Scientist, Role::Admin];
/// No file of a model is larger.
const BYTES_MAX: u64 = 256 << 20;
/// Manifest and card are held in memory.
const TEXT_BYTES_MAX: u64 = 1 << 20;
const FILES_MAX: usize = 8;

/// The calls of scientists and admins.
pub struct Models {
    pub store: Store,
    pub verifier: Verifier,
}

/// The calls of workers.
pub struct Routing {
    pub store: Store,
    pub verifier: Verifier,
}

/// What has come of a version: its header, all files, and what is read of them.
type Received = (RegisterHeader, Texts, Vec<(String, Staged)>);

/// A file on its way: its name, what has come of it, and how many bytes that is.
type Arriving = (String, Staging, u64);

fn bytes_in(files: &[Arriving]) -> u64 {
    files.iter().map(|(_, _, bytes)| bytes).sum()
}

impl Models {
    async fn receive(&self, mut parts: Streaming<RegisterPart>) -> Result<Received> {
        let Some(Part::Header(header)) = parts.message().await?.and_then(|part| part.part) else {
            return Err(ErrorKind::Invalid.error("a version begins with its header"));
        };
        let (mut texts, mut files) = (Texts::default(), Vec::<Arriving>::new());
        loop {
            match parts.message().await?.and_then(|part| part.part) {
                Some(Part::File(name)) if files.len() < FILES_MAX => {
                    if files.iter().any(|(there, ..)| *there == name) {
                        return Err(ErrorKind::Invalid.error(format!("`{name}` came twice")));
                    }
                    files.push((name, self.store.blobs.stage().await?, 0));
                }
                Some(Part::Data(bytes)) => {
                    let Some((name, staging, size)) = files.last_mut() else {
                        return Err(ErrorKind::Invalid.error("bytes of no file"));
                    };
                    *size += bytes.len() as u64;
                    let text = texts.of(name);
                    let most = if text.is_some() { TEXT_BYTES_MAX } else { BYTES_MAX };
                    if *size > most {
                        let message = format!("`{name}` is larger than {} MiB", most >> 20);
                        return Err(ErrorKind::Invalid.error(message));
                    }
                    if let Some(text) = text {
                        text.extend_from_slice(&bytes);
                    }
                    staging.write(bytes).await?;
                }
                Some(Part::End(end)) if end.size_bytes == bytes_in(&files) => break,
                None | Some(Part::End(_)) => {
                    return Err(
                        ErrorKind::Invalid.error("the version was cut short: send it again")
                    );
                }
                Some(_) => {
                    return Err(ErrorKind::Invalid
                        .error(format!("a version is a header and at most {FILES_MAX} files")));
                }
            }
        }
        let mut staged = Vec::with_capacity(files.len());
        for (name, staging, _) in files {
            staged.push((name, staging.finish().await?));
        }
        Ok((header, texts, staged))
    }
}

#[tonic::async_trait]
impl WireModels for Models {
    async fn register(
        &self,
        request: Request<Streaming<RegisterPart>>,
    ) -> Result<Response<Version>, Status> {
        let claims = self.verifier.caller(request.metadata(), &SCIENTISTS).await?;
        let (header, texts, files) = self.receive(request.into_inner()).await?;
        let version = self.store.register(&claims.subject, header, &texts, files).await?;
        Ok(Response::new(version))
    }

    async fn keys(&self, _: Request<KeysRequest>) -> Result<Response<KeySet>, Status> {
        // They are public: whoever holds a result verifies it.
        Ok(Response::new(KeySet { jwks_json: self.store.signer.jwks() }))
    }

    async fn sign_receipt(
        &self,
        request: Request<ReceiptStatement>,
    ) -> Result<Response<ResultSignature>, Status> {
        self.verifier.caller(request.metadata(), &[Role::Admin]).await?;
        let (key_id, value) = self.store.signer.sign_receipt(&request.get_ref().canonical)?;
        Ok(Response::new(ResultSignature { key_id, value }))
    }

    async fn list(&self, request: Request<ListVersions>) -> Result<Response<Versions>, Status> {
        self.verifier.caller(request.metadata(), &READERS).await?;
        let versions = self.store.versions(&request.get_ref().name).await?;
        Ok(Response::new(Versions { versions }))
    }

    async fn get(&self, request: Request<VersionRef>) -> Result<Response<Version>, Status> {
        self.verifier.caller(request.metadata(), &READERS).await?;
        let VersionRef { name, version } = request.into_inner();
        Ok(Response::new(self.store.version(&name, &version).await?))
    }

    type ReadStream = BoxStream<'static, Result<Chunk, Status>>;

    async fn read(&self, request: Request<FileRef>) -> Result<Response<Self::ReadStream>, Status> {
        self.verifier.caller(request.metadata(), &READERS).await?;
        let FileRef { name, version, file } = request.into_inner();
        let (mut size_bytes, bytes) = self.store.read(&name, &version, &file).await?;
        let chunk = move |data| Chunk { data, size_bytes: std::mem::take(&mut size_bytes) };
        Ok(Response::new(bytes.map_ok(chunk).map_err(status_in_stream).boxed()))
    }

    async fn promote(&self, request: Request<Promotion>) -> Result<Response<Decision>, Status> {
        let claims = self.verifier.caller(request.metadata(), &[Role::Admin]).await?;
        Ok(Response::new(self.store.promote(&claims.subject, request.into_inner()).await?))
    }

    async fn roll_back(&self, request: Request<Change>) -> Result<Response<Version>, Status> {
        let claims = self.verifier.caller(request.metadata(), &[Role::Admin]).await?;
        Ok(Response::new(self.store.roll_back(&claims.subject, request.into_inner()).await?))
    }

    async fn shadow(&self, request: Request<Change>) -> Result<Response<Version>, Status> {
        let claims = self.verifier.caller(request.metadata(), &SCIENTISTS).await?;
        Ok(Response::new(self.store.shadow(&claims.subject, request.into_inner()).await?))
    }

    async fn retire(&self, request: Request<Change>) -> Result<Response<Version>, Status> {
        let claims = self.verifier.caller(request.metadata(), &[Role::Admin]).await?;
        Ok(Response::new(self.store.retire(&claims.subject, request.into_inner()).await?))
    }

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<Events>, Status> {
        self.verifier.caller(request.metadata(), &READERS).await?;
        let ListEventsRequest { name, limit } = request.into_inner();
        Ok(Response::new(Events { events: events::list(&self.store, &name, limit).await? }))
    }

    async fn list_comparisons(
        &self,
        request: Request<VersionRef>,
    ) -> Result<Response<Comparisons>, Status> {
        let claims = self.verifier.caller(request.metadata(), &SCIENTISTS).await?;
        let VersionRef { name, version } = request.into_inner();
        let tenant = claims.tenant().to_string();
        Ok(Response::new(self.store.comparisons(&tenant, &name, &version).await?))
    }

    async fn list_compared(
        &self,
        request: Request<ListComparedRequest>,
    ) -> Result<Response<ComparedScans>, Status> {
        let claims = self.verifier.caller(request.metadata(), &SCIENTISTS).await?;
        let tenant = claims.tenant().to_string();
        Ok(Response::new(self.store.compared(&tenant, request.into_inner()).await?))
    }

    async fn count_rows(&self, request: Request<ScansAsked>) -> Result<Response<RowsKept>, Status> {
        let claims = self.verifier.caller(request.metadata(), &[Role::Admin]).await?;
        let rows = self.store.rows_of(claims.tenant(), &request.get_ref().scan_ids).await?;
        Ok(Response::new(RowsKept { rows }))
    }
}

#[tonic::async_trait]
impl WireRouting for Routing {
    async fn sign_result(
        &self,
        request: Request<ResultStatement>,
    ) -> Result<Response<ResultSignature>, Status> {
        self.verifier.caller(request.metadata(), &[Role::Service]).await?;
        let (key_id, value) = self.store.signer.sign_result(&request.get_ref().canonical)?;
        Ok(Response::new(ResultSignature { key_id, value }))
    }

    async fn sign_anchor(
        &self,
        request: Request<AnchorStatement>,
    ) -> Result<Response<ResultSignature>, Status> {
        self.verifier.caller(request.metadata(), &[Role::Service]).await?;
        let (key_id, value) = self.store.signer.sign_anchor(&request.get_ref().sha256)?;
        Ok(Response::new(ResultSignature { key_id, value }))
    }

    async fn get_routes(
        &self,
        request: Request<RoutesRequest>,
    ) -> Result<Response<Routes>, Status> {
        self.verifier.caller(request.metadata(), &[Role::Service]).await?;
        Ok(Response::new(self.store.routes().await?))
    }

    async fn record_evaluation(
        &self,
        request: Request<Evaluation>,
    ) -> Result<Response<Evaluation>, Status> {
        self.verifier.caller(request.metadata(), &[Role::Service]).await?;
        Ok(Response::new(self.store.record(request.into_inner()).await?))
    }

    async fn record_comparison(
        &self,
        request: Request<Comparison>,
    ) -> Result<Response<Comparison>, Status> {
        self.verifier.caller(request.metadata(), &[Role::Service]).await?;
        Ok(Response::new(self.store.compare(request.into_inner()).await?))
    }
}
