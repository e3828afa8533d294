//! What is refused at the door: told, and kept nowhere.

use proto::events::UploadRefused;
use proto::storage::*;
use service::claims::{Role, authorised};
use service::{CloudEvent, topics};
use tonic::Code;

use crate::world::{World, next};

fn not_a_head(site: &str) -> RefusedUpload {
    RefusedUpload { problem: "not-a-head".into(), site: site.into(), ..RefusedUpload::default() }
}

pub async fn a_refused_file_is_told_of_and_kept_nowhere(world: World) {
    let mut news = world.refused().await;
    let said = not_a_head(&"x".repeat(100));
    world.scans.clone().note_refusal(world.by(world.hospital, said)).await.unwrap();
    let body = next(&mut news).await;
    let event = CloudEvent::<UploadRefused>::parse(topics::UPLOAD_REFUSED, &body).unwrap();
    let told = UploadRefused {
        tenant_id: world.hospital.to_string(),
        refused_ms: world.clock.clock().now_ms(),
        problem: "not-a-head".into(),
        site: Some("x".repeat(64)),
        scanner: None,
        image_kind: None,
    };
    assert_eq!(event.data, told);
    let list = world.by(world.hospital, ListScans::default());
    assert!(world.scans.clone().list(list).await.unwrap().into_inner().scans.is_empty());

    let strange = RefusedUpload { problem: "No name\n".into(), ..RefusedUpload::default() };
    let refused = world.scans.clone().note_refusal(world.by(world.hospital, strange)).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    // A user's own token is not ingest's word for it.
    let own = world.issuer.token(world.hospital, &[Role::Clinician]);
    let refused = world.scans.clone().note_refusal(authorised(not_a_head(""), &own)).await;
    let code = refused.unwrap_err().code();
    assert!(matches!(code, Code::PermissionDenied | Code::Unauthenticated), "{code:?}");
}

pub async fn while_the_queue_is_far_behind_refusals_are_not_told(world: World) {
    // Messages that this version leaves to a later one, so that they stay.
    for number in 0..1000 {
        sqlx::query("INSERT INTO outbox (id, topic, body) VALUES (?, 'of a later version', '')")
            .bind(format!("ffffffff-0000-7000-8000-{number:012}"))
            .execute(world.ports.database.pool())
            .await
            .unwrap();
    }
    for _ in 0..3 {
        let said = world.by(world.hospital, not_a_head("West"));
        world.scans.clone().note_refusal(said).await.unwrap();
    }
    let waiting: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outbox")
        .fetch_one(world.ports.database.pool())
        .await
        .unwrap();
    assert_eq!(waiting, 1000);
}
