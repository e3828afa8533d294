//! Builds the same services as the mesh does, in the order of their peers, with files behind the
//! ports and direct calls between the peers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use auth::{Accounts, FirstStart};
use domain::{ErrorKind, Random, Result, hex};
use imaging::Modality;
use platform::keys;
use platform::queue::Queue;
use secrecy::{ExposeSecret, SecretString};
use service::{LogSettings, Peer, Process, Service, system_clock, system_random};

use crate::home::Home;
use crate::models;

/// Where probes and metrics are answered when the calls' own address is reached by other machines.
const PROBES_HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// `medseg serve`
#[derive(clap::Args)]
pub struct Serve {
    /// The directory that everything is kept in.
    #[arg(long, env = "MEDSEG_DATA", default_value = "data")]
    data: PathBuf,

    /// The address to answer on; port 0 takes a free one. One that other machines reach needs a certificate, or a proxy in front
    /// that has one, and an administrator whose password nobody has printed.
    #[arg(long, env, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Where probes and metrics are answered (`/healthz`, `/readyz`, `/peers`, `/metrics`). Unless it is said: among the calls, or on
    /// 127.0.0.1:8081 where other machines reach those.
    #[arg(long, env)]
    probes: Option<SocketAddr>,

    #[command(flatten)]
    logs: LogSettings,

    /// The OpenTelemetry collector that traces go to (OTLP over gRPC): `http://HOST:4317`; none are made without.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true)]
    otlp_endpoint: Option<String>,

    #[command(flatten)]
    services: Services,
}

/// What the services are told that share a process.
#[derive(Clone, clap::Args)]
pub struct Services {
    /// The model: a weights file, or with `--research` `threshold:`, which knows bright from dark and needs no weights.
    /// Without it, whichever the registry lets serve: at first the model that came with this program.
    #[arg(long, env)]
    pub model_url: Option<String>,

    /// Takes what is no trained model, too. No patient may depend on its answers; every result says so.
    #[arg(long, env)]
    pub research: bool,

    /// Where the network runs: `auto`, `cpu`, `openvino` (the processor, faster) or `cuda:N`.
    #[arg(long, env, default_value = "auto")]
    pub device: String,

    /// How many slices the model predicts in one batch, at most.
    #[arg(long, env, default_value_t = 8)]
    pub batch: usize,

    /// How many scans of each priority are in hand at a time; when it is not said, enough for three batches.
    #[arg(long, env)]
    pub window: Option<u16>,

    /// What the registered models can judge: `MR`, `CT` or both. Which model takes which, the registry says.
    #[arg(long, env, value_delimiter = ',', default_value = "MR", value_parser = ingest::modality)]
    pub modalities: Vec<Modality>,

    /// The jail that uploads are decoded in: `required` refuses to start where the kernel has no landlock or no seccomp,
    /// `best-effort` goes on within what there is.
    #[arg(long, env, value_enum, default_value_t = ingest::Demand::Required)]
    pub decode_jail: ingest::Demand,

    /// How much memory calls of the bare model may take, all together, in MiB: bodies, tiles and answers. Those of one
    /// hospital have half of it at most.
    #[arg(long, env, default_value_t = inference::BARE_MODEL_MIB)]
    pub bare_model_mib: usize,

    /// The password of the administrator that the first start makes: by the environment, where other users of the machine do not
    /// see it. Without it one is made and printed, and must be changed at the first sign-in.
    #[arg(long, env, hide_env_values = true)]
    pub first_password: Option<SecretString>,

    #[command(flatten)]
    pub auth: auth::Rules,

    #[command(flatten)]
    pub dicom: ingest::DicomSettings,

    #[command(flatten)]
    pub gateway: gateway::Config,

    /// Who keeps the key that scans' keys are wrapped with: `file:///…` or `gcp-kms://projects/…`; `off`: what comes is kept unencrypted.
    /// Without it, the file `data-keys` in the data directory, made when missing: whoever has a copy of the whole directory has it, too.
    #[arg(long, env)]
    pub data_keys_url: Option<String>,

    #[command(flatten)]
    pub rules: storage::Rules,

    #[command(flatten)]
    pub registry: registry::Rules,

    #[command(flatten)]
    pub drift: drift::Schedule,

    #[command(flatten)]
    pub quality: drift::Bound,

    #[command(flatten)]
    pub delivery: delivery::Rules,
}

impl Serve {
    /// Serves until told to stop.
    pub fn run(self) -> anyhow::Result<()> {
        // Before the runtime's threads have heaps of their own.
        service::share_heaps();
        let public = self.services.gateway.public.open()?;
        // Before anything is made: the password of a first start is shown once.
        public.check(self.listen)?;
        let home = Home::open(&self.data)?;
        let scheme = if public.certificate.is_some() { "https" } else { "http" };
        let on_listening = |address| println!("medseg answers on {scheme}://{address}");
        tokio::runtime::Runtime::new()?.block_on(async {
            let is_open = !self.listen.ip().to_canonical().is_loopback();
            if is_open {
                refuse_printed_password(&home, self.services.first_password.as_ref()).await?;
            }
            let otlp_endpoint = self.otlp_endpoint.clone();
            let probes = self.probes.or(is_open.then_some(PROBES_HERE));
            let (listen, logs) = (self.listen, self.logs.clone());
            let process = Process { listen, probes, logs, otlp_endpoint, identity: None };
            let announce = |first_start: FirstStart| println!("{first_start}");
            process.run(async || self.services.build(&home, announce).await, on_listening).await
        })
    }
}

/// Refuses a start that other machines reach while the administrator's password is one that was printed, or would be: whoever
/// reads the log is the first who may choose another.
async fn refuse_printed_password(home: &Home, first: Option<&SecretString>) -> Result<()> {
    let is_made = home.path("auth.db").try_exists().unwrap_or(true);
    let is_printed = if is_made {
        let url = home.database_url("auth");
        let accounts = Accounts::open(&url, system_clock(), system_random()).await?;
        accounts.has_printed_password().await?
    } else {
        None
    };
    // Where nobody is yet, the first start makes the administrator.
    let is_chosen = first.is_some_and(|first| !first.expose_secret().is_empty());
    if !is_printed.unwrap_or(!is_chosen) {
        return Ok(());
    }
    Err(ErrorKind::Invalid.error(
        "other machines reach that address while the administrator's password is one that is printed: set FIRST_PASSWORD before the \
         first start, or start on 127.0.0.1 and choose another at the first sign-in, or set one with `medseg user reset-password admin`",
    ))
}

impl Services {
    /// All services, joined behind the gateway's routes. On an empty directory, `announce` gets the administrator that the
    /// first start makes, before anything can fail that would keep the password from being shown.
    pub async fn build(&self, home: &Home, announce: impl FnOnce(FirstStart)) -> Result<Service> {
        let (clock, random) = (system_clock(), system_random());
        // Both sides of each live in this process, so none need outlive it.
        let secret = || SecretString::from(hex(&random.bytes::<32>()));
        let (service_secret, delivery_secret) = (secret(), secret());
        let secrets = [&service_secret, &delivery_secret];
        let (auth, first_start) =
            auth(home, secrets, self.first_password.clone(), self.auth.clone()).await?;
        if let Some(first_start) = first_start {
            announce(first_start);
        }
        let to_auth = Peer::within(&auth);

        let registry = self.registry(home, to_auth.clone()).await?;
        let to_registry = Peer::within(&registry);

        let config = self.storage(home, &random)?;
        let ports = storage::Ports::open(&config, clock.clone(), random.clone()).await?;
        // One handle for all: whoever publishes wakes whoever waits.
        let queue = ports.queue.clone();
        let peers = storage::Peers {
            auth: to_auth.clone(),
            registry: Some(to_registry.clone()),
            service_secret: Some(service_secret.clone()),
        };
        let storage = storage::build(config.rules, ports, peers);
        let to_storage = Peer::within(&storage);

        let peers = inference::Peers {
            storage: to_storage.clone(),
            auth: to_auth.clone(),
            registry: Some(to_registry.clone()),
        };
        let config = self.inference(service_secret.clone());
        let ports =
            inference::Ports { queue: queue.clone(), clock: clock.clone(), random: random.clone() };
        let inference = inference::build(config, ports, peers).await?;

        let peers = ingest::Peers {
            storage: to_storage.clone(),
            auth: to_auth.clone(),
            inference: Some(Peer::within(&inference)),
        };
        let config = self.ingest(home, service_secret.clone());
        let ports = ingest::Ports { clock: clock.clone(), random: random.clone() };
        let ingest = ingest::build(config, ports, peers)?;
        let to_ingest = Peer::within(&ingest);

        let drift_peers =
            drift::Peers { auth: to_auth.clone(), registry: Some(to_registry.clone()) };
        let settings = drift::Settings {
            reference: self.reference()?,
            service_secret: Some(service_secret),
            schedule: self.drift,
            bound: self.quality.check()?,
        };
        let drift = drift(home, queue.clone(), settings, drift_peers).await?;

        let settings = delivery::Settings { rules: self.delivery.clone(), delivery_secret };
        let peers = delivery::Peers { auth: to_auth.clone(), storage: to_storage.clone() };
        let delivery = delivery(home, queue, settings, peers).await?;

        let peers = gateway::Peers {
            auth: to_auth,
            ingest: to_ingest,
            inbox: None,
            storage: to_storage,
            drift: Peer::within(&drift),
            registry: to_registry,
            delivery: Peer::within(&delivery),
        };
        let ports = gateway::Ports { clock, random };
        let gateway = gateway::build(self.gateway.clone(), ports, peers)?;

        // The peers have each other already; the world gets the gateway's routes, and the bare model's in both its forms.
        let bare_model = inference.grpc.clone();
        let mut joined = Service::join(
            "medseg",
            vec![auth, storage, ingest, registry, inference, drift, delivery, gateway],
        );
        joined.grpc = bare_model;
        Ok(joined)
    }

    fn storage(&self, home: &Home, random: &Random) -> Result<storage::Config> {
        let named = self.data_keys_url.clone().filter(|url| !url.is_empty());
        let data_keys_url = match named {
            Some(url) => url,
            None => {
                let path = home.path("data-keys");
                keys::make(&path, random)?;
                format!("file://{}", path.display())
            }
        };
        Ok(storage::Config {
            database_url: home.database_url("storage").into(),
            blob_url: home.blob_url().into(),
            queue_url: home.queue_url().into(),
            data_keys_url: Some(data_keys_url),
            rules: self.rules.clone(),
        })
    }

    fn ingest(&self, home: &Home, service_secret: SecretString) -> ingest::Config {
        let upload_mib = usize::try_from(self.gateway.upload_mib).unwrap_or(usize::MAX >> 20);
        ingest::Config {
            upload_mib,
            modalities: self.modalities.clone(),
            disk_reserve_mib: self.rules.disk_reserve_mib,
            decode_jail: self.decode_jail,
            dicom: self.dicom.clone(),
            ..ingest::Config::at(home.path("spool"), service_secret)
        }
    }

    fn inference(&self, service_secret: SecretString) -> inference::Config {
        inference::Config {
            model_url: self.model_url.clone(),
            research: self.research,
            device: self.device.clone(),
            batch: self.batch,
            window: self.window,
            worker: "medseg".to_owned(),
            service_secret,
            drain_s: 3,
            bare_model_mib: self.bare_model_mib,
        }
    }

    /// With the model that came with this program as the first one, unless another is named.
    async fn registry(&self, home: &Home, auth: Peer) -> Result<Service> {
        let first_model = match self.model_url {
            Some(_) => None,
            None => Some(models::shipped()?.with_file_name("")),
        };
        let config = registry::Config {
            database_url: home.database_url("registry").into(),
            blob_url: home.model_url().into(),
            queue_url: home.queue_url().into(),
            model_key: home.path("model-key.pem"),
            rules: registry::Rules { first_model, ..self.registry.clone() },
        };
        let ports = registry::Ports::open(&config, system_clock(), system_random()).await?;
        Ok(registry::build(config.rules, ports, registry::Peers { auth }))
    }

    /// What reports of drift compare with: what lies beside the model.
    fn reference(&self) -> Result<drift::Reference> {
        let model =
            self.model_url.as_ref().map_or_else(models::shipped, |named| Ok(named.into()))?;
        let beside = model.with_file_name("reference.json");
        if beside.is_file() { drift::Reference::read(&beside) } else { Ok(Default::default()) }
    }
}

async fn auth(
    home: &Home,
    [service_secret, delivery_secret]: [&SecretString; 2],
    first_password: Option<SecretString>,
    rules: auth::Rules,
) -> Result<(Service, Option<FirstStart>)> {
    let config = auth::Config {
        database_url: home.database_url("auth").into(),
        signing_key: home.path("signing-key.pem"),
        previous_key: None,
        service_secret: Some(service_secret.clone()),
        delivery_secret: Some(delivery_secret.clone()),
        // Within this process, nobody else calls.
        gateway_secret: None,
        first_password,
        first_tenant: "first hospital".to_owned(),
        rules,
    };
    let (ports, first_start) = auth::open(&config, system_clock(), system_random()).await?;
    Ok((auth::build(config, ports), first_start))
}

async fn drift(
    home: &Home,
    queue: Queue,
    settings: drift::Settings,
    peers: drift::Peers,
) -> Result<Service> {
    let (clock, random) = (system_clock(), system_random());
    let ports = drift::Ports::open(&home.database_url("drift"), queue, clock, random).await?;
    Ok(drift::build(settings, ports, peers))
}

async fn delivery(
    home: &Home,
    queue: Queue,
    settings: delivery::Settings,
    peers: delivery::Peers,
) -> Result<Service> {
    let (clock, random) = (system_clock(), system_random());
    let ports = delivery::Ports::open(&home.database_url("delivery"), queue, clock, random).await?;
    delivery::build(settings, ports, peers)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        services: Services,
    }

    #[test]
    fn ingest_takes_the_modalities_that_are_named_and_without_a_word_mr_alone() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let of = |words: &[&str]| {
            let Program { services } = Program::try_parse_from(words).unwrap();
            services.ingest(&home, "a secret".into()).modalities
        };
        let [mr, ct] = [Modality::MagneticResonance, Modality::ComputedTomography];
        assert_eq!(of(&["medseg"]), [mr]);
        assert_eq!(of(&["medseg", "--modalities", "MR,CT"]), [mr, ct]);
    }
}
