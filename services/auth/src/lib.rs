//! Tenants, users, API clients, and the tokens that they sign in for.

mod accounts;
mod clients;
mod first_start;
mod key_file;
mod links;
mod lives;
mod passwords;
mod revocations;
mod roles;
mod rpc;
mod scopes;
mod secrets;
mod sessions;
mod sign_in;
mod states;
mod tenants;
mod throttle;
mod waiting;

use std::path::PathBuf;
use std::sync::Arc;

use domain::{Clock, ErrorKind, Random, Result};
use platform::db::{self, Database};
use proto::auth::accounts_server::AccountsServer;
use proto::auth::auth_server::AuthServer;
use proto::auth::tenants_server::TenantsServer;
use secrecy::{ExposeSecret, SecretString};
use service::claims::Verifier;
use service::{Service, check};
use tonic::service::Routes;

pub use accounts::{Accounts, User};
pub use clients::Client;
pub use first_start::FirstStart;
pub use lives::{Link, UserChange};
pub use states::{TenantState, UserState};
pub use tenants::{Export, Settings, Tenant};

use clients::{Clients, Own};
use key_file::Keys;
use sessions::Sessions;
use sign_in::SignIn;
use throttle::Throttle;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// A shorter secret could be guessed.
const MIN_SERVICE_SECRET: usize = 32;

/// What auth is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Where accounts are kept: `mysql://…` or `sqlite://…`; a database of auth's own.
    #[arg(long, env, hide_env_values = true)]
    pub database_url: SecretString,

    /// The file with the Ed25519 key (PKCS#8 PEM) that access tokens are signed with; made when absent.
    ///
    /// A file and not a row, so that a copy of the database cannot sign tokens. Instances that stand
    /// for one another mount the same secret here.
    #[arg(long, env)]
    pub signing_key: PathBuf,

    /// The key that was used before: tokens that it has signed stay valid while it is named here.
    #[arg(long, env)]
    pub previous_key: Option<PathBuf>,

    /// What medseg's own workers sign in with, 32 characters or more; without it none can.
    #[arg(long, env, hide_env_values = true)]
    pub service_secret: Option<SecretString>,

    /// What delivery signs in with, which alone is handed pixels and identity together: 32 characters or more, and another than
    /// the workers' secret; without it, it cannot.
    #[arg(long, env, hide_env_values = true)]
    pub delivery_secret: Option<SecretString>,

    /// The password of the administrator that the first start makes: by the environment, where other users of the machine do not
    /// see it. Without it one is made and printed, and must be changed at the first sign-in.
    #[arg(long, env, hide_env_values = true)]
    pub first_password: Option<SecretString>,

    /// The name of the hospital that the first start makes.
    #[arg(long, env, default_value = "first hospital")]
    pub first_tenant: String,
}

/// What this service needs of the outside world, opened by whoever starts it.
pub struct Ports {
    database: Database,
    accounts: Accounts,
    keys: Keys,
    clock: Clock,
    random: Random,
}

/// Opens what `config` names. On an empty database this makes a tenant with one administrator, whose
/// password is in the answer and nowhere else: print it, never log it.
pub async fn open(
    config: &Config,
    clock: Clock,
    random: Random,
) -> Result<(Ports, Option<FirstStart>)> {
    check_own(config)?;
    // A setting that is empty, as in compose files, is none.
    let chosen = config.first_password.as_ref().filter(|chosen| !chosen.expose_secret().is_empty());
    if let Some(chosen) = chosen {
        passwords::check(chosen.expose_secret(), first_start::USER_NAME)
            .map_err(|why| ErrorKind::Invalid.error(format!("FIRST_PASSWORD: {why}")))?;
    }
    let keys = Keys::open(&config.signing_key, config.previous_key.as_deref(), &random)?;
    let database = db::connect(config.database_url.expose_secret(), &MIGRATIONS).await?;
    let accounts = Accounts::new(database.clone(), clock.clone(), random.clone()).await?;
    revocations::sweep(&database, clock.now_ms()).await?;
    let first_start = first_start::prepare(&accounts, &config.first_tenant, chosen).await?;
    Ok((Ports { database, accounts, keys, clock, random }, first_start))
}

/// Refuses secrets of medseg's own services that could be guessed, and one that is another's.
fn check_own(config: &Config) -> Result<()> {
    let service = config.service_secret.as_ref().map(ExposeSecret::expose_secret);
    let delivery = config.delivery_secret.as_ref().map(ExposeSecret::expose_secret);
    for (name, secret) in [("service", service), ("delivery", delivery)] {
        if secret.is_some_and(|secret| secret.len() < MIN_SERVICE_SECRET) {
            let short = format!("the {name} secret is shorter than 32 characters");
            return Err(ErrorKind::Invalid.error(short));
        }
    }
    if service.is_some() && service == delivery {
        let same = "the delivery secret is the service secret: delivery needs one of its own";
        return Err(ErrorKind::Invalid.error(same));
    }
    Ok(())
}

/// The service, with everything that `ports` holds.
pub fn build(config: Config, ports: Ports) -> Service {
    let Ports { database, accounts, keys, clock, random } = ports;
    let door = rpc::Door {
        verifier: Verifier::with_keys(keys.public, clock.clone()),
        database: database.clone(),
    };
    let own = [
        config.service_secret.as_ref().map(Own::workers),
        config.delivery_secret.as_ref().map(Own::delivery),
    ];
    let own: Vec<Own> = own.into_iter().flatten().collect();
    let rpc = rpc::Rpc(Arc::new(rpc::Inner {
        door,
        jwks: keys.jwks,
        clock: clock.clone(),
        clients: Clients::new(database.clone(), own, clock.clone(), random.clone()),
        sign_in: SignIn {
            accounts: accounts.clone(),
            sessions: Sessions::new(database.clone(), keys.signing.clone(), clock.clone(), random),
            throttle: Throttle::default(),
            key: keys.signing,
            clock,
        },
        accounts,
    }));
    let grpc = Routes::new(AuthServer::new(rpc.clone()))
        .add_service(AccountsServer::new(rpc.clone()))
        .add_service(TenantsServer::new(rpc));
    let answers = check(move || {
        let database = database.clone();
        async move { database.ping().await }
    });
    Service {
        name: "auth",
        grpc,
        readiness: vec![("database".into(), answers)],
        ..Default::default()
    }
}
