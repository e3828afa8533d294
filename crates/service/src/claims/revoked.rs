use std::collections::{HashMap, HashSet};

use domain::{Result, TenantId};
use proto::auth::{Revocation, RevocationList};

use super::Claims;
use super::token::invalid_token;

/// Whose tokens of earlier epochs are refused although they have not expired, and which hospitals are not active.
#[derive(Default)]
pub struct Revoked {
    subjects: HashMap<String, i64>,
    tenants: HashMap<String, i64>,
    stopped: HashSet<String>,
    closed: HashSet<String>,
}

impl Revoked {
    pub fn of(list: RevocationList) -> Revoked {
        let by_id = |list: Vec<Revocation>| {
            list.into_iter().map(|Revocation { id, epoch }| (id, epoch)).collect()
        };
        Revoked {
            subjects: by_id(list.subjects),
            tenants: by_id(list.tenants),
            stopped: list.stopped_tenants.into_iter().collect(),
            closed: list.closed_tenants.into_iter().collect(),
        }
    }

    /// Whether that hospital is suspended or closed.
    pub fn has_stopped(&self, tenant: TenantId) -> bool {
        self.stopped.contains(&tenant.to_string())
    }

    /// Whether that hospital is closed for good.
    pub fn has_closed(&self, tenant: TenantId) -> bool {
        self.closed.contains(&tenant.to_string())
    }

    /// Refuses the bearer of a token from before the last change of their account or tenant, as any token that is not valid.
    pub fn check(&self, claims: &Claims) -> Result<()> {
        let (epochs, tenant) = (claims.epochs(), claims.tenant().to_string());
        let is_past = |list: &HashMap<String, i64>, id: &str, epoch: i64| {
            list.get(id).is_some_and(|first| epoch < *first)
        };
        if is_past(&self.subjects, &claims.subject, epochs.subject)
            || is_past(&self.tenants, &tenant, epochs.tenant)
        {
            return Err(invalid_token("it was revoked"));
        }
        Ok(())
    }
}
