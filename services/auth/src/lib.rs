//! Tenants, users, API clients, and the tokens that they sign in for.

mod accounts;
mod audit;
mod clients;
mod first_start;
mod key_file;
mod links;
mod lives;
mod oidc;
mod passwords;
mod revocations;
mod roles;
mod rpc;
mod scopes;
mod sealed;
mod second_factor;
mod secrets;
mod security_keys;
mod sessions;
mod sign_in;
mod states;
mod tenants;
mod throttle;
mod totp;
mod waiting;
mod webauthn;

use std::path::PathBuf;
use std::sync::Arc;

use domain::{Clock, ErrorKind, Random, Result};
use platform::db::{self, Database};
use proto::auth::accounts_server::AccountsServer;
use proto::auth::audit_trail_server::AuditTrailServer;
use proto::auth::auth_server::AuthServer;
use proto::auth::providers_server::ProvidersServer;
use proto::auth::second_factors_server::SecondFactorsServer;
use proto::auth::tenants_server::TenantsServer;
use secrecy::{ExposeSecret, SecretString};
use service::claims::Verifier;
use service::{GatewayProof, Service, check};
use tonic::service::Routes;
use url::Url;

pub use accounts::{Accounts, User};
pub use clients::Client;
pub use first_start::FirstStart;
pub use guard::Network;
pub use lives::{Link, UserChange};
pub use states::{TenantState, UserState};
pub use tenants::{Export, Settings, Tenant};
#[doc(hidden)]
pub use webauthn::{Read, read_of_strangers};

use clients::{Clients, Own};
use key_file::Keys;
use oidc::Providers;
use sealed::Sealer;
use second_factor::Factors;
use security_keys::Keys as SecurityKeys;
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

    /// By what auth knows the gateway, whose word alone it takes of the address that somebody signs in from: 32 characters or more, the
    /// same as the gateway's, and no other's. Without it, and without TLS_CALLERS, everybody behind one gateway counts as at one address.
    #[arg(long, env, hide_env_values = true)]
    pub gateway_secret: Option<SecretString>,

    /// The password of the administrator that the first start makes: by the environment, where other users of the machine do not
    /// see it. Without it one is made and printed, and must be changed at the first sign-in.
    #[arg(long, env, hide_env_values = true)]
    pub first_password: Option<SecretString>,

    /// The name of the hospital that the first start makes.
    #[arg(long, env, default_value = "first hospital")]
    pub first_tenant: String,

    #[command(flatten)]
    pub rules: Rules,
}

/// How hospitals' own providers of identities are reached, where those whom they send come back to, and which passwords are none.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "auth_rules")]
pub struct Rules {
    /// Where browsers reach the page, such as `https://medseg.hospital.example`: sign-in through hospitals' own providers and security
    /// keys need it.
    #[arg(long, env, value_parser = page)]
    pub public_url: Option<Url>,

    /// Networks that hospitals' providers may be in though they are not the internet's, such as `10.20.0.0/16`, with commas
    /// between: loopback, private and link-local addresses are refused without. Naming a loopback network allows `http://` to it.
    #[arg(long, env, value_delimiter = ',')]
    pub provider_networks: Vec<Network>,

    /// Authorities that providers' certificates may be signed by, beside those of the system (PEM).
    #[arg(long, env)]
    pub provider_authorities: Option<PathBuf>,

    /// A file of passwords that others have lost, of which none is taken as a new one: SHA-1 digests in ascending order, one a line, as Have I
    /// Been Pwned hands it out ("ordered by hash"). It is searched where it lies, and nobody outside is asked.
    #[arg(long, env)]
    pub breached_passwords: Option<PathBuf>,
}

/// The address of a page: by TLS, unless it is this very machine's.
fn page(text: &str) -> std::result::Result<Url, String> {
    let bad =
        || format!("`{text}` is no address of a page, such as https://medseg.hospital.example");
    let url = Url::parse(text).map_err(|_| bad())?;
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_here);
    let is_plain = url.username().is_empty() && url.query().is_none() && url.fragment().is_none();
    if is_safe && is_plain && url.password().is_none() && url.has_host() {
        Ok(url)
    } else {
        Err(bad())
    }
}

/// What this service needs of the outside world, opened by whoever starts it.
pub struct Ports {
    database: Database,
    accounts: Accounts,
    keys: Keys,
    sealer: Arc<Sealer>,
    providers: Providers,
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
    let breached = passwords::breached_at(config.rules.breached_passwords.as_deref())?;
    if let Some(chosen) = chosen {
        let chosen = chosen.expose_secret();
        passwords::check(chosen, first_start::USER_NAME)
            .and_then(|()| breached.as_ref().map_or(Ok(()), |list| list.refuse(chosen)))
            .map_err(|why| ErrorKind::Invalid.error(format!("FIRST_PASSWORD: {why}")))?;
    }
    let keys = Keys::open(&config.signing_key, config.previous_key.as_deref(), &random)?;
    let database = db::connect(config.database_url.expose_secret(), &MIGRATIONS).await?;
    let accounts = Accounts::new(database.clone(), clock.clone(), random.clone(), breached).await?;
    revocations::sweep(&database, clock.now_ms()).await?;
    let sealer = Arc::new(Sealer::new(&keys.signing, keys.previous.as_ref(), random.clone())?);
    sealed::renew(&database, &sealer).await?;
    let signing = keys.signing.clone();
    let providers = Providers::new(&config.rules, accounts.clone(), sealer.clone(), signing)?;
    let first_start = first_start::prepare(&accounts, &config.first_tenant, chosen).await?;
    let ports = Ports { database, accounts, keys, sealer, providers, clock, random };
    Ok((ports, first_start))
}

/// Refuses secrets of medseg's own services that could be guessed, and one that is another's.
fn check_own(config: &Config) -> Result<()> {
    let service = config.service_secret.as_ref().map(ExposeSecret::expose_secret);
    let delivery = config.delivery_secret.as_ref().map(ExposeSecret::expose_secret);
    let gateway = config.gateway_secret.as_ref().map(ExposeSecret::expose_secret);
    for (name, secret) in [("service", service), ("delivery", delivery), ("gateway", gateway)] {
        if secret.is_some_and(|secret| secret.len() < MIN_SERVICE_SECRET) {
            let short = format!("the {name} secret is shorter than 32 characters");
            return Err(ErrorKind::Invalid.error(short));
        }
    }
    if service.is_some() && service == delivery {
        let same = "the delivery secret is the service secret: delivery needs one of its own";
        return Err(ErrorKind::Invalid.error(same));
    }
    if gateway.is_some() && [service, delivery].contains(&gateway) {
        let same = "the gateway secret is another's: the gateway needs one of its own";
        return Err(ErrorKind::Invalid.error(same));
    }
    Ok(())
}

/// The service, with everything that `ports` holds.
pub fn build(config: Config, ports: Ports) -> Service {
    let Ports { database, accounts, keys, sealer, providers, clock, random } = ports;
    let door = rpc::Door {
        verifier: Verifier::with_keys(keys.public, clock.clone()).of("auth"),
        database: database.clone(),
    };
    let own = [
        config.service_secret.as_ref().map(Own::workers),
        config.delivery_secret.as_ref().map(Own::delivery),
    ];
    let own: Vec<Own> = own.into_iter().flatten().collect();
    let page = config.rules.public_url.as_ref();
    let security_keys = SecurityKeys::new(database.clone(), page, clock.clone(), random.clone());
    let rpc = rpc::Rpc(Arc::new(rpc::Inner {
        door,
        jwks: keys.jwks,
        clock: clock.clone(),
        clients: Clients::new(database.clone(), own, clock.clone(), random.clone()),
        providers,
        sign_in: SignIn {
            accounts: accounts.clone(),
            factors: Factors::new(
                database.clone(),
                sealer,
                security_keys,
                clock.clone(),
                random.clone(),
            ),
            sessions: Sessions::new(database.clone(), keys.signing.clone(), clock.clone(), random),
            throttle: Throttle::new(database.clone(), keys.signing.clone(), clock.clone()),
            key: keys.signing,
            clock,
        },
        accounts,
    }));
    let grpc = Routes::new(AuthServer::new(rpc.clone()))
        .add_service(AccountsServer::new(rpc.clone()))
        .add_service(ProvidersServer::new(rpc.clone()))
        .add_service(SecondFactorsServer::new(rpc.clone()))
        .add_service(AuditTrailServer::new(rpc.clone()))
        .add_service(TenantsServer::new(rpc));
    let answers = check(move || {
        let database = database.clone();
        async move { database.ping().await }
    });
    Service {
        name: "auth",
        grpc,
        gateway: Some(GatewayProof::by(config.gateway_secret.as_ref())),
        readiness: vec![("database".into(), answers)],
        ..Default::default()
    }
}
