//! Which role each RPC asks for. Beside the tables of `services/gateway/tests/face/authorisation/`, where a double stands for ingest.

use domain::TenantId;
use futures::stream;
use proto::ingest::*;
use proto::storage::ScanRef;
use service::claims::{Role, authorised, operator_tenant};
use service::{system_clock, system_random};
use tonic::{Code, Request, Response, Status};

use crate::world::World;

const SENDERS: &[Role] = &[Role::Clinician, Role::Integrator, Role::Admin];
const READERS: &[Role] = &[Role::Clinician, Role::Admin];
const LEARNERS: &[Role] = &[Role::Scientist, Role::Admin];

/// What somebody with that token asks, or somebody without any.
fn asked<T>(message: T, token: Option<&str>) -> Request<T> {
    match token {
        Some(token) => authorised(message, token),
        None => Request::new(message),
    }
}

fn code<T>(answer: Result<Response<T>, Status>) -> Code {
    answer.err().map_or(Code::Ok, |status| status.code())
}

/// Each RPC, who may call it, and what is said to an empty message of somebody with that token.
async fn told(world: &World, token: Option<&str>) -> Vec<(&'static str, &'static [Role], Code)> {
    let mut ingest = world.client();
    let nobodys = || asked(PartialUploadRef::default(), token);
    let nothing = || asked(stream::empty::<UploadPart>(), token);
    let no_instance = asked(stream::empty::<StorePart>(), token);
    let no_bytes = asked(stream::empty::<AppendPart>(), token);
    let no_word = asked(stream::empty::<FeedbackUploadPart>(), token);
    let study = asked(StudyToComplete::default(), token);
    let beginning = asked(UploadBeginning::default(), token);
    vec![
        ("Upload", SENDERS, code(ingest.upload(nothing()).await)),
        ("UploadBatch", SENDERS, code(ingest.upload_batch(nothing()).await)),
        ("BeginUpload", SENDERS, code(ingest.begin_upload(beginning).await)),
        ("GetUpload", SENDERS, code(ingest.get_upload(nobodys()).await)),
        ("AppendUpload", SENDERS, code(ingest.append_upload(no_bytes).await)),
        ("DropUpload", SENDERS, code(ingest.drop_upload(nobodys()).await)),
        ("StoreInstances", SENDERS, code(ingest.store_instances(no_instance).await)),
        ("CompleteStudy", SENDERS, code(ingest.complete_study(study).await)),
        ("GiveFeedback", READERS, code(ingest.give_feedback(no_word).await)),
        ("Deidentify", LEARNERS, code(ingest.deidentify(asked(ScanRef::default(), token)).await)),
    ]
}

#[tokio::test]
async fn every_rpc_is_for_those_it_is_for() {
    let world = World::new().await;
    let hospital = TenantId::new(&system_clock(), &system_random());
    let of = |role| (Some(role), Some(world.issuer.token(hospital, &[role])));
    let callers = [
        of(Role::Clinician),
        of(Role::Integrator),
        of(Role::Scientist),
        of(Role::Admin),
        (Some(Role::Operator), Some(world.issuer.token(operator_tenant(), &[Role::Operator]))),
        (Some(Role::Service), Some(world.issuer.service_token())),
        (Some(Role::Delivery), Some(world.issuer.delivery_token())),
        (None, None),
    ];
    for (role, token) in callers {
        for (rpc, may, code) in told(&world, token.as_deref()).await {
            let of = format!("{rpc} for {role:?}");
            match role {
                None => assert_eq!(code, Code::Unauthenticated, "{of}"),
                // A hospital that lets nothing be learned from refuses whoever may ask, too.
                Some(role) if may.contains(&role) && rpc == "Deidentify" => {
                    assert_ne!(code, Code::Unauthenticated, "{of}");
                }
                Some(role) if may.contains(&role) => {
                    let refused = [Code::Unauthenticated, Code::PermissionDenied];
                    assert!(!refused.contains(&code), "{of}: {code:?}");
                }
                Some(_) => assert_eq!(code, Code::PermissionDenied, "{of}"),
            }
        }
    }
}
