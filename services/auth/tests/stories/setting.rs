use auth::{Accounts, Config, FirstStart, Rules};
use domain::{Error, ErrorKind, ManualClock, TenantId};
use proto::auth::accounts_client::AccountsClient;
use proto::auth::auth_client::AuthClient;
use proto::auth::tenants_client::TenantsClient;
use proto::auth::*;
use secrecy::ExposeSecret;
use service::claims::{Claims, ORIGIN, Role, Verifier};
use service::{Peer, system_random};
use tempfile::TempDir;
use tonic::{Request, Response, Status};

pub const NOW_MS: i64 = 1_790_000_000_000;
/// Chosen, so that it need not be changed first.
pub const FIRST_PASSWORD: &str = "the password of the first start";
pub const GATEWAY_SECRET: &str = "what the gateway shows of itself to auth, in tests";
pub const SERVICE_SECRET: &str = "a secret of more than 32 characters, for tests";

/// Runs a story on every database there is.
macro_rules! on_each_database {
    ($($story:ident)*) => { $(
        mod $story {
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn on_sqlite() {
                super::$story(crate::setting::Setting::on_sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn on_mysql() {
                match crate::setting::Setting::on_mysql().await {
                    Some(setting) => super::$story(setting).await,
                    None => println!("skipped: TEST_MYSQL_URL names no database"),
                }
            }
        }
    )* };
}
pub(crate) use on_each_database;

/// A running auth, just started for the first time.
pub struct Setting {
    pub auth: AuthClient<Peer>,
    pub peer: Peer,
    pub verifier: Verifier,
    pub clock: ManualClock,
    pub accounts: Accounts,
    pub first: FirstStart,
    pub config: Config,
    pub folder: TempDir,
}

impl Setting {
    pub async fn on_sqlite() -> Setting {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/auth.db", folder.path().display());
        Setting::on(url, folder).await
    }

    pub async fn on_mysql() -> Option<Setting> {
        let server = std::env::var("TEST_MYSQL_URL").ok()?;
        Some(Setting::on(fresh_database(&server).await, tempfile::tempdir().unwrap()).await)
    }

    async fn on(database_url: String, folder: TempDir) -> Setting {
        let config = Config {
            database_url: database_url.into(),
            signing_key: folder.path().join("signing.pem"),
            previous_key: None,
            service_secret: Some(SERVICE_SECRET.into()),
            delivery_secret: None,
            gateway_secret: Some(GATEWAY_SECRET.into()),
            first_password: Some(FIRST_PASSWORD.into()),
            first_tenant: "St. Mary's".into(),
            rules: Rules::default(),
        };
        let clock = ManualClock::at(NOW_MS);
        let (peer, first) = start(&config, &clock).await;
        let accounts =
            Accounts::open(config.database_url.expose_secret(), clock.clock(), system_random())
                .await;
        Setting {
            auth: AuthClient::new(peer.clone()),
            verifier: Verifier::new(peer.clone(), clock.clock()),
            first: first.expect("the database was empty"),
            accounts: accounts.unwrap(),
            peer,
            clock,
            config,
            folder,
        }
    }

    pub fn lives(&self) -> AccountsClient<Peer> {
        AccountsClient::new(self.peer.clone())
    }

    pub fn tenants(&self) -> TenantsClient<Peer> {
        TenantsClient::new(self.peer.clone())
    }

    /// What a verifier elsewhere makes of the token, which has known auth's list for as long as it may.
    pub async fn minutes_later(&self, tokens: &Tokens) -> Result<Claims, Error> {
        self.clock.advance(60_000);
        self.verifier.verify(&tokens.access_token).await
    }

    pub async fn sign_in(&self, user_name: &str, password: &str) -> Result<Tokens, Error> {
        self.sign_in_from("", user_name, password).await
    }

    pub async fn sign_in_from(
        &self,
        place: &str,
        user_name: &str,
        password: &str,
    ) -> Result<Tokens, Error> {
        let (user_name, password) = (user_name.to_owned(), password.to_owned());
        let mut request = Request::new(SignInRequest { user_name, password, ..Default::default() });
        request.metadata_mut().insert(ORIGIN, place.parse().unwrap());
        plain(self.auth.clone().sign_in(request).await)
    }

    /// The first administrator's.
    pub fn password(&self) -> &str {
        self.first.password.expose_secret()
    }

    /// The administrator of the first start, signed in.
    pub async fn admin(&self) -> Tokens {
        self.sign_in(&self.first.user_name, self.password()).await.unwrap()
    }

    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens, Error> {
        let refresh_token = refresh_token.to_owned();
        plain(self.auth.clone().refresh(RefreshRequest { refresh_token }).await)
    }

    pub async fn client(&self, id: &str, secret: &str) -> Result<Tokens, Error> {
        let (client_id, client_secret) = (id.to_owned(), secret.to_owned());
        let request = ClientCredentialsRequest { client_id, client_secret, ..Default::default() };
        plain(self.auth.clone().client_credentials(request).await)
    }

    pub async fn claims(&self, tokens: &Tokens) -> Claims {
        self.verifier.verify(&tokens.access_token).await.unwrap()
    }

    /// Another hospital, with a user who has `roles`.
    pub async fn other_hospital(
        &self,
        user_name: &str,
        password: &str,
        roles: &[Role],
    ) -> TenantId {
        let tenant = self.accounts.create_tenant("Charité").await.unwrap();
        self.accounts.create_user(tenant, user_name, password, roles).await.unwrap();
        tenant
    }
}

/// Starts auth as a process does.
pub async fn start(config: &Config, clock: &ManualClock) -> (Peer, Option<FirstStart>) {
    let (ports, first) = auth::open(config, clock.clock(), system_random()).await.unwrap();
    (Peer::within(&auth::build(config.clone(), ports)), first)
}

pub fn plain<T>(answer: Result<Response<T>, Status>) -> Result<T, Error> {
    answer.map(Response::into_inner).map_err(Error::from)
}

/// What was refused, and in which words.
pub fn refusal<T>(answer: Result<T, Error>) -> (ErrorKind, String) {
    let error = answer.err().expect("a refusal");
    (error.kind(), error.to_string())
}

/// A new database on the test's own server, which is thrown away as a whole.
async fn fresh_database(server: &str) -> String {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(server).await.unwrap();
    let name = format!("auth_{:016x}", u64::from_le_bytes(system_random().bytes()));
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&pool).await.unwrap();
    let (address, _) = server.rsplit_once('/').expect("the URL names a database");
    format!("{address}/{name}")
}
