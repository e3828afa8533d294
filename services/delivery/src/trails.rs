//! The chains of the audit trail, as storage and auth hand them to delivery.

use domain::Result;
use proto::audit::{Entry, Head, HeadsRef, Stretch};
use proto::auth::audit_trail_client::AuditTrailClient as OfAccounts;
use proto::storage::audit_trail_client::AuditTrailClient as OfScans;
use service::Peer;
use service::claims::{ServiceToken, authorised};
use tonic::Code;

/// Entries of one chain that are asked for at once.
const ENTRIES_ASKED: u32 = 100;

/// Which of the trails.
#[derive(Clone, Copy, Debug)]
pub enum Trail {
    Scans,
    Accounts,
}

impl Trail {
    pub const ALL: [Trail; 2] = [Trail::Scans, Trail::Accounts];

    /// The name used in SQL, in metrics, and in what entries are called.
    pub fn name(self) -> &'static str {
        match self {
            Trail::Scans => "scans",
            Trail::Accounts => "accounts",
        }
    }
}

/// The way to those who keep the trails; cheap to clone.
#[derive(Clone)]
pub struct Trails {
    scans: OfScans<Peer>,
    accounts: OfAccounts<Peer>,
    of_scans: ServiceToken,
    of_accounts: ServiceToken,
}

impl Trails {
    pub fn new(storage: Peer, auth: Peer, own: &ServiceToken) -> Trails {
        Trails {
            scans: OfScans::new(storage),
            accounts: OfAccounts::new(auth),
            of_scans: own.towards("storage"),
            of_accounts: own.towards("auth"),
        }
    }

    /// For whoever keeps that trail.
    fn token(&self, trail: Trail) -> &ServiceToken {
        match trail {
            Trail::Scans => &self.of_scans,
            Trail::Accounts => &self.of_accounts,
        }
    }

    /// Where each chain ends.
    pub async fn heads(&self, trail: Trail) -> Result<Vec<Head>> {
        let request = authorised(HeadsRef {}, &self.token(trail).get().await?);
        let heads = match trail {
            Trail::Scans => self.scans.clone().heads(request).await,
            Trail::Accounts => self.accounts.clone().heads(request).await,
        };
        match heads {
            Ok(heads) => Ok(heads.into_inner().heads),
            // One of the version before is updated in a moment.
            Err(status) if status.code() == Code::Unimplemented => Ok(Vec::new()),
            Err(status) => Err(status.into()),
        }
    }

    /// Some entries of one chain, from that position on.
    pub async fn read(&self, trail: Trail, tenant_id: &str, from: i64) -> Result<Vec<Entry>> {
        let asked = Stretch { tenant_id: tenant_id.to_owned(), from, limit: ENTRIES_ASKED };
        let request = authorised(asked, &self.token(trail).get().await?);
        let entries = match trail {
            Trail::Scans => self.scans.clone().read(request).await?,
            Trail::Accounts => self.accounts.clone().read(request).await?,
        };
        Ok(entries.into_inner().entries)
    }
}
