//! The RPCs of auth, storage, registry, drift and delivery, without the gateway.

use std::collections::BTreeSet;
use std::time::Instant;

use axum::http::Request;
use bytes::Bytes;
use http_body_util::Full;
use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet};
use proto::auth::accounts_client::AccountsClient;
use proto::auth::auth_client::AuthClient;
use proto::auth::{ListUsersRequest, NewClient};
use proto::storage::Decision;
use proto::storage::learning_client::LearningClient;
use service::Peer;
use service::claims::{Role, authorised};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt;

use super::{Expected, Ids, May, ROLES, Tally, fields, has_own, rows, value};
use crate::mesh::{Faces, Mesh};
use crate::{Way, reach};

/// Service and method; who may; its ids; `ok` where it succeeds with those of the own hospital. Ingest's are played by
/// `services/ingest/tests/suite/roles.rs`, and inference's by `services/inference/tests/worker/kinds.rs`.
const TABLE: &str = "
    auth Providers/Begin            | *
    auth Providers/Finish           | *
    auth Providers/LogOut           | *
    auth Providers/Get              | A
    auth Providers/Set              | A
    auth Providers/Remove           | A
    auth SecondFactors/Begin        | @
    auth SecondFactors/Confirm      | @
    auth SecondFactors/Remove       | @
    auth SecondFactors/RemoveOf     | A     | user_id=user
    auth SecondFactors/BeginKey     | @
    auth SecondFactors/AddKey       | @
    auth SecondFactors/ChallengeKeys | @
    auth SecondFactors/RemoveKey    | @     | id=key
    auth SecondFactors/ListKeys     | A     | user_id=user    | ok
    auth SecondFactors/RemoveKeyOf  | A     | user_id=user id=key
    auth SecondFactors/GetRules     | A     |                 | ok
    auth SecondFactors/SetRules     | A
    auth Auth/SignIn                | *
    auth Auth/ClientCredentials     | *
    auth Auth/Refresh               | *
    auth Auth/SignOut               | *
    auth Auth/Keys                  | *
    auth Auth/Revocations           | *
    auth Auth/UseLink               | *
    auth Auth/CreateUser            | A
    auth Auth/ListUsers             | A     |                 | ok
    auth Auth/CreateClient          | A
    auth Auth/Standings             | D
    auth Accounts/Me                | @
    auth Accounts/ChangePassword    | @
    auth Accounts/ListSessions      | A     | user_id=user    | ok
    auth Accounts/EndSession        | A     | user_id=user session_id=session
    auth Accounts/Invite            | A
    auth Accounts/ResetPassword     | A     | user_id=user
    auth Accounts/ChangeUser        | A     | user_id=user
    auth Accounts/DeleteUser        | A     | user_id=user
    auth Accounts/ListClients       | A     |                 | ok
    auth Accounts/ChangeClient      | A     | client_id=client
    auth Accounts/RotateClient      | A     | client_id=client
    auth Accounts/EndRotation       | A     | client_id=client
    auth Accounts/DeleteClient      | A     | client_id=client
    auth Tenants/Create             | O
    auth Tenants/List               | O     |                 | ok
    auth Tenants/Get                | O     | tenant_id=tenant
    auth Tenants/Change             | O     | tenant_id=tenant
    auth Tenants/SetState           | O     | tenant_id=tenant
    auth Tenants/Export             | O     | tenant_id=tenant
    auth AuditTrail/List            | A     |                 | ok
    auth AuditTrail/Heads           | *
    auth AuditTrail/Read            | D

    storage Scans/Accept            | V:CIA
    storage Scans/Get               | CIA   | id=scan         | ok
    storage Scans/List              | CIA   |                 | ok
    storage Scans/GetIdentity       | CI    | id=scan
    storage Scans/FindStudies       | CI
    storage Scans/ListPriors        | CI    | id=scan
    storage Scans/Watch             | CIA   | id=scan         | ok
    storage Scans/WatchAll          | CIA
    storage Scans/Prioritise        | CIA   | id=scan
    storage Scans/Retry             | CIA   | id=scan
    storage Scans/Delete            | CIA   | id=scan
    storage Scans/Read              | CIA   | id=scan name='image.png' | ok
    storage Scans/ReadRest          | CIA   | id=scan name='image.png'
    storage Scans/PutBatch          | V:CIA
    storage Scans/GetBatch          | CIA   | id=batch        | ok
    storage Scans/NoteRefusal       | V:CIA
    storage Feedback/Give           | CA
    storage Feedback/ListOfScan     | CA    | id=scan
    storage Feedback/ListScans      | CA
    storage Feedback/ReadMask       | CA    | scan_id=scan id=feedback
    storage Learning/GetConsent     | CISA  |                 | ok
    storage Learning/Decide         | A     | learning=true
    storage Learning/ListConfirmed  | SA
    storage Learning/ReadImage      | SA    | id=scan
    storage Learning/ReadTruth      | SA    | id=scan
    storage Learning/ReadOriginal   | V:SA  | id=scan
    storage AuditTrail/List         | A     |                 | ok
    storage AuditTrail/NoteOwn      | @
    storage AuditTrail/Heads        | D
    storage AuditTrail/Read         | D
    storage SeriesRules/List        | CIA   |                 | ok
    storage SeriesRules/Add         | A
    storage SeriesRules/Remove      | A     | id=rule
    storage Limits/GetOfTenant      | O     | tenant_id=tenant
    storage Limits/SetOfTenant      | O     | tenant_id=tenant
    storage Limits/List             | A
    storage Limits/SetOfClient      | A     | client_id=nobody
    storage Limits/ListQuotas       | CIA   |                 | ok
    storage Incidents/Report        | CISA  | scan_id=scan words='words'
    storage Incidents/ListIncidents | A
    storage Incidents/MakeIncidentLink   | CIA | scan_id=scan
    storage Incidents/ListIncidentLinks  | CIA
    storage Incidents/RevokeIncidentLink | CIA | id=link
    storage Incidents/ReportByLink  | *
    storage Stops/GetStops          | CSA
    storage Stops/SetRule           | A
    storage Stops/Lift              | A
    storage Jobs/Claim              | W     | job_id=job
    storage Jobs/ReadVolume         | W     | job_id=job
    storage Jobs/Heartbeat          | W     | job_id=job
    storage Jobs/Complete           | W
    storage Jobs/Fail               | W     | job_id=job
    storage Handover/GetScan        | D     | tenant_id=tenant scan_id=nobody
    storage Handover/ReadFile       | D     | tenant_id=tenant scan_id=nobody
    storage Handover/GetPatient     | D     | tenant_id=tenant scan_id=nobody
    storage Handover/Note           | D
    storage Erasures/Erase          | A
    storage Erasures/GetErasure     | A     | id=erasure
    storage Erasures/Lift           | A     | id=erasure reason='reason'
    storage Erasures/FindErased     | V:CIA
    storage Erasures/NoteErased     | V:CIA
    storage Erasures/SetHold        | A
    storage Erasures/ListHolds      | A     |                 | ok
    storage Erasures/GetRetention   | A     |                 | ok
    storage Erasures/SetRetention   | A

    registry Models/Register        | SA
    registry Models/List            | SAW   |                 | ok
    registry Models/Get             | SAW   | name='medseg-mr' version='9.9'
    registry Models/Read            | SAW   | name='medseg-mr' version='9.9' file='weights.safetensors'
    registry Models/Promote         | A     | name='medseg-mr' version='9.9'
    registry Models/RollBack        | A     | name='medseg-mr' version='9.9'
    registry Models/Shadow          | SA    | name='medseg-mr' version='9.9'
    registry Models/Retire          | A     | name='medseg-mr' version='9.9'
    registry Models/ListEvents      | SAW
    registry Models/ListComparisons | SA    | name='medseg-mr' version='9.9'
    registry Models/ListCompared    | SA    | name='medseg-mr' version='9.9'
    registry Models/CountRows       | A
    registry Models/SignReceipt     | A
    registry Models/Keys            | *
    registry Routing/GetRoutes      | W
    registry Routing/RecordEvaluation | W
    registry Routing/RecordComparison | W
    registry Routing/SignResult     | W
    registry Routing/SignAnchor     | W

    drift Drift/CreateReport        | SA
    drift Drift/GetReport           | SA    | id=report
    drift Drift/ListWindows         | SA
    drift Drift/GetWindow           | SA    | id=window       | ok
    drift Drift/CompareWindows      | SA    | a=window b=window
    drift Drift/ReadRows            | SA
    drift Drift/GetQuality          | CSA
    drift Drift/RecordEvaluation    | SA
    drift Drift/CountRows           | A
    drift Drift/CompareConfirmed    | SA    | name='medseg-mr' version='9.9'
    drift Drift/ListEvaluations     | CSA

    delivery Delivery/CreateDestination | A
    delivery Delivery/ListDestinations  | A |                 | ok
    delivery Delivery/ChangeDestination | A | id=destination
    delivery Delivery/RemoveDestination | A | id=destination
    delivery Delivery/ListDeliveries    | IA
    delivery Delivery/SendAgain         | IA | id=delivery
    delivery Delivery/CountRows         | A

    ingest Ingest/Upload            | -
    ingest Ingest/UploadBatch       | -
    ingest Ingest/GiveFeedback      | -
    ingest Ingest/BeginUpload       | -
    ingest Ingest/GetUpload         | -
    ingest Ingest/AppendUpload      | -
    ingest Ingest/DropUpload        | -
    ingest Ingest/StoreInstances    | -
    ingest Ingest/CompleteStudy     | -
    ingest Ingest/Deidentify        | -

    inference Kinds/TellKind        | -
";

struct Row {
    service: &'static str,
    path: String,
    may: May,
    fields: Vec<(&'static str, &'static str)>,
    succeeds: bool,
    asked: DescriptorProto,
}

/// What the contract says of itself.
struct Contract(FileDescriptorSet);

impl Contract {
    fn read() -> Contract {
        Contract(FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap())
    }

    /// Every RPC between services, by its path, with the name of what it is asked.
    fn rpcs(&self) -> Vec<(String, String)> {
        let ours = self.0.file.iter().filter(|file| file.package().starts_with("medseg."));
        let services = ours.flat_map(|file| {
            file.service.iter().map(move |service| (file.package().to_owned(), service))
        });
        services
            .flat_map(|(package, service)| {
                let path = format!("/{package}.{}", service.name());
                let methods = service.method.iter();
                methods.map(move |method| {
                    (format!("{path}/{}", method.name()), method.input_type().to_owned())
                })
            })
            .collect()
    }

    fn message(&self, name: &str) -> DescriptorProto {
        let mut all = self.0.file.iter().flat_map(|file| {
            file.message_type
                .iter()
                .map(move |one| (format!(".{}.{}", file.package(), one.name()), one))
        });
        let found = all.find(|(full, _)| full == name);
        found.unwrap_or_else(|| panic!("the contract has no {name}")).1.clone()
    }

    fn table(&self) -> Vec<Row> {
        let rpcs = self.rpcs();
        let row = |columns: Vec<&'static str>| {
            let (service, method) = columns[0].split_once(' ').unwrap();
            let path = format!("/medseg.{service}.v1.{method}");
            let asked = rpcs.iter().find(|(of, _)| *of == path);
            let (_, asked) = asked.unwrap_or_else(|| panic!("there is no RPC {path}"));
            Row {
                service,
                may: May::read(columns[1]),
                fields: fields(columns.get(2).copied().unwrap_or_default()),
                succeeds: columns.get(3) == Some(&"ok"),
                asked: self.message(asked),
                path,
            }
        };
        let table: Vec<Row> = rows(TABLE).map(row).collect();
        let named: BTreeSet<&String> = table.iter().map(|row| &row.path).collect();
        let there: BTreeSet<&String> = rpcs.iter().map(|(path, _)| path).collect();
        assert_eq!(named, there, "each RPC has a row");
        table
    }
}

impl Row {
    /// The message with those ids; with none of them there is nothing that has such.
    fn message(&self, ids: Option<&Ids>) -> Vec<u8> {
        let mut message = Vec::new();
        for (name, of) in &self.fields {
            let field = self.asked.field.iter().find(|field| field.name() == *name);
            let number = field.unwrap_or_else(|| panic!("{}: no {name}", self.path)).number();
            let (number, text) = (u64::try_from(number).unwrap(), value(of, ids));
            // On the wire a truth is a number, and a text has its length before it.
            if *of == "true" {
                prost::encoding::encode_varint(number << 3, &mut message);
                prost::encoding::encode_varint(1, &mut message);
            } else {
                prost::encoding::encode_varint((number << 3) | 2, &mut message);
                prost::encoding::encode_varint(text.len() as u64, &mut message);
                message.extend(text.bytes());
            }
        }
        message
    }
}

/// The services, and the ids of one hospital's things.
struct Behind {
    mesh: Mesh,
    peers: [(&'static str, Peer); 5],
    own: Ids,
    _stop: CancellationToken,
}

impl Behind {
    async fn start() -> Behind {
        let stop = CancellationToken::new();
        let (mesh, Faces { auth, storage, drift, registry, delivery }) = Mesh::open().await;
        let peers = [
            ("auth", reach(auth, Way::Within, &stop).await),
            ("storage", reach(storage, Way::Within, &stop).await),
            ("drift", reach(drift, Way::Within, &stop).await),
            ("registry", reach(registry, Way::Within, &stop).await),
            ("delivery", reach(delivery, Way::Within, &stop).await),
        ];
        let (scan, window) = (mesh.done().await, "01890a5d-ac96-774b-bcce-b302099a8001".to_owned());
        let batch = mesh.batch(&scan).await.id;
        mesh.window(&window, 1, false).await;
        let admin = mesh.token(Role::Admin);
        let mut auth = AuthClient::new(peers[0].1.clone());
        let users = auth.list_users(authorised(ListUsersRequest {}, &admin)).await.unwrap();
        let user = users.into_inner().users[0].id.clone();
        let new = NewClient {
            name: "pacs".into(),
            roles: vec!["integrator".into()],
            ..NewClient::default()
        };
        let client = auth.create_client(authorised(new, &admin)).await.unwrap();
        let client = client.into_inner().client_id;
        // Rotating, so that there is something to end.
        let rotate = proto::auth::ClientRef { client_id: client.clone() };
        let mut accounts = AccountsClient::new(peers[0].1.clone());
        accounts.rotate_client(authorised(rotate, &admin)).await.unwrap();
        let mut learning = LearningClient::new(peers[1].1.clone());
        for admin in [&admin, &mesh.token_there(Role::Admin)] {
            let decision = Decision { learning: true };
            learning.decide(authorised(decision, admin)).await.unwrap();
        }
        let own = Ids::from([
            ("scan", scan),
            ("batch", batch),
            ("user", user),
            ("client", client),
            ("window", window),
        ]);
        Behind { mesh, peers, own, _stop: stop }
    }

    /// What is said to that caller, for whom a service vouches or none does.
    async fn call(
        &self,
        row: &Row,
        token: Option<&str>,
        vouched: bool,
        ids: Option<&Ids>,
    ) -> (Code, String) {
        let message = row.message(ids);
        let mut frame = vec![0];
        frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend(message);
        let mut request = Request::post(&row.path).header("content-type", "application/grpc");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if vouched {
            request = request.header("medseg-service-token", self.mesh.token(Role::Service));
        }
        let request = request.body(Body::new(Full::new(Bytes::from(frame)))).unwrap();
        let (_, peer) = self.peers.iter().find(|(name, _)| *name == row.service).unwrap();
        let response = peer.clone().oneshot(request).await.unwrap();
        // A refusal has nothing behind it.
        let status = Status::from_header_map(response.headers());
        status.map_or((Code::Ok, String::new()), |said| (said.code(), said.message().to_owned()))
    }

    async fn admission(&self, row: &Row, tally: &mut Tally) {
        let callers = ROLES.iter().map(|(_, role)| Some(*role));
        for caller in callers.chain([None]) {
            let token = caller.map(|role| self.mesh.token(role));
            let ids = [None, Some(&self.own)];
            for vouched in [false, true] {
                let expected = expected(&row.may, caller, vouched);
                if vouched && !matches!(row.may, May::Vouched(_)) {
                    continue;
                }
                // What the own are let do is not done to them.
                let refused = matches!(expected, Expected::Unauthenticated | Expected::Forbidden);
                let tries = if refused && has_own(&row.fields, &self.own) { 2 } else { 1 };
                for ids in &ids[..tries] {
                    let (code, said) = self.call(row, token.as_deref(), vouched, *ids).await;
                    tally.calls += 1;
                    let of = || format!("{} for {caller:?}, vouched: {vouched} ({said})", row.path);
                    tally.expect(of, met(expected, code), expected);
                }
            }
        }
    }

    async fn foreign(&self, row: &Row, tally: &mut Tally) {
        for role in row.may.of_a_hospital() {
            if row.succeeds {
                let token = self.mesh.token(role);
                let own = self.call(row, Some(&token), false, Some(&self.own)).await;
                tally.calls += 1;
                let of = || format!("{} for {role:?}, own ({})", row.path, own.1);
                tally.expect(of, own.0, Code::Ok);
            }
            if !has_own(&row.fields, &self.own) {
                continue;
            }
            let token = self.mesh.token_there(role);
            let begun = Instant::now();
            let foreign = self.call(row, Some(&token), false, Some(&self.own)).await;
            tally.foreign.push(begun.elapsed());
            let begun = Instant::now();
            let unknown = self.call(row, Some(&token), false, None).await;
            tally.unknown.push(begun.elapsed());
            tally.calls += 2;
            let of = || format!("{} for {role:?}, another's beside nobody's", row.path);
            tally.expect(of, &foreign, &unknown);
            let of = || format!("{} for {role:?}, another's ({})", row.path, foreign.1);
            tally.expect(of, foreign.0 == Code::Ok, false);
        }
    }
}

fn expected(may: &May, caller: Option<Role>, vouched: bool) -> Expected {
    match (may, caller) {
        (May::Anybody | May::Ingest, _) => Expected::Anything,
        // Whoever is vouched for shows a token, too.
        (May::Vouched(_), _) if !vouched => Expected::Forbidden,
        (_, None) => Expected::Unauthenticated,
        (May::Oneself, Some(_)) => Expected::Admitted,
        (May::These { depends, .. }, Some(role)) if depends.contains(&role) => Expected::Known,
        (May::These { may, .. } | May::Vouched(may), Some(role)) if may.contains(&role) => {
            Expected::Admitted
        }
        _ => Expected::Forbidden,
    }
}

/// What has come of it, in the words of what was expected.
fn met(expected: Expected, code: Code) -> Expected {
    match (code, expected) {
        (_, Expected::Anything) => Expected::Anything,
        (Code::Unauthenticated, _) => Expected::Unauthenticated,
        (_, Expected::Known) => Expected::Known,
        (Code::PermissionDenied, _) => Expected::Forbidden,
        _ => Expected::Admitted,
    }
}

#[tokio::test]
async fn every_rpc_is_for_those_it_is_for_and_what_is_anothers_is_as_if_it_were_not() {
    let (behind, table) = (Behind::start().await, Contract::read().table());
    let mut tally = Tally::default();
    while !tally.is_done() {
        for row in table.iter().filter(|row| !matches!(row.may, May::Anybody | May::Ingest)) {
            behind.admission(row, &mut tally).await;
            behind.foreign(row, &mut tally).await;
        }
    }
    tally.end("gRPC");
}
