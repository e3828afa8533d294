use std::path::PathBuf;

use anyhow::Context;
use auth::Accounts;
use clap::Subcommand;
use secrecy::{ExposeSecret, SecretString};
use service::claims::Role;
use service::{system_clock, system_random};

use crate::accounts::{self, password};
use crate::home::Home;

/// `medseg user …`
#[derive(clap::Args)]
pub struct User {
    /// The directory of a `medseg serve` that is not running.
    #[arg(long, env = "MEDSEG_DATA", default_value = "data", global = true)]
    data: PathBuf,

    /// The database of the accounts in place of a directory's, also while the services run on it: `mysql://…` or `sqlite://…`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    database_url: Option<SecretString>,

    /// Passwords that others have lost, none of which is taken: what BREACHED_PASSWORDS is to auth.
    #[arg(long, env = "BREACHED_PASSWORDS", global = true)]
    breached_passwords: Option<PathBuf>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Add a tenant (a hospital) and print its id.
    AddTenant { name: String },
    /// List tenants and their users.
    List,
    /// Add a user to a tenant; the password is read from standard input.
    Add {
        user_name: String,
        /// The tenant's name.
        #[arg(long)]
        tenant: String,
        /// clinician, adjudicator, integrator, scientist or admin; may be given several times.
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
    },
    /// Give a user a new password, read from standard input; a second factor goes with the old one.
    ResetPassword { user_name: String },
}

impl User {
    pub fn run(self) -> anyhow::Result<()> {
        tokio::runtime::Runtime::new()?.block_on(async {
            let breached = self.breached_passwords.as_deref();
            if let Some(url) = self.database_url.filter(|url| !url.expose_secret().is_empty()) {
                let accounts = accounts::open(&url).await?.without_breached(breached)?;
                return act(&accounts, self.action).await;
            }
            let home = Home::existing(&self.data)?;
            let url = home.database_url("auth");
            let accounts = Accounts::open(&url, system_clock(), system_random()).await;
            let accounts = accounts.with_context(|| {
                format!("cannot open the accounts in {}", home.path("auth.db").display())
            })?;
            act(&accounts.without_breached(breached)?, self.action).await
        })
    }
}

async fn act(accounts: &Accounts, action: Action) -> anyhow::Result<()> {
    match action {
        Action::AddTenant { name } => {
            let tenant = accounts.create_tenant(&name).await;
            println!("{}", tenant.with_context(|| format!("cannot add the tenant `{name}`"))?);
        }
        Action::List => list(accounts).await?,
        Action::Add { user_name, tenant, roles } => {
            let tenants = accounts.tenants().await?;
            let (tenant, _) =
                tenants.into_iter().find(|(_, name)| *name == tenant).with_context(|| {
                    format!("no tenant is called `{tenant}`: `medseg user list` names them")
                })?;
            let roles = roles.iter().map(|role| named(role)).collect::<anyhow::Result<Vec<_>>>()?;
            let user =
                accounts.create_user(tenant, &user_name, password()?.expose_secret(), &roles).await;
            println!("{}", user.with_context(|| format!("cannot add `{user_name}`"))?.id);
        }
        Action::ResetPassword { user_name } => {
            let reset = accounts.reset_password(&user_name, password()?.expose_secret()).await;
            reset.with_context(|| format!("cannot give `{user_name}` a new password"))?;
        }
    }
    Ok(())
}

async fn list(accounts: &Accounts) -> anyhow::Result<()> {
    for (tenant, name) in accounts.tenants().await? {
        println!("{tenant}  {name}");
        for user in accounts.users(tenant).await? {
            let roles: Vec<_> = user.roles.iter().map(|role| role.name()).collect();
            println!("  {}  {}  {}", user.id, user.user_name, roles.join(", "));
        }
    }
    Ok(())
}

fn named(role: &str) -> anyhow::Result<Role> {
    Role::named(role).with_context(|| {
        format!(
            "no role is called `{role}`: use clinician, adjudicator, integrator, scientist or admin"
        )
    })
}
