//! Writes the heads of all chains into the object store, from time to time: who can change every row of a database cannot change
//! what was written there before, where the store keeps it from them.

use std::time::Duration;

use bytes::Bytes;
use domain::{ErrorKind, Result};
use platform::trail::{self, Anchor, AnchorSignature, Head};
use proto::audit::HeadsRef;
use proto::auth::audit_trail_client::AuditTrailClient;
use proto::registry::AnchorStatement;
use proto::registry::routing_client::RoutingClient;
use service::claims::{ServiceToken, authorised};
use service::{Peer, Worker};
use tonic::Code;

use crate::Peers;
use crate::store::Store;

/// A service that has just begun has other things to do.
const FIRST_AFTER: Duration = Duration::from_secs(300);

/// The way to the registry, which signs.
struct Signing {
    registry: RoutingClient<Peer>,
    token: ServiceToken,
}

/// Anchors the chains of this service, and those of auth.
pub fn anchor(store: Store, peers: Peers) -> Worker {
    let interval = Duration::from_secs(60 * u64::from(store.rules.audit_anchor_minutes.max(1)));
    let Peers { auth, registry, service_secret } = peers;
    let signing = registry.zip(service_secret).map(|(registry, secret)| Signing {
        registry: RoutingClient::new(registry),
        token: ServiceToken::new(auth.clone(), secret, store.clock.clone()).towards("registry"),
    });
    let auth = AuditTrailClient::new(auth);
    Worker::new("anchors", move |stop| async move {
        let mut wait = interval.min(FIRST_AFTER);
        while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
            wait = interval;
            if let Err(error) = anchored(&store, &auth, signing.as_ref()).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "could not anchor the audit trail");
            }
        }
        Ok(())
    })
}

async fn anchored(
    store: &Store,
    auth: &AuditTrailClient<Peer>,
    signing: Option<&Signing>,
) -> Result<()> {
    let storage = trail::heads(&store.database).await?;
    // One that is away, or of the version before, leaves its part out, and not that of others.
    let accounts = heads_of(auth).await.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "auth does not tell its heads");
        Vec::new()
    });
    let at_ms = store.clock.now_ms();
    let mut anchor = Anchor { at_ms, storage, accounts, signature: None };
    if let Some(signing) = signing {
        // An anchor without it is better than none.
        anchor.signature = signing
            .signature(&anchor)
            .await
            .inspect_err(|error| {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "an anchor of the audit trail is written unsigned");
            })
            .ok();
    }
    let bytes = anchor.to_json()?;
    let mut staging = store.blobs.stage().await?;
    staging.write(Bytes::from(bytes)).await?;
    let staged = staging.finish().await?;
    let key = trail::anchor_key(at_ms, &staged.sha256);
    store.blobs.keep(vec![(key, staged)]).await
}

impl Signing {
    async fn signature(&self, anchor: &Anchor) -> Result<AnchorSignature> {
        let statement = AnchorStatement { sha256: anchor.sha256()? };
        let request = authorised(statement, &self.token.get().await?);
        let signed = self.registry.clone().sign_anchor(request).await?.into_inner();
        Ok(AnchorSignature { key_id: signed.key_id, value: signed.value })
    }
}

async fn heads_of(auth: &AuditTrailClient<Peer>) -> Result<Vec<Head>> {
    let heads = match auth.clone().heads(HeadsRef {}).await {
        Ok(heads) => heads.into_inner().heads,
        Err(status) if status.code() == Code::Unimplemented => Vec::new(),
        Err(status) => return Err(status.into()),
    };
    let sound = |head: &proto::audit::Head| head.position >= 0 && head.sha256.len() <= 64;
    if !heads.iter().all(sound) {
        return Err(ErrorKind::Internal.error("auth tells heads that are none"));
    }
    let head = |head: proto::audit::Head| Head {
        tenant_id: head.tenant_id,
        position: head.position,
        sha256: head.sha256,
    };
    Ok(heads.into_iter().map(head).collect())
}
