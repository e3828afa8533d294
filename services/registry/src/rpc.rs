//! Translates between the wire and the store; decides nothing but authorization.

use domain::{ErrorKind, Result};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use platform::blob::{Staged, Staging};
use proto::registry::models_server::Models as WireModels;
use proto::registry::register_part::Part;
use proto::registry::routing_server::Routing as WireRouting;
use proto::registry::*;
use service::claims::{Claims, Role, Verifier};
use service::status_in_stream;
use tonic::metadata::MetadataMap;
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

async fn allowed(verifier: &Verifier, metadata: &MetadataMap, roles: &[Role]) -> Result<Claims> {
    let claims = verifier.claims(metadata).await?;
    claims.require(roles)?;
    Ok(claims)
}

/// What has come of a version: its header, what is read of it here, and all files.
type Received = (RegisterHeader, Texts, Vec<(String, Staged)>);

impl Models {
    async fn receive(&self, mut parts: Streaming<RegisterPart>) -> Result<Received> {
        let Some(Part::Header(header)) = parts.message().await?.and_then(|part| part.part) else {
            return Err(ErrorKind::Invalid.error("a version begins with its header"));
        };
        let (mut texts, mut files) = (Texts::default(), Vec::<(String, Staging, u64)>::new());
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
                    if *size > BYTES_MAX {
                        return Err(
                            ErrorKind::Exhausted.error(format!("`{name}` is larger than 256 MiB"))
                        );
                    }
                    texts.add(name, &bytes);
                    staging.write(bytes).await?;
                }
                Some(Part::End(end)) if end.size_bytes == files.iter().map(|file| file.2).sum() => {
                    break;
                }
                None => {
                    return Err(
                        ErrorKind::Invalid.error("the version was cut short: send it again")
                    );
                }
                Some(_) => {
                    return Err(ErrorKind::Invalid
                        .error("a version is a header, its files (8 at most) and its end"));
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
        let claims = allowed(&self.verifier, request.metadata(), &SCIENTISTS).await?;
        let (header, texts, files) = self.receive(request.into_inner()).await?;
        let version = self.store.register(&claims.subject, header, &texts, files).await?;
        Ok(Response::new(version))
    }

    async fn list(&self, request: Request<ListVersions>) -> Result<Response<Versions>, Status> {
        allowed(&self.verifier, request.metadata(), &READERS).await?;
        let versions = self.store.versions(&request.get_ref().name).await?;
        Ok(Response::new(Versions { versions }))
    }

    async fn get(&self, request: Request<VersionRef>) -> Result<Response<Version>, Status> {
        allowed(&self.verifier, request.metadata(), &READERS).await?;
        let VersionRef { name, version } = request.into_inner();
        Ok(Response::new(self.store.version(&name, &version).await?))
    }

    type ReadStream = BoxStream<'static, Result<Chunk, Status>>;

    async fn read(&self, request: Request<FileRef>) -> Result<Response<Self::ReadStream>, Status> {
        allowed(&self.verifier, request.metadata(), &READERS).await?;
        let FileRef { name, version, file } = request.into_inner();
        let (mut size_bytes, bytes) = self.store.read(&name, &version, &file).await?;
        let chunk = move |data| Chunk { data, size_bytes: std::mem::take(&mut size_bytes) };
        Ok(Response::new(bytes.map_ok(chunk).map_err(status_in_stream).boxed()))
    }

    async fn promote(&self, request: Request<Promotion>) -> Result<Response<Decision>, Status> {
        let claims = allowed(&self.verifier, request.metadata(), &[Role::Admin]).await?;
        Ok(Response::new(self.store.promote(&claims.subject, request.into_inner()).await?))
    }

    async fn roll_back(&self, request: Request<Change>) -> Result<Response<Version>, Status> {
        let claims = allowed(&self.verifier, request.metadata(), &[Role::Admin]).await?;
        Ok(Response::new(self.store.roll_back(&claims.subject, request.into_inner()).await?))
    }

    async fn shadow(&self, request: Request<Change>) -> Result<Response<Version>, Status> {
        let claims = allowed(&self.verifier, request.metadata(), &SCIENTISTS).await?;
        Ok(Response::new(self.store.shadow(&claims.subject, request.into_inner()).await?))
    }

    async fn retire(&self, request: Request<Change>) -> Result<Response<Version>, Status> {
        let claims = allowed(&self.verifier, request.metadata(), &[Role::Admin]).await?;
        Ok(Response::new(self.store.retire(&claims.subject, request.into_inner()).await?))
    }

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<Events>, Status> {
        allowed(&self.verifier, request.metadata(), &READERS).await?;
        let ListEventsRequest { name, limit } = request.into_inner();
        Ok(Response::new(Events { events: events::list(&self.store, &name, limit).await? }))
    }

    async fn list_comparisons(
        &self,
        request: Request<VersionRef>,
    ) -> Result<Response<Comparisons>, Status> {
        let claims = allowed(&self.verifier, request.metadata(), &SCIENTISTS).await?;
        let VersionRef { name, version } = request.into_inner();
        let tenant = claims.tenant().to_string();
        Ok(Response::new(self.store.comparisons(&tenant, &name, &version).await?))
    }
}

#[tonic::async_trait]
impl WireRouting for Routing {
    async fn get_routes(
        &self,
        request: Request<RoutesRequest>,
    ) -> Result<Response<Routes>, Status> {
        allowed(&self.verifier, request.metadata(), &[Role::Service]).await?;
        Ok(Response::new(self.store.routes().await?))
    }

    async fn record_evaluation(
        &self,
        request: Request<Evaluation>,
    ) -> Result<Response<Evaluation>, Status> {
        allowed(&self.verifier, request.metadata(), &[Role::Service]).await?;
        Ok(Response::new(self.store.record(request.into_inner()).await?))
    }

    async fn record_comparison(
        &self,
        request: Request<Comparison>,
    ) -> Result<Response<Comparison>, Status> {
        allowed(&self.verifier, request.metadata(), &[Role::Service]).await?;
        Ok(Response::new(self.store.compare(request.into_inner()).await?))
    }
}
