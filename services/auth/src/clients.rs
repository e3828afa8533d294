use domain::{Clock, ErrorKind, Random, Result, TenantId, UserId};
use platform::db::{self, Database};
use secrecy::{ExposeSecret, SecretString};
use service::claims::{Grant, Role, SERVICE_CLIENT, service_tenant};

use crate::accounts::label;
use crate::{roles, secrets};

/// Programs that sign in: a hospital's own, and medseg's workers.
pub struct Clients {
    database: Database,
    service_secret_hash: Option<String>,
    clock: Clock,
    random: Random,
}

/// A new client, and the only sight of its secret.
pub struct NewClient {
    pub id: UserId,
    pub secret: String,
    pub name: String,
}

impl Clients {
    pub fn new(
        database: Database,
        service_secret: Option<SecretString>,
        clock: Clock,
        random: Random,
    ) -> Clients {
        let service_secret_hash =
            service_secret.map(|secret| secrets::hash(secret.expose_secret()));
        Clients { database, service_secret_hash, clock, random }
    }

    pub async fn create(&self, tenant: TenantId, name: &str, roles: &[Role]) -> Result<NewClient> {
        let (id, secret) = (UserId::new(&self.clock, &self.random), secrets::secret(&self.random));
        let name = label(name, "a client's name")?;
        sqlx::query(
            "INSERT INTO clients (tenant_id, id, name, secret_hash, roles, created_ms)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(name.as_str())
        .bind(secrets::hash(&secret))
        .bind(roles::to_text(roles))
        .bind(self.clock.now_ms())
        .execute(self.database.pool())
        .await
        .map_err(db::failed)?;
        tracing::info!(tenant.id = %tenant, client.id = %id, "made an API client");
        Ok(NewClient { id, secret, name })
    }

    /// What the client may have; one answer for an unknown client and for a wrong secret.
    pub async fn grant(&self, id: &str, secret: &str) -> Result<Grant> {
        let hash = secrets::hash(secret);
        let grant = match id {
            SERVICE_CLIENT => self.service(&hash),
            _ => self.hospitals(id, &hash).await?,
        };
        grant.ok_or_else(|| ErrorKind::Unauthenticated.error("the client or its secret is wrong"))
    }

    fn service(&self, hash: &str) -> Option<Grant> {
        (self.service_secret_hash.as_deref() == Some(hash)).then(|| Grant {
            subject: SERVICE_CLIENT.into(),
            name: String::new(),
            tenant: service_tenant(),
            roles: vec![Role::Service],
        })
    }

    async fn hospitals(&self, id: &str, hash: &str) -> Result<Option<Grant>> {
        let row: Option<(String, String, String, String, String)> = sqlx::query_as(
            "SELECT tenant_id, id, name, roles, secret_hash FROM clients WHERE id = ?",
        )
        .bind(id)
        .fetch_optional(self.database.pool())
        .await
        .map_err(db::failed)?;
        let Some((tenant, subject, name, roles, _)) = row.filter(|row| row.4 == hash) else {
            return Ok(None);
        };
        let roles = roles::from_text(&roles);
        Ok(Some(Grant { subject, name, tenant: tenant.parse()?, roles }))
    }
}
