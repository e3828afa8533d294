//! Hospitals, as an operator manages them, who belongs to none of them.

use domain::{ErrorKind, Result, TenantId, UserId};
use platform::db::{self, BindId, Run, Unit};
use service::claims::{Role, operator_tenant};
use sqlx::{Any, FromRow, QueryBuilder};

use crate::accounts::{self, Accounts, User, UserToBe, acceptable, hold, label, taken};
use crate::clients::{self, Client};
use crate::lives::Link;
use crate::states::TenantState;
use crate::{audit, links, revocations};

/// The languages that the page speaks.
const LANGUAGES: [&str; 2] = ["en", "fr"];
/// What nobody has asked otherwise for.
const USERS_MAX: u32 = 1000;
const CLIENTS_MAX: u32 = 100;
/// More accounts than any hospital has.
const ACCOUNTS_MAX: u32 = 100_000;
/// Whose standing is asked for at once.
const STANDINGS_MAX: usize = 1024;

/// A hospital, and how many accounts it has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    pub state: TenantState,
    /// The first is what its people read unless they choose another.
    pub languages: Vec<String>,
    pub users_max: u32,
    pub clients_max: u32,
    pub users: u32,
    pub clients: u32,
    pub created_ms: i64,
}

/// What is to be said, or said differently, of a hospital; nothing: the default, or as it is.
#[derive(Default)]
pub struct Settings {
    pub name: Option<String>,
    pub languages: Option<Vec<String>>,
    pub users_max: Option<u32>,
    pub clients_max: Option<u32>,
}

/// What a hospital takes along: no secret, and nothing of a patient.
pub struct Export {
    pub tenant: Tenant,
    pub users: Vec<User>,
    pub clients: Vec<Client>,
}

#[derive(FromRow)]
struct Row {
    id: String,
    name: String,
    state: String,
    languages: String,
    users_max: i64,
    clients_max: i64,
    users: i64,
    clients: i64,
    created_ms: i64,
}

/// Hospitals of which `$of` is true.
macro_rules! tenants {
    ($of:literal) => {
        concat!(
            "SELECT t.id, t.name, t.state, t.languages, t.users_max, t.clients_max, t.created_ms,
                 (SELECT COUNT(*) FROM users u WHERE u.tenant_id = t.id) AS users,
                 (SELECT COUNT(*) FROM clients c WHERE c.tenant_id = t.id) AS clients
             FROM tenants t WHERE ",
            $of
        )
    };
}

impl Accounts {
    /// Makes a hospital and invites its first administrator. `Conflict` when either name is taken: then there is neither.
    pub async fn found_tenant(
        &self,
        settings: Settings,
        admin_user_name: &str,
    ) -> Result<(Tenant, Link)> {
        check(&settings)?;
        let name = label(settings.name.as_deref().unwrap_or_default(), "a hospital's name")?;
        let user_name = acceptable(admin_user_name)?;
        let (tenant, id) =
            (TenantId::new(&self.clock, &self.random), UserId::new(&self.clock, &self.random));
        let now_ms = self.clock.now_ms();
        let (token, expires_ms, hash) =
            links::NewLink::invitation(&self.random, now_ms).into_parts();
        let (password_hash, roles) = (String::new(), vec![Role::Admin]);
        let to_be = UserToBe { tenant, user_name, roles, password_hash, must_change: false };
        let user = self
            .database
            .unit(move |unit| {
                Box::pin(async move {
                    insert(unit, tenant, name, settings, now_ms).await?;
                    let user = accounts::insert_user(unit, id, to_be, now_ms).await?;
                    links::keep(unit, tenant, id, hash, expires_ms).await?;
                    Ok(user)
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, "made a tenant");
        Ok((self.tenant(tenant).await?, Link { user, token, expires_ms }))
    }

    /// Every hospital, by name.
    pub async fn all_tenants(&self) -> Result<Vec<Tenant>> {
        let rows: Vec<Row> = sqlx::query_as(tenants!("t.id <> ? ORDER BY t.name"))
            .id(operator_tenant())
            .fetch_all(self.database.pool())
            .await
            .map_err(db::failed)?;
        rows.into_iter().map(Tenant::try_from).collect()
    }

    /// One hospital. `NotFound` for what is none, as the home of operators.
    pub async fn tenant(&self, id: TenantId) -> Result<Tenant> {
        let row: Option<Row> = sqlx::query_as(tenants!("t.id = ? AND t.id <> ?"))
            .id(id)
            .id(operator_tenant())
            .fetch_optional(self.database.pool())
            .await
            .map_err(db::failed)?;
        row.ok_or_else(no_such_tenant)?.try_into()
    }

    /// The name and the languages of where somebody belongs, be it a hospital or not.
    pub(crate) async fn home_of(&self, id: TenantId) -> Result<(String, Vec<String>)> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT name, languages FROM tenants WHERE id = ?")
                .id(id)
                .fetch_optional(self.database.pool())
                .await
                .map_err(db::failed)?;
        let (name, languages) = row.ok_or_else(no_such_tenant)?;
        Ok((name, words(&languages)))
    }

    /// Changes a hospital's name, languages and limits. A limit below what there is keeps nobody out who is there.
    pub async fn change_tenant(&self, id: TenantId, settings: Settings) -> Result<Tenant> {
        check(&settings)?;
        let before = self.tenant(id).await?;
        let name = match settings.name {
            Some(name) => label(&name, "a hospital's name")?,
            None => before.name,
        };
        let languages = settings.languages.unwrap_or(before.languages).join(" ");
        let users_max = i64::from(settings.users_max.unwrap_or(before.users_max));
        let clients_max = i64::from(settings.clients_max.unwrap_or(before.clients_max));
        let now_ms = self.clock.now_ms();
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE tenants SET name = ?, languages = ?, users_max = ?, clients_max = ?
                         WHERE id = ?",
                    )
                    .bind(name)
                    .bind(languages)
                    .bind(users_max)
                    .bind(clients_max)
                    .id(id)
                    .run(unit)
                    .await
                    .map_err(|error| taken(error, "there is a hospital of that name"))?;
                    audit::note(unit, id, now_ms, "tenant.changed", id, "").await
                })
            })
            .await?;
        tracing::info!(tenant.id = %id, "changed a tenant");
        self.tenant(id).await
    }

    /// Suspends a hospital, lets it go on, or closes it. Whoever belongs to it is refused within a minute everywhere.
    ///
    /// A closed one stays closed. Its accounts and what other services hold of it are kept until they are erased.
    pub async fn set_tenant_state(&self, id: TenantId, state: TenantState) -> Result<Tenant> {
        self.tenant(id).await?;
        let now_ms = self.clock.now_ms();
        self.database
            .unit(move |unit| Box::pin(async move { set_state_in(unit, id, state, now_ms).await }))
            .await?;
        tracing::info!(tenant.id = %id, state = state.name(), "set the state of a tenant");
        self.tenant(id).await
    }

    /// What those of these hospitals are that there are: id and state, as rows have them.
    pub async fn standings(&self, ids: &[TenantId]) -> Result<Vec<(String, String)>> {
        if ids.len() > STANDINGS_MAX {
            let many = format!("at most {STANDINGS_MAX} hospitals are asked for at once");
            return Err(ErrorKind::Invalid.error(many));
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = QueryBuilder::<Any>::new("SELECT id, state FROM tenants WHERE id IN (");
        let mut asked = query.separated(", ");
        for id in ids {
            asked.push_bind(id.to_string());
        }
        query.push(")");
        query.build_query_as().fetch_all(self.database.pool()).await.map_err(db::failed)
    }

    /// What a hospital takes along.
    pub async fn export_tenant(&self, id: TenantId) -> Result<Export> {
        let tenant = self.tenant(id).await?;
        let (users, clients) = (self.users(id).await?, clients::list(&self.database, id).await?);
        tracing::info!(tenant.id = %id, "exported the settings of a tenant");
        Ok(Export { tenant, users, clients })
    }
}

async fn insert(
    unit: &mut Unit,
    id: TenantId,
    name: String,
    settings: Settings,
    now_ms: i64,
) -> Result<()> {
    let languages = settings.languages.map_or_else(|| LANGUAGES[0].to_owned(), |it| it.join(" "));
    sqlx::query(
        "INSERT INTO tenants (id, name, created_ms, languages, users_max, clients_max)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .id(id)
    .bind(name)
    .bind(now_ms)
    .bind(languages)
    .bind(i64::from(settings.users_max.unwrap_or(USERS_MAX)))
    .bind(i64::from(settings.clients_max.unwrap_or(CLIENTS_MAX)))
    .run(unit)
    .await
    .map_err(|error| taken(error, "there is a hospital of that name"))?;
    audit::note(unit, id, now_ms, "tenant.created", id, "").await
}

async fn set_state_in(
    unit: &mut Unit,
    id: TenantId,
    state: TenantState,
    now_ms: i64,
) -> Result<()> {
    let held = hold(unit, id).await?;
    if held.state == state {
        return Ok(());
    }
    if held.state == TenantState::Closed {
        return Err(ErrorKind::Conflict.error("the hospital is closed, which is for good"));
    }
    let set = sqlx::query("UPDATE tenants SET state = ? WHERE id = ?");
    set.bind(state.name()).id(id).run(unit).await?;
    if state == TenantState::Closed {
        let end = "UPDATE sessions SET revoked_ms = ? WHERE tenant_id = ? AND revoked_ms = 0";
        sqlx::query(end).bind(now_ms).id(id).run(unit).await?;
        sqlx::query("DELETE FROM links WHERE tenant_id = ?").id(id).run(unit).await?;
    }
    revocations::of_tenant(unit, id, now_ms).await?;
    audit::note(unit, id, now_ms, "tenant.state_changed", id, state.name()).await
}

fn check(settings: &Settings) -> Result<()> {
    if let Some(languages) = &settings.languages
        && (languages.is_empty()
            || languages.len() > LANGUAGES.len()
            || !languages.iter().all(|it| LANGUAGES.contains(&it.as_str())))
    {
        let known = LANGUAGES.join(", ");
        return Err(ErrorKind::Invalid.error(format!("a hospital's languages are some of {known}")));
    }
    let limits = [settings.users_max, settings.clients_max];
    if limits.into_iter().flatten().any(|most| !(1..=ACCOUNTS_MAX).contains(&most)) {
        return Err(ErrorKind::Invalid.error(format!("a limit is 1 to {ACCOUNTS_MAX}")));
    }
    Ok(())
}

impl TryFrom<Row> for Tenant {
    type Error = domain::Error;

    fn try_from(row: Row) -> Result<Tenant> {
        Ok(Tenant {
            id: row.id.parse()?,
            name: row.name,
            state: TenantState::of_row(&row.state)?,
            languages: words(&row.languages),
            users_max: counted(row.users_max),
            clients_max: counted(row.clients_max),
            users: counted(row.users),
            clients: counted(row.clients),
            created_ms: row.created_ms,
        })
    }
}

fn counted(count: i64) -> u32 {
    u32::try_from(count).unwrap_or_default()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn no_such_tenant() -> domain::Error {
    ErrorKind::NotFound.error("no such tenant")
}
