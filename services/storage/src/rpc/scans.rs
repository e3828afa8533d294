use std::sync::Arc;

use domain::artefact::{IMAGE, INSTANCES, ORIGINAL, RESULT, VOLUME};
use domain::{ErrorKind, Result};
use futures::{StreamExt, TryStreamExt};
use proto::storage::accept_part::Part;
use proto::storage::scans_server::Scans as Wire;
use proto::storage::{
    AcceptHeader, AcceptPart, ArtefactRef, ArtefactRest, Batch, BatchRef, Chunk, DeletedScan,
    FoundStudies, ListPriorScans, ListScans, NewPriority, PriorPage, RefusalNoted, RefusedUpload,
    Scan, ScanChange, ScanIdentity, ScanPage, ScanRef, StudySearch, WatchScans,
};
use service::claims::{Claims, Role, Verifier};
use service::status_in_stream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::{Responses, chunks};
use crate::artefacts::{Incoming, Staged};
use crate::data_keys::Seal;
use crate::list;
use crate::store::Store;

/// The roles that may send and read scans.
pub(super) const SCAN_ROLES: [Role; 3] = [Role::Clinician, Role::Integrator, Role::Admin];

/// The roles that may read identities, and what follows from them: those who care for patients, and systems that file results. Admins manage users
/// and need not know who is ill.
pub const IDENTITY_ROLES: [Role; 2] = [Role::Clinician, Role::Integrator];

/// The roles that say what they make of results, and that may see what others have said.
pub const READER_ROLES: [Role; 2] = [Role::Clinician, Role::Admin];

/// The RPCs for users and their systems.
pub struct Scans {
    store: Store,
    verifier: Verifier,
}

impl Scans {
    pub fn new(store: Store, verifier: Verifier) -> Scans {
        Scans { store, verifier }
    }

    async fn caller(&self, metadata: &MetadataMap) -> Result<Claims> {
        self.verifier.caller(metadata, &SCAN_ROLES).await
    }

    /// Refuses an artefact that says whose the scan is to whoever may not know that. That somebody was told, is noted where they were
    /// told of the scan.
    fn require_known(&self, claims: &Claims, name: &str) -> Result<()> {
        if name != INSTANCES.name {
            return Ok(());
        }
        claims.require(&IDENTITY_ROLES)?;
        self.store.require_reason(claims, &IDENTITY_ROLES)
    }

    /// The claims of a user whose call comes through ingest: no other upload has been decoded in the jail.
    async fn sender(&self, metadata: &MetadataMap) -> Result<Claims> {
        let claims = self.verifier.sender(metadata).await?;
        claims.require(&SCAN_ROLES)?;
        Ok(claims)
    }

    /// Stages the objects of an upload.
    async fn receive(
        &self,
        claims: &Claims,
        mut parts: Streaming<AcceptPart>,
    ) -> Result<(AcceptHeader, Vec<(String, Staged)>)> {
        let Some(Part::Header(header)) = parts.message().await?.and_then(|part| part.part) else {
            return Err(ErrorKind::Invalid.error("an upload begins with its header"));
        };
        let seal = self.store.seal_of_patient(claims.tenant().id(), &header.patient).await?;
        let mut incoming: Vec<Incoming> = Vec::new();
        while let Some(part) = parts.message().await? {
            let (artefact, bytes) = match part.part {
                Some(Part::Volume(bytes)) => (VOLUME, bytes),
                Some(Part::Original(bytes)) => (ORIGINAL, bytes),
                Some(Part::Preview(bytes)) => (IMAGE, bytes),
                Some(Part::Instances(bytes)) => (INSTANCES, bytes),
                Some(Part::Header(_)) | None => {
                    return Err(
                        ErrorKind::Invalid.error("an upload has one header, and then bytes")
                    );
                }
            };
            write(&self.store, &mut incoming, artefact.name, bytes, seal.as_ref()).await?;
        }
        Ok((header, finish(incoming).await?))
    }
}

#[tonic::async_trait]
impl Wire for Scans {
    async fn accept(
        &self,
        request: Request<Streaming<AcceptPart>>,
    ) -> Result<Response<Scan>, Status> {
        let claims = self.sender(request.metadata()).await?;
        self.store.require_ready(claims.tenant()).await?;
        let (header, objects) = self.receive(&claims, request.into_inner()).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.accept(&claims, header, objects).await?))
    }

    async fn get(&self, request: Request<ScanRef>) -> Result<Response<Scan>, Status> {
        let claims = self.caller(request.metadata()).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        let scan = self.store.scan(&claims.tenant(), &request.get_ref().id).await?;
        let scan = self.store.grouped(claims.tenant(), scan, knows(&claims)).await?;
        Ok(Response::new(scan))
    }

    async fn list(&self, request: Request<ListScans>) -> Result<Response<ScanPage>, Status> {
        let claims = self.caller(request.metadata()).await?;
        let list = request.into_inner();
        if list::filters_by_identity(&list) {
            claims.require(&IDENTITY_ROLES)?;
            // What is found by a patient's number is told to be theirs.
            self.store.require_reason(&claims, &IDENTITY_ROLES)?;
        }
        if list::filters_by_review(&list) {
            claims.require(&READER_ROLES)?;
        }
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        let mut page = self.store.scans(&claims, &list).await?;
        self.store.group(claims.tenant(), &mut page.scans, knows(&claims)).await?;
        Ok(Response::new(page))
    }

    async fn get_identity(
        &self,
        request: Request<ScanRef>,
    ) -> Result<Response<ScanIdentity>, Status> {
        let claims = self.caller(request.metadata()).await?;
        claims.require(&IDENTITY_ROLES)?;
        self.store.require_reason(&claims, &IDENTITY_ROLES)?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.identity(&claims, &request.get_ref().id).await?))
    }

    async fn find_studies(
        &self,
        request: Request<StudySearch>,
    ) -> Result<Response<FoundStudies>, Status> {
        let claims = self.caller(request.metadata()).await?;
        claims.require(&IDENTITY_ROLES)?;
        self.store.require_reason(&claims, &IDENTITY_ROLES)?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.studies(&claims, request.get_ref()).await?))
    }

    async fn list_priors(
        &self,
        request: Request<ListPriorScans>,
    ) -> Result<Response<PriorPage>, Status> {
        let claims = self.caller(request.metadata()).await?;
        claims.require(&IDENTITY_ROLES)?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.priors(&claims.tenant(), request.get_ref()).await?))
    }

    type WatchStream = Responses<Scan>;

    async fn watch(
        &self,
        request: Request<ScanRef>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let claims = self.caller(request.metadata()).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        let scans = self.store.watch(claims.tenant(), &request.get_ref().id).await?;
        let (store, tenant, knows) = (self.store.clone(), claims.tenant(), knows(&claims));
        let scans = scans.and_then(move |scan| {
            let store = store.clone();
            async move { store.grouped(tenant, scan, knows).await }
        });
        Ok(Response::new(scans.map_err(status_in_stream).boxed()))
    }

    type WatchAllStream = Responses<ScanChange>;

    async fn watch_all(
        &self,
        request: Request<WatchScans>,
    ) -> Result<Response<Self::WatchAllStream>, Status> {
        let claims = self.caller(request.metadata()).await?;
        let since_ms = request.get_ref().since_ms;
        let changes = self.store.follow(claims.tenant(), since_ms, knows(&claims));
        Ok(Response::new(changes.map_err(status_in_stream).boxed()))
    }

    async fn prioritise(&self, request: Request<NewPriority>) -> Result<Response<Scan>, Status> {
        let claims = self.caller(request.metadata()).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        let scan = self.store.prioritise(&claims, request.get_ref()).await?;
        let scan = self.store.grouped(claims.tenant(), scan, knows(&claims)).await?;
        Ok(Response::new(scan))
    }

    async fn retry(&self, request: Request<ScanRef>) -> Result<Response<Scan>, Status> {
        let claims = self.caller(request.metadata()).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        let scan = self.store.retry(&claims, &request.get_ref().id).await?;
        let scan = self.store.grouped(claims.tenant(), scan, knows(&claims)).await?;
        Ok(Response::new(scan))
    }

    async fn delete(&self, request: Request<ScanRef>) -> Result<Response<DeletedScan>, Status> {
        let claims = self.caller(request.metadata()).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        let id = self.store.delete_scan(&claims, &request.get_ref().id).await?.to_string();
        Ok(Response::new(DeletedScan { id }))
    }

    type ReadStream = Responses<Chunk>;

    async fn read(
        &self,
        request: Request<ArtefactRef>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        // Ingest reads a result's own mask once the whole of a reader's has come, however long that took.
        let claims = self.verifier.caller_or_sender(request.metadata(), &SCAN_ROLES).await?;
        let ArtefactRef { id, name } = request.into_inner();
        self.require_known(&claims, &name)?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        let found = self.store.read(&claims.tenant(), &id, &name).await?;
        if name == RESULT.name {
            self.store.learn_volume(claims.tenant(), &id).await;
        }
        self.store.note_pixels(&claims, &id, &name).await?;
        Ok(Response::new(chunks(found)))
    }

    type ReadRestStream = Responses<Chunk>;

    async fn read_rest(
        &self,
        request: Request<ArtefactRest>,
    ) -> Result<Response<Self::ReadRestStream>, Status> {
        let claims = self.caller(request.metadata()).await?;
        let ArtefactRest { id, name, from } = request.into_inner();
        self.require_known(&claims, &name)?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        let rest = self.store.read_rest(&claims.tenant(), &id, &name, from).await?;
        self.store.note_pixels(&claims, &id, &name).await?;
        Ok(Response::new(chunks(rest)))
    }

    async fn put_batch(&self, request: Request<Batch>) -> Result<Response<Batch>, Status> {
        let claims = self.sender(request.metadata()).await?;
        let entries = request.into_inner().entries;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.put_batch(claims.tenant(), entries).await?))
    }

    async fn get_batch(&self, request: Request<BatchRef>) -> Result<Response<Batch>, Status> {
        let claims = self.caller(request.metadata()).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.batch(&claims.tenant(), &request.get_ref().id).await?))
    }

    async fn note_refusal(
        &self,
        request: Request<RefusedUpload>,
    ) -> Result<Response<RefusalNoted>, Status> {
        let claims = self.sender(request.metadata()).await?;
        self.store.note_refusal(claims.tenant(), request.into_inner()).await?;
        Ok(Response::new(RefusalNoted {}))
    }
}

/// Whether the caller may know whose scans are.
pub(super) fn knows(claims: &Claims) -> bool {
    claims.require(&IDENTITY_ROLES).is_ok()
}

/// Appends to the object of that name, which is staged with its first bytes.
pub(super) async fn write(
    store: &Store,
    incoming: &mut Vec<Incoming>,
    name: &str,
    bytes: bytes::Bytes,
    seal: Option<&Arc<Seal>>,
) -> Result<()> {
    let at = match incoming.iter().position(|object| object.name() == name) {
        Some(at) => at,
        None => {
            incoming.push(Incoming::begin(store, name, seal.cloned()).await?);
            incoming.len() - 1
        }
    };
    incoming[at].write(bytes).await
}

pub(super) async fn finish(incoming: Vec<Incoming>) -> Result<Vec<(String, Staged)>> {
    let mut objects = Vec::new();
    for object in incoming {
        objects.push(object.finish().await?);
    }
    Ok(objects)
}
