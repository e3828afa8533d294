//! Peers that do what they are told by the ids and bytes that they are asked about.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use proto::auth::auth_server::AuthServer;
use proto::auth::*;
use proto::drift::drift_server::DriftServer;
use proto::drift::{Report, ReportRef, ReportRequest};
use proto::ingest::ingest_server::IngestServer;
use proto::ingest::upload_part::Part;
use proto::ingest::{BatchAnswer, Refusal, UploadAnswer, UploadPart, batch_answer, upload_answer};
use proto::storage::scans_server::ScansServer;
use proto::storage::*;
use service::claims::bearer;
use service::claims::testing::Issuer;
use tonic::{Request, Response, Status, Streaming};

type Answer<T> = Result<Response<T>, Status>;

/// What ingest saw of one upload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub key: String,
    pub file_name: String,
    pub stat: bool,
    /// Reference, patient id and accession number.
    pub stated: [String; 3],
    /// The beginning; the rest is only counted.
    pub start: Vec<u8>,
    pub length: usize,
    /// Whether the upload came to its own end.
    pub whole: bool,
}

/// Drains uploads; refuses those that are `refuse`, and makes a batch of `several`.
#[derive(Clone, Default)]
pub struct Ingest(Arc<Mutex<Vec<Seen>>>);

impl Ingest {
    pub fn server(self) -> IngestServer<Ingest> {
        IngestServer::new(self)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    async fn drain(&self, request: Request<Streaming<UploadPart>>) -> Result<Seen, Status> {
        bearer(request.metadata()).ok_or_else(|| Status::unauthenticated("no token"))?;
        let index = {
            let mut seen = self.0.lock().unwrap();
            seen.push(Seen::default());
            seen.len() - 1
        };
        let mut parts = request.into_inner();
        while let Some(part) = parts.message().await? {
            let mut all = self.0.lock().unwrap();
            let seen = &mut all[index];
            match part.part.unwrap() {
                Part::Header(header) => {
                    seen.stat = header.priority() == Priority::Stat;
                    (seen.key, seen.file_name) = (header.idempotency_key, header.file_name);
                    seen.stated = [header.reference, header.patient_id, header.accession_number];
                }
                Part::Data(data) => {
                    let room = 64_usize.saturating_sub(seen.start.len()).min(data.len());
                    seen.start.extend_from_slice(&data[..room]);
                    seen.length += data.len();
                }
                // The names of several files, one after another.
                Part::File(file) => seen.file_name = format!("{}, {}", seen.file_name, file.name),
                Part::End(end) => seen.whole = end.size_bytes == seen.length as u64,
            }
        }
        Ok(self.0.lock().unwrap()[index].clone())
    }
}

fn too_small() -> Refusal {
    Refusal {
        problem: "too-small".into(),
        title: "The image is too small".into(),
        detail: "It is 12 x 12 pixels. Send a larger one.".into(),
    }
}

#[tonic::async_trait]
impl proto::ingest::ingest_server::Ingest for Ingest {
    async fn upload(&self, request: Request<Streaming<UploadPart>>) -> Answer<UploadAnswer> {
        let seen = self.drain(request).await?;
        let answer = match seen.start.as_slice() {
            b"refuse" => upload_answer::Answer::Refusal(too_small()),
            b"several" => upload_answer::Answer::Batch(batch("done")),
            b"full" => return Err(Status::unavailable("no room on /dev/sdb1")),
            _ => upload_answer::Answer::Scan(scan("queued")),
        };
        Ok(Response::new(UploadAnswer { answer: Some(answer) }))
    }

    async fn upload_batch(&self, request: Request<Streaming<UploadPart>>) -> Answer<BatchAnswer> {
        let seen = self.drain(request).await?;
        let answer = match seen.start.as_slice() {
            b"refuse" => batch_answer::Answer::Refusal(too_small()),
            _ => batch_answer::Answer::Batch(batch("done")),
        };
        Ok(Response::new(BatchAnswer { answer: Some(answer) }))
    }
}

/// Knows a scan by what it is: `queued`, `running`, `done`, `failed`; what goes wrong: `broken`,
/// `late`; and `echo`, whose reason is the id of the request.
///
/// Remembers what list it was asked for last.
#[derive(Clone, Default)]
pub struct Scans(Arc<Mutex<ListScans>>);

impl Scans {
    pub fn server(self) -> ScansServer<Scans> {
        ScansServer::new(self)
    }

    pub fn listed(&self) -> ListScans {
        self.0.lock().unwrap().clone()
    }
}

fn scan(id: &str) -> Scan {
    let (state, answer) = match id {
        "queued" => (State::Queued, proto::storage::Answer::Unspecified),
        "running" => (State::Running, proto::storage::Answer::Unspecified),
        "failed" => (State::Done, proto::storage::Answer::Failed),
        "unclear" => (State::Done, proto::storage::Answer::Unspecified),
        _ => (State::Done, proto::storage::Answer::Found),
    };
    Scan {
        id: id.into(),
        state: state.into(),
        answer: answer.into(),
        reason: if id == "failed" { "the worker died three times".into() } else { String::new() },
        accepted_ms: 1_700_000_000_000,
        completed_ms: if state == State::Done { 1_700_000_001_000 } else { 0 },
        format: "png".into(),
        original_sha256: "0a".repeat(32),
        volume_sha256: "0b".repeat(32),
        attempt: u32::from(state != State::Queued),
        shape: vec![1, 64, 64],
        ..Scan::default()
    }
}

fn known(id: &str) -> Result<Scan, Status> {
    match id {
        "queued" | "running" | "done" | "failed" | "unclear" | "volume" => Ok(scan(id)),
        "broken" => Err(Status::internal("the password of the database is 1234")),
        "late" => Err(Status::deadline_exceeded("no answer in time")),
        "panic" => panic!("a double panics"),
        _ => Err(Status::not_found("no such scan")),
    }
}

fn batch(id: &str) -> Batch {
    let entry = |name: &str, scan_id: &str, refusal_json: &str| BatchEntry {
        name: name.into(),
        scan_id: scan_id.into(),
        refusal_json: refusal_json.into(),
    };
    let refusal = r#"{"problem":"too-small","title":"The image is too small","detail":"12 x 12"}"#;
    let entries =
        vec![entry("../a.png", id, ""), entry("b.png", "failed", ""), entry("c.png", "", refusal)];
    Batch { id: id.into(), entries, accepted_ms: 1_700_000_000_000 }
}

type Flow<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl proto::storage::scans_server::Scans for Scans {
    type WatchStream = Flow<Scan>;
    type ReadStream = Flow<Chunk>;

    async fn accept(&self, _: Request<Streaming<AcceptPart>>) -> Answer<Scan> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn get(&self, request: Request<ScanRef>) -> Answer<Scan> {
        bearer(request.metadata()).ok_or_else(|| Status::unauthenticated("no token"))?;
        if request.get_ref().id == "echo" {
            let id = request.metadata().get("x-request-id").unwrap();
            return Ok(Response::new(Scan {
                reason: id.to_str().unwrap().into(),
                ..scan("failed")
            }));
        }
        Ok(Response::new(known(&request.get_ref().id)?))
    }

    async fn list(&self, request: Request<ListScans>) -> Answer<ScanPage> {
        let ListScans { limit, ref cursor, .. } = *request.get_ref();
        *self.0.lock().unwrap() = request.get_ref().clone();
        let next_cursor = if cursor.is_empty() { "a+b/c=".to_owned() } else { String::new() };
        Ok(Response::new(ScanPage {
            scans: vec![scan("done"); limit.min(2) as usize],
            next_cursor,
        }))
    }

    async fn get_identity(&self, request: Request<ScanRef>) -> Answer<ScanIdentity> {
        let scan_id = known(&request.get_ref().id)?.id;
        let (identity_json, reference) = match scan_id.as_str() {
            "done" => (r#"{"patient_name":"Canary^Yellow","patient_id":"4711"}"#, "order 7"),
            "running" => ("Canary^Yellow", ""),
            _ => ("", ""),
        };
        let (identity_json, reference) = (identity_json.into(), reference.into());
        Ok(Response::new(ScanIdentity { scan_id, identity_json, reference }))
    }

    async fn watch(&self, request: Request<ScanRef>) -> Answer<Flow<Scan>> {
        let id = request.into_inner().id;
        let now = known(&id)?;
        let changes: Vec<Result<Scan, Status>> = match id.as_str() {
            "queued" => vec![Ok(now), Ok(scan("running")), Ok(scan("done"))],
            "running" => {
                vec![Ok(now), Err(Status::internal("the password of the database is 1234"))]
            }
            _ => vec![Ok(now)],
        };
        Ok(Response::new(stream::iter(changes).boxed()))
    }

    async fn read(&self, request: Request<ArtefactRef>) -> Answer<Flow<Chunk>> {
        let ArtefactRef { id, name } = request.into_inner();
        let bytes: Vec<&[u8]> = match name.as_str() {
            "result.json" if id == "done" => vec![br#"{"answer":"found","#, br#""findings":[{}]}"#],
            "original" => vec![b"<script>"],
            "shown.png" if id == "volume" => vec![b"bytes of shown.png"],
            "image.png" | "mask.png" | "overlay.png" | "mask.nii.gz" if id != "failed" => {
                vec![b"bytes of ", name.as_bytes()]
            }
            // As a storage does that finds out only when it reads.
            _ => {
                return Ok(Response::new(
                    stream::iter([Err(Status::not_found("no such artefact"))]).boxed(),
                ));
            }
        };
        // A storage of the version before tells no sizes.
        let told = if id == "volume" { 0 } else { bytes.concat().len() as u64 };
        let chunk = |(index, data): (usize, &[u8])| {
            let size_bytes = if index == 0 { told } else { 0 };
            Ok(Chunk { data: Bytes::copy_from_slice(data), size_bytes })
        };
        let chunks: Vec<_> = bytes.into_iter().enumerate().map(chunk).collect();
        Ok(Response::new(stream::iter(chunks).boxed()))
    }

    async fn put_batch(&self, request: Request<Batch>) -> Answer<Batch> {
        Ok(Response::new(request.into_inner()))
    }

    async fn get_batch(&self, request: Request<BatchRef>) -> Answer<Batch> {
        match request.into_inner().id.as_str() {
            id @ ("queued" | "done") => Ok(Response::new(batch(id))),
            _ => Err(Status::not_found("no such batch")),
        }
    }
}

/// Signs in `ada`, whose password is `right`.
pub struct Auth(Issuer);

impl Auth {
    pub fn new(issuer: Issuer) -> Auth {
        Auth(issuer)
    }

    pub fn server(self) -> AuthServer<Auth> {
        AuthServer::new(self)
    }
}

fn tokens(right: bool, refresh_token: &str) -> Answer<Tokens> {
    let tokens = Tokens {
        access_token: "access".into(),
        expires_in_s: 300,
        refresh_token: refresh_token.into(),
    };
    right
        .then(|| Response::new(tokens))
        .ok_or_else(|| Status::unauthenticated("unknown name or wrong secret"))
}

#[tonic::async_trait]
impl proto::auth::auth_server::Auth for Auth {
    async fn sign_in(&self, request: Request<SignInRequest>) -> Answer<Tokens> {
        let SignInRequest { user_name, password } = request.into_inner();
        tokens((user_name.as_str(), password.as_str()) == ("ada", "right"), "once")
    }

    async fn client_credentials(
        &self,
        request: Request<ClientCredentialsRequest>,
    ) -> Answer<Tokens> {
        let ClientCredentialsRequest { client_id, client_secret } = request.into_inner();
        tokens((client_id.as_str(), client_secret.as_str()) == ("pacs", "s:cret"), "")
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Answer<Tokens> {
        tokens(request.into_inner().refresh_token == "once", "twice")
    }

    async fn sign_out(&self, _: Request<RefreshRequest>) -> Answer<Done> {
        Ok(Response::new(Done {}))
    }

    async fn keys(&self, _: Request<KeysRequest>) -> Answer<KeySet> {
        Ok(Response::new(KeySet { jwks_json: self.0.jwks() }))
    }

    async fn create_user(&self, request: Request<NewUser>) -> Answer<User> {
        let NewUser { user_name, roles, .. } = request.into_inner();
        if user_name == "ada" {
            return Err(Status::already_exists("the name is taken"));
        }
        Ok(Response::new(User { id: "u1".into(), user_name, roles }))
    }

    async fn list_users(&self, _: Request<ListUsersRequest>) -> Answer<Users> {
        Err(Status::permission_denied("your role does not allow this"))
    }

    async fn create_client(&self, request: Request<NewClient>) -> Answer<Client> {
        let NewClient { name, roles } = request.into_inner();
        Ok(Response::new(Client {
            client_id: "c1".into(),
            client_secret: "shown once".into(),
            name,
            roles,
        }))
    }
}

pub struct Drift;

impl Drift {
    pub fn server(self) -> DriftServer<Drift> {
        DriftServer::new(self)
    }
}

#[tonic::async_trait]
impl proto::drift::drift_server::Drift for Drift {
    async fn create_report(&self, request: Request<ReportRequest>) -> Answer<Report> {
        let ReportRequest { from_ms, to_ms } = request.into_inner();
        let json = format!(r#"{{"from_ms":{from_ms},"to_ms":{to_ms}}}"#);
        Ok(Response::new(Report { id: "r1".into(), json, html: "<h1>Drift</h1>".into() }))
    }

    async fn get_report(&self, request: Request<ReportRef>) -> Answer<Report> {
        let id = request.into_inner().id;
        Ok(Response::new(Report {
            json: format!("{{\"id\":{id:?}}}"),
            id,
            html: "<h1>Drift</h1>".into(),
        }))
    }
}
