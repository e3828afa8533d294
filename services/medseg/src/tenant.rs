//! Hospitals, through a running medseg as an operator, or in the database of its accounts.

mod limits;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use auth::{Accounts, Settings, Tenant as Hospital, TenantState};
use clap::Subcommand;
use domain::rfc3339;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::accounts::{self, password};
use crate::api::{Api, Session};

/// `medseg tenant …`
#[derive(clap::Args)]
pub struct Tenant {
    /// The database of the accounts, also while the services run on it: `mysql://…` or `sqlite://…/auth.db`. Without it a running
    /// medseg is asked, where `--user` is an operator.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    database_url: Option<SecretString>,

    /// Passwords that others have lost, none of which an operator in that database may have: what BREACHED_PASSWORDS is to auth.
    #[arg(long, env = "BREACHED_PASSWORDS", global = true)]
    breached_passwords: Option<PathBuf>,

    #[command(flatten)]
    api: Api,

    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a tenant (a hospital), and print the link by which its first administrator chooses a password.
    Create {
        name: String,
        /// The user name of its first administrator.
        #[arg(long)]
        admin: String,
        /// en or fr; may be given several times, its own first.
        #[arg(long = "language")]
        languages: Vec<String>,
        /// How many users it may have.
        #[arg(long)]
        users_max: Option<u32>,
        /// How many API clients it may have.
        #[arg(long)]
        clients_max: Option<u32>,
    },
    /// List the tenants.
    List,
    /// Show a tenant, by its name or its id.
    Show { tenant: String },
    /// Let nobody of a tenant in until it is resumed.
    Suspend { tenant: String },
    /// Let a suspended tenant go on.
    Resume { tenant: String },
    /// Close a tenant for good. What is kept of it is kept until it is erased.
    Close { tenant: String },
    /// Print a tenant's settings and accounts as JSON, without secrets.
    Export { tenant: String },
    /// Make an operator, who belongs to no tenant; in the database alone. The password is read from standard input.
    AddOperator { user_name: String },
    /// Delete an operator; in the database alone.
    RemoveOperator { user_name: String },
    /// List the operators; from the database alone.
    Operators,
    /// Print as JSON the provider of identities of the hospital that `--user` administers; by a running medseg alone.
    Provider {
        /// Name it first, as a file of JSON says: what `PUT /v1/provider` takes.
        #[arg(long, conflicts_with = "remove")]
        set: Option<PathBuf>,
        /// Take it away instead.
        #[arg(long)]
        remove: bool,
    },
    /// Print as JSON how much a tenant may send, and what is used of it; by a running medseg alone.
    Limits {
        tenant: String,
        #[command(flatten)]
        most: limits::Most,
    },
    /// The same of an API client, by its name or its id, of the hospital that `--user` administers.
    ClientLimits {
        client: String,
        #[command(flatten)]
        most: limits::Most,
    },
}

/// How it is done.
enum Way {
    Database(Accounts),
    Api(Session),
}

impl Tenant {
    pub fn run(self) -> anyhow::Result<()> {
        tokio::runtime::Runtime::new()?.block_on(async {
            let way = match &self.database_url {
                Some(url) if !url.expose_secret().is_empty() => {
                    let breached = self.breached_passwords.as_deref();
                    Way::Database(accounts::open(url).await?.without_breached(breached)?)
                }
                _ => Way::Api(self.api.sign_in().await?),
            };
            act(&way, self.action).await
        })
    }
}

async fn act(way: &Way, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Create { name, admin, languages, users_max, clients_max } => {
            let languages = Some(languages).filter(|languages| !languages.is_empty());
            let settings = Settings { name: Some(name), languages, users_max, clients_max };
            create(way, settings, &admin).await?;
        }
        Action::List => list(way).await?.iter().for_each(|tenant| println!("{}", line(tenant))),
        Action::Show { tenant } => println!("{}", line(&named(way, &tenant).await?)),
        Action::Suspend { tenant } => set(way, &tenant, TenantState::Suspended).await?,
        Action::Resume { tenant } => set(way, &tenant, TenantState::Active).await?,
        Action::Close { tenant } => set(way, &tenant, TenantState::Closed).await?,
        Action::Export { tenant } => println!("{:#}", export(way, &tenant).await?),
        Action::AddOperator { user_name } => {
            let made =
                in_database(way)?.create_operator(&user_name, password()?.expose_secret()).await;
            println!("{}", made.with_context(|| format!("cannot add `{user_name}`"))?.id);
        }
        Action::RemoveOperator { user_name } => {
            let removed = in_database(way)?.remove_operator(&user_name).await;
            removed.with_context(|| format!("cannot remove `{user_name}`"))?;
        }
        Action::Operators => {
            let operators = in_database(way)?.operators().await?;
            operators.iter().for_each(|user| println!("{}  {}", user.id, user.user_name));
        }
        Action::Provider { set, remove } => provider(way, set, remove).await?,
        Action::Limits { tenant, most } => limits::of_tenant(way, &tenant, &most).await?,
        Action::ClientLimits { client, most } => limits::of_client(way, &client, &most).await?,
    }
    Ok(())
}

/// A hospital's provider is its administrators' to name, and its secret is sealed by whoever has the signing key.
async fn provider(way: &Way, set: Option<PathBuf>, remove: bool) -> anyhow::Result<()> {
    let Way::Api(session) = way else {
        bail!(
            "an administrator names a provider through a running medseg: leave --database-url out"
        )
    };
    if remove {
        session.send(session.request(Method::DELETE, &["provider"])?).await?;
        return Ok(());
    }
    let shown = match set {
        None => session.get(&["provider"]).await?,
        Some(file) => {
            let text = fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let wish: Value = serde_json::from_str(&text)
                .with_context(|| format!("{} is no JSON", file.display()))?;
            let request = session.request(Method::PUT, &["provider"])?.json(&wish);
            session.send(request).await?.json().await.context("the answer is no JSON")?
        }
    };
    println!("{shown:#}");
    Ok(())
}

/// The accounts themselves: no operator makes or removes another by the API.
fn in_database(way: &Way) -> anyhow::Result<&Accounts> {
    match way {
        Way::Database(accounts) => Ok(accounts),
        Way::Api(_) => {
            bail!("operators are managed in the database alone: name it with --database-url")
        }
    }
}

async fn create(way: &Way, settings: Settings, admin: &str) -> anyhow::Result<()> {
    let made = match way {
        Way::Database(accounts) => {
            let (tenant, link) = accounts.found_tenant(settings, admin).await?;
            let expires_at = rfc3339(link.expires_ms);
            json!({
                "tenant": of_row(&tenant),
                "invitation": { "token": link.token, "expires_at": expires_at },
            })
        }
        Way::Api(session) => {
            let Settings { name, languages, users_max, clients_max } = settings;
            let body = json!({
                "name": name,
                "admin_user_name": admin,
                "languages": languages,
                "users_max": users_max,
                "clients_max": clients_max,
            });
            session.post(&["tenants"], &body).await?
        }
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    println!("{}", text(&made["tenant"]["id"]));
    let invitation = &made["invitation"];
    let (token, until) = (text(&invitation["token"]), text(&invitation["expires_at"]));
    println!(
        "{admin} chooses a password once, until {until}, at the page's address and #/welcome/{token}"
    );
    Ok(())
}

async fn list(way: &Way) -> anyhow::Result<Vec<Value>> {
    match way {
        Way::Database(accounts) => Ok(accounts.all_tenants().await?.iter().map(of_row).collect()),
        Way::Api(session) => {
            let listed = session.get(&["tenants"]).await?;
            Ok(listed["tenants"].as_array().cloned().unwrap_or_default())
        }
    }
}

/// The tenant of that id or name. The id first: a tenant may be called like another's.
async fn named(way: &Way, tenant: &str) -> anyhow::Result<Value> {
    let all = list(way).await?;
    let by = |key: &str| all.iter().find(|one| one[key] == tenant).cloned();
    by("id")
        .or_else(|| by("name"))
        .with_context(|| format!("no tenant is called `{tenant}`: `medseg tenant list` names them"))
}

/// The same one's id.
async fn id_of(way: &Way, tenant: &str) -> anyhow::Result<String> {
    let found = named(way, tenant).await?;
    Ok(found["id"].as_str().context("a tenant has an id")?.to_owned())
}

async fn set(way: &Way, tenant: &str, state: TenantState) -> anyhow::Result<()> {
    let id = id_of(way, tenant).await?;
    let set = match way {
        Way::Database(accounts) => of_row(&accounts.set_tenant_state(id.parse()?, state).await?),
        Way::Api(session) => {
            let request = session.request(Method::PUT, &["tenants", &id, "state"])?;
            let answer = session.send(request.json(&json!({ "state": state.name() }))).await?;
            answer.json().await.context("the answer is no JSON")?
        }
    };
    println!("{}", line(&set));
    Ok(())
}

async fn export(way: &Way, tenant: &str) -> anyhow::Result<Value> {
    let id = id_of(way, tenant).await?;
    let accounts = match way {
        Way::Api(session) => return session.get(&["tenants", &id, "export"]).await,
        Way::Database(accounts) => accounts,
    };
    let export = accounts.export_tenant(id.parse()?).await?;
    let users = export.users.iter().map(|user| {
        json!({
            "id": user.id,
            "user_name": user.user_name,
            "roles": user.roles,
            "state": user.state.name(),
            "signed_in_at": moment(user.signed_in_ms),
        })
    });
    let clients = export.clients.iter().map(|client| {
        json!({
            "client_id": client.id,
            "name": client.name,
            "roles": client.roles,
            "scopes": client.scopes,
            "disabled": client.disabled,
            "created_at": moment(client.created_ms),
            "expires_at": moment(client.expires_ms),
            "used_at": moment(client.used_ms),
            "rotating": client.rotating,
        })
    });
    Ok(json!({
        "tenant": of_row(&export.tenant),
        "users": users.collect::<Vec<_>>(),
        "clients": clients.collect::<Vec<_>>(),
    }))
}

/// As the API shows it.
fn of_row(tenant: &Hospital) -> Value {
    json!({
        "id": tenant.id,
        "name": tenant.name,
        "state": tenant.state.name(),
        "languages": tenant.languages,
        "users_max": tenant.users_max,
        "clients_max": tenant.clients_max,
        "users": tenant.users,
        "clients": tenant.clients,
        "created_at": moment(tenant.created_ms),
    })
}

fn moment(ms: i64) -> Option<String> {
    rfc3339(ms).filter(|_| ms > 0)
}

/// One tenant as a line.
fn line(tenant: &Value) -> String {
    let text = |name: &str| tenant[name].as_str().unwrap_or_default();
    let languages: Vec<_> =
        tenant["languages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    format!(
        "{}  {:9}  {}/{} users  {}/{} clients  {}  {}",
        text("id"),
        text("state"),
        tenant["users"],
        tenant["users_max"],
        tenant["clients"],
        tenant["clients_max"],
        languages.join(","),
        text("name")
    )
}
