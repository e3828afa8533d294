use domain::{Clock, ErrorKind, Random, Result, TenantId, UserId};
use platform::db::{self, BindId, Database, Run, Unit};
use platform::trail::{self, Asker};
use secrecy::{ExposeSecret, SecretString};
use service::claims::{
    DELIVERY_CLIENT, Epochs, Grant, Role, SERVICE_CLIENT, delivery_tenant, operator_tenant,
    service_tenant,
};
use sqlx::FromRow;

use crate::accounts::{hold, label};
use crate::states::TenantState;
use crate::{audit, revocations, roles, scopes, secrets};

/// When a client has last signed in is noted so often at most: it is asked for by the day.
const NOTED_EVERY_MS: i64 = 60_000;

/// Programs that sign in: a hospital's own, and medseg's workers.
pub struct Clients {
    database: Database,
    /// Of medseg's own services, by their clients.
    own: Vec<Own>,
    clock: Clock,
    random: Random,
}

/// One of medseg's own services, that signs in.
pub struct Own {
    client: &'static str,
    secret_hash: String,
    tenant: TenantId,
    role: Role,
}

impl Own {
    /// The workers, which sign in with that secret.
    pub fn workers(secret: &SecretString) -> Own {
        let secret_hash = secrets::hash(secret.expose_secret());
        Own { client: SERVICE_CLIENT, secret_hash, tenant: service_tenant(), role: Role::Service }
    }

    /// What pushes results to hospitals' systems.
    pub fn delivery(secret: &SecretString) -> Own {
        let secret_hash = secrets::hash(secret.expose_secret());
        let (tenant, role) = (delivery_tenant(), Role::Delivery);
        Own { client: DELIVERY_CLIENT, secret_hash, tenant, role }
    }

    fn grant(&self, hash: &str) -> Option<Grant> {
        secrets::same(&self.secret_hash, hash).then(|| Grant {
            subject: self.client.into(),
            name: String::new(),
            tenant: self.tenant,
            roles: vec![self.role],
            scopes: Vec::new(),
            epochs: Epochs::default(),
        })
    }
}

/// A client to be.
pub struct ClientToBe {
    pub name: String,
    pub roles: Vec<Role>,
    /// The sections of the REST face that it is confined to; empty: to none.
    pub scopes: Vec<String>,
    /// 0: never.
    pub expires_ms: i64,
}

/// What is to be different about a client.
#[derive(Default)]
pub struct ClientChange {
    pub roles: Option<Vec<Role>>,
    pub disabled: Option<bool>,
    /// 0: never.
    pub expires_ms: Option<i64>,
}

/// A client with a new secret, and the only sight of it.
pub struct NewClient {
    pub client: Client,
    pub secret: String,
}

/// A client, without its secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    pub id: UserId,
    pub name: String,
    pub roles: Vec<Role>,
    pub scopes: Vec<String>,
    pub disabled: bool,
    pub created_ms: i64,
    /// 0: never.
    pub expires_ms: i64,
    /// When it has last signed in, to the minute; 0: never.
    pub used_ms: i64,
    /// Two secrets are valid.
    pub rotating: bool,
}

#[derive(FromRow)]
struct Row {
    id: String,
    name: String,
    roles: String,
    scopes: String,
    disabled: i64,
    created_ms: i64,
    expires_ms: i64,
    used_ms: i64,
    old_secret_hash: String,
}

/// What a client signs in with, and what it may have then.
#[derive(FromRow)]
struct Credentials {
    tenant_id: String,
    name: String,
    roles: String,
    scopes: String,
    secret_hash: String,
    old_secret_hash: String,
    disabled: i64,
    expires_ms: i64,
    epoch: i64,
    tenant_state: String,
    tenant_epoch: i64,
}

macro_rules! clients {
    ($of:literal) => {
        concat!(
            "SELECT id, name, roles, scopes, disabled, created_ms, expires_ms, used_ms, old_secret_hash
             FROM clients WHERE ",
            $of
        )
    };
}

impl Clients {
    pub fn new(database: Database, own: Vec<Own>, clock: Clock, random: Random) -> Clients {
        Clients { database, own, clock, random }
    }

    /// Makes a client. `Conflict` when the hospital has as many as it may.
    pub async fn create(&self, tenant: TenantId, to_be: ClientToBe) -> Result<NewClient> {
        let ClientToBe { name, roles, scopes, expires_ms } = to_be;
        let (id, secret) = (UserId::new(&self.clock, &self.random), secrets::secret(&self.random));
        let (hash, created_ms) = (secrets::hash(&secret), self.clock.now_ms());
        let name = label(&name, "a client's name")?;
        scopes::check(&scopes)?;
        check_expiry(expires_ms, created_ms)?;
        let (disabled, used_ms, rotating) = (false, 0, false);
        let client =
            Client { id, name, roles, scopes, disabled, created_ms, expires_ms, used_ms, rotating };
        let made = client.clone();
        self.database
            .unit(move |unit| Box::pin(async move { insert(unit, tenant, made, hash).await }))
            .await?;
        tracing::info!(tenant.id = %tenant, client.id = %id, "made an API client");
        Ok(NewClient { client, secret })
    }

    /// Changes what a client may do. What it had before is refused within a minute everywhere.
    pub async fn change(
        &self,
        tenant: TenantId,
        id: UserId,
        change: ClientChange,
    ) -> Result<Client> {
        let now_ms = self.clock.now_ms();
        if let Some(roles) = &change.roles {
            roles::check(roles)?;
        }
        if let Some(expires_ms) = change.expires_ms {
            check_expiry(expires_ms, now_ms)?;
        }
        let changed = self
            .database
            .unit(move |unit| {
                Box::pin(async move { change_in(unit, tenant, id, change, now_ms).await })
            })
            .await?;
        let (disabled, roles) = (changed.disabled, roles::to_text(&changed.roles));
        tracing::info!(tenant.id = %tenant, client.id = %id, disabled, roles, "changed an API client");
        Ok(changed)
    }

    /// Gives a client another secret; the one before stays valid until the [rotation ends](Clients::end_rotation).
    pub async fn rotate(&self, tenant: TenantId, id: UserId) -> Result<NewClient> {
        let secret = secrets::secret(&self.random);
        let (hash, now_ms) = (secrets::hash(&secret), self.clock.now_ms());
        let client = self
            .database
            .unit(move |unit| {
                Box::pin(async move {
                    let client = rotate_in(unit, tenant, id, hash).await?;
                    audit::note(unit, tenant, now_ms, "client.rotated", id, "").await?;
                    Ok(client)
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, client.id = %id, "made a second secret of an API client");
        Ok(NewClient { client, secret })
    }

    /// Takes the old secret away, and what was signed in with it.
    pub async fn end_rotation(&self, tenant: TenantId, id: UserId) -> Result<Client> {
        let now_ms = self.clock.now_ms();
        let client = self
            .database
            .unit(move |unit| {
                Box::pin(async move {
                    let end =
                        "UPDATE clients SET old_secret_hash = '' WHERE tenant_id = ? AND id = ?";
                    sqlx::query(end).id(tenant).id(id).run(unit).await?;
                    let client = found_in(unit, tenant, id).await?;
                    revocations::of_client(unit, tenant, id, now_ms).await?;
                    audit::note(unit, tenant, now_ms, "client.rotation_ended", id, "").await?;
                    Ok(client)
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, client.id = %id, "took the old secret of an API client away");
        Ok(client)
    }

    /// Deletes a client; its tokens are refused within a minute everywhere.
    pub async fn delete(&self, tenant: TenantId, id: UserId) -> Result<()> {
        let now_ms = self.clock.now_ms();
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    found_in(unit, tenant, id).await?;
                    revocations::of_client(unit, tenant, id, now_ms).await?;
                    let delete = "DELETE FROM clients WHERE tenant_id = ? AND id = ?";
                    sqlx::query(delete).id(tenant).id(id).run(unit).await?;
                    audit::note(unit, tenant, now_ms, "client.deleted", id, "").await
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, client.id = %id, "deleted an API client");
        Ok(())
    }

    /// What the client may have; one answer for an unknown client and for a wrong secret.
    pub async fn grant(&self, id: &str, secret: &str) -> Result<Grant> {
        let hash = secrets::hash(secret);
        let grant = match (id, id.parse::<UserId>()) {
            // Whether or not it may sign in here: no hospital has a client of that name.
            (SERVICE_CLIENT | DELIVERY_CLIENT, _) => {
                self.own.iter().find(|own| own.client == id).and_then(|own| own.grant(&hash))
            }
            (_, Ok(id)) => self.hospitals(id, &hash).await?,
            (_, Err(_)) => None,
        };
        grant.ok_or_else(|| ErrorKind::Unauthenticated.error("the client or its secret is wrong"))
    }

    /// The token names the client as its row does, however it has spelled itself: revocations are looked up by that name, and a
    /// database may think "AB" equal to "ab".
    async fn hospitals(&self, id: UserId, hash: &str) -> Result<Option<Grant>> {
        let found: Option<Credentials> = sqlx::query_as(
            "SELECT c.tenant_id, c.name, c.roles, c.scopes, c.secret_hash, c.old_secret_hash, c.disabled,
                 c.expires_ms, c.epoch, t.state AS tenant_state, t.epoch AS tenant_epoch
             FROM clients c JOIN tenants t ON t.id = c.tenant_id WHERE c.id = ?",
        )
        .id(id)
        .fetch_optional(self.database.pool())
        .await
        .map_err(db::failed)?;
        let now_ms = self.clock.now_ms();
        let whose = found.as_ref().map(|found| found.tenant_id.parse::<TenantId>()).transpose()?;
        let Some(found) = found.filter(|found| found.is(hash) && found.may_sign_in(now_ms)) else {
            tracing::info!("an API client's sign-in failed");
            self.refused(whose, id, now_ms).await?;
            return Ok(None);
        };
        let tenant: TenantId = found.tenant_id.parse()?;
        self.note(tenant, id, now_ms).await;
        let (subject, name, roles) = (id.to_string(), found.name.clone(), found.roles.clone());
        trail::known(Asker { subject: subject.clone(), name, roles });
        let succeeded = "sign_in.succeeded";
        audit::sign_in(&self.database, tenant, subject, now_ms, succeeded, "API client").await?;
        Ok(Some(Grant {
            subject: id.to_string(),
            name: found.name,
            tenant,
            roles: roles::from_text(&found.roles),
            scopes: scopes::from_text(&found.scopes),
            epochs: Epochs { subject: found.epoch, tenant: found.tenant_epoch },
        }))
    }

    /// Notes that there was no sign-in: with its hospital's entries, where there is such a client.
    async fn refused(&self, whose: Option<TenantId>, id: UserId, now_ms: i64) -> Result<()> {
        let (tenant, subject, why) = match whose {
            Some(tenant) => (tenant, id.to_string(), "wrong secret, or it may not sign in"),
            None => (operator_tenant(), String::new(), "no such API client"),
        };
        audit::sign_in(&self.database, tenant, subject, now_ms, "sign_in.failed", why).await
    }

    /// Notes that the client has signed in, which is no reason to refuse it where it cannot be noted.
    async fn note(&self, tenant: TenantId, id: UserId, now_ms: i64) {
        let noted = sqlx::query(
            "UPDATE clients SET used_ms = ? WHERE tenant_id = ? AND id = ? AND used_ms < ?",
        )
        .bind(now_ms)
        .id(tenant)
        .id(id)
        .bind(now_ms - NOTED_EVERY_MS)
        .execute(self.database.pool())
        .await
        .map_err(db::failed);
        if let Err(error) = noted {
            tracing::warn!(%error, client.id = %id, "cannot note that an API client has signed in");
        }
    }
}

impl Credentials {
    /// Whether that is the hash of its secret, or of the one before while it is rotated.
    fn is(&self, hash: &str) -> bool {
        // Both are compared, whichever it is.
        secrets::same(&self.secret_hash, hash) | secrets::same(&self.old_secret_hash, hash)
    }

    fn may_sign_in(&self, now_ms: i64) -> bool {
        self.disabled == 0
            && (self.expires_ms == 0 || now_ms < self.expires_ms)
            && self.tenant_state == TenantState::Active.name()
    }
}

/// The clients of a hospital, by name.
pub async fn list(database: &Database, tenant: TenantId) -> Result<Vec<Client>> {
    let rows: Vec<Row> = sqlx::query_as(clients!("tenant_id = ? ORDER BY name, id"))
        .id(tenant)
        .fetch_all(database.pool())
        .await
        .map_err(db::failed)?;
    rows.into_iter().map(Client::try_from).collect()
}

impl TryFrom<Row> for Client {
    type Error = domain::Error;

    fn try_from(row: Row) -> Result<Client> {
        Ok(Client {
            id: row.id.parse()?,
            name: row.name,
            roles: roles::from_text(&row.roles),
            scopes: scopes::from_text(&row.scopes),
            disabled: row.disabled != 0,
            created_ms: row.created_ms,
            expires_ms: row.expires_ms,
            used_ms: row.used_ms,
            rotating: !row.old_secret_hash.is_empty(),
        })
    }
}

async fn found_in(unit: &mut Unit, tenant: TenantId, id: UserId) -> Result<Client> {
    let row: Option<Row> = sqlx::query_as(clients!("tenant_id = ? AND id = ?"))
        .id(tenant)
        .id(id)
        .fetch_optional(&mut **unit)
        .await
        .map_err(db::failed)?;
    row.ok_or_else(no_such_client)?.try_into()
}

pub fn no_such_client() -> domain::Error {
    ErrorKind::NotFound.error("no such client")
}

async fn insert(unit: &mut Unit, tenant: TenantId, client: Client, hash: String) -> Result<()> {
    let (id, created_ms, roles) = (client.id, client.created_ms, roles::to_text(&client.roles));
    let held = hold(unit, tenant).await?;
    let clients: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM clients WHERE tenant_id = ?")
        .id(tenant)
        .fetch_one(&mut **unit)
        .await
        .map_err(db::failed)?;
    if clients >= held.clients_max {
        let most = held.clients_max;
        let words = format!("the hospital has {most} API clients at most");
        return Err(ErrorKind::Conflict.error(words));
    }
    sqlx::query(
        "INSERT INTO clients (tenant_id, id, name, secret_hash, roles, created_ms, scopes, expires_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .id(client.id)
    .bind(client.name)
    .bind(hash)
    .bind(roles::to_text(&client.roles))
    .bind(client.created_ms)
    .bind(scopes::to_text(&client.scopes))
    .bind(client.expires_ms)
    .run(unit)
    .await?;
    audit::note(unit, tenant, created_ms, "client.created", id, &roles).await
}

async fn change_in(
    unit: &mut Unit,
    tenant: TenantId,
    id: UserId,
    change: ClientChange,
    now_ms: i64,
) -> Result<Client> {
    hold(unit, tenant).await?;
    let mut client = found_in(unit, tenant, id).await?;
    client.roles = change.roles.unwrap_or(client.roles);
    client.disabled = change.disabled.unwrap_or(client.disabled);
    client.expires_ms = change.expires_ms.unwrap_or(client.expires_ms);
    sqlx::query(
        "UPDATE clients SET roles = ?, disabled = ?, expires_ms = ? WHERE tenant_id = ? AND id = ?",
    )
    .bind(roles::to_text(&client.roles))
    .bind(i64::from(client.disabled))
    .bind(client.expires_ms)
    .id(tenant)
    .id(id)
    .run(unit)
    .await?;
    revocations::of_client(unit, tenant, id, now_ms).await?;
    let state = if client.disabled { "disabled" } else { "active" };
    let now = format!("{state} {}", roles::to_text(&client.roles));
    audit::note(unit, tenant, now_ms, "client.changed", id, &now).await?;
    Ok(client)
}

async fn rotate_in(unit: &mut Unit, tenant: TenantId, id: UserId, hash: String) -> Result<Client> {
    let client = found_in(unit, tenant, id).await?;
    let rotated = sqlx::query(
        "UPDATE clients SET old_secret_hash = secret_hash WHERE tenant_id = ? AND id = ? AND old_secret_hash = ''",
    );
    // A third secret would silently end the first, which may be in use still.
    if rotated.id(tenant).id(id).run(unit).await? == 0 {
        return Err(
            ErrorKind::Conflict.error("it has two secrets already: end that rotation first")
        );
    }
    let new = sqlx::query("UPDATE clients SET secret_hash = ? WHERE tenant_id = ? AND id = ?");
    new.bind(hash).id(tenant).id(id).run(unit).await?;
    Ok(Client { rotating: true, ..client })
}

fn check_expiry(expires_ms: i64, now_ms: i64) -> Result<()> {
    if expires_ms == 0 || expires_ms > now_ms {
        return Ok(());
    }
    Err(ErrorKind::Invalid.error("it would have expired already"))
}
