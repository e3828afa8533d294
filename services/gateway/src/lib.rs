//! The REST face of the mesh, and the web page. Translates; decides nothing.
//!
//! The access token is verified here before a body is read; what its bearer may do is decided by
//! the service that owns the data.

mod account;
mod archive;
mod artefacts;
mod audit;
mod batches;
mod caller;
mod capability;
mod clients;
mod confirmed;
mod consent;
mod dataset;
mod deliveries;
mod destinations;
mod dicom;
mod dicomweb;
mod docs;
mod drift;
mod drift_report;
mod drift_window;
mod drift_windows;
mod erasures;
mod evaluations;
mod events;
mod extract;
mod feedback;
mod feedback_upload;
mod form;
mod gate_check;
mod holds;
mod identity;
mod incident_links;
mod incident_words;
mod incidents;
mod intake;
mod known;
mod layers;
mod limits;
mod manual;
mod masks;
mod models;
mod overlaps;
mod page;
mod paging;
mod partial_uploads;
mod peers;
mod places;
mod pour;
mod priors;
mod problem;
mod problems;
mod provider;
mod quality;
mod quality_group;
mod range;
mod refusals;
mod retention;
mod reviews;
mod said;
mod scan_report;
mod scans;
mod second_factor;
mod sections;
mod security_keys;
mod series_rules;
mod shelf;
mod sign_in;
mod slices;
mod stated;
mod stops;
mod tenants;
mod thumbnails;
mod times;
mod token;
mod upload;
mod upload_options;
mod upload_sink;
mod users;
mod version_upload;
mod volumes;
mod worklist;

use axum::extract::DefaultBodyLimit;
use axum::http::HeaderValue;
use axum::middleware::{from_fn, from_fn_with_state};
use domain::limits::UPLOAD_MIB_DEFAULT;
use domain::{Clock, ErrorKind, Random, Result, TenantId};
use proto::auth::accounts_client::AccountsClient;
use proto::auth::audit_trail_client::AuditTrailClient as AccountTrailClient;
use proto::auth::auth_client::AuthClient;
use proto::auth::providers_client::ProvidersClient;
use proto::auth::second_factors_client::SecondFactorsClient;
use proto::auth::tenants_client::TenantsClient;
use proto::delivery::delivery_client::DeliveryClient;
use proto::drift::drift_client::DriftClient;
use proto::ingest::ingest_client::IngestClient;
use proto::registry::models_client::ModelsClient;
use proto::storage::audit_trail_client::AuditTrailClient;
use proto::storage::erasures_client::ErasuresClient;
use proto::storage::feedback_client::FeedbackClient;
use proto::storage::incidents_client::IncidentsClient;
use proto::storage::learning_client::LearningClient;
use proto::storage::limits_client::LimitsClient;
use proto::storage::scans_client::ScansClient;
use proto::storage::series_rules_client::SeriesRulesClient;
use proto::storage::stops_client::StopsClient;
use secrecy::SecretString;
use service::claims::Verifier;
use service::{Peer, PublicSettings, Service, Turns};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use known::Known;
use masks::Masks;
use places::Places;
use sections::Sections;
use shelf::Shelf;
use thumbnails::Thumbnails;

pub use problems::{Explanation, known as kinds_of_problems};

/// The largest JSON or form body.
const CONTROL_BODY_BYTES: usize = 1024 * 1024;

/// Reports that are written at the same time; who asks for one more waits.
const REPORTS_AT_ONCE: usize = 4;

/// Streams of all scans' events that are open at the same time: a page has one, and asks again and again where there is no room.
const STREAMS_AT_ONCE: usize = 256;

/// What the gateway needs of the outside world.
pub struct Ports {
    pub clock: Clock,
    pub random: Random,
}

/// The services that the gateway speaks for.
#[derive(Clone)]
pub struct Peers {
    pub auth: Peer,
    pub ingest: Peer,
    /// The one instance of ingest in whose inbox instances wait; none where there is one in all.
    pub inbox: Option<Peer>,
    pub storage: Peer,
    pub drift: Peer,
    pub registry: Peer,
    pub delivery: Peer,
}

/// Where those services answer, when they are other processes.
#[derive(Debug, clap::Args)]
pub struct PeerUrls {
    /// Where the auth service answers.
    #[arg(long, env)]
    auth_url: String,
    /// Where the ingest service answers.
    #[arg(long, env)]
    ingest_url: String,
    /// Where the one instance of ingest answers that takes instances by STOW-RS and completes studies, where there are several: each knows
    /// its own inbox only. Without it that is INGEST_URL.
    #[arg(long, env)]
    inbox_url: Option<String>,
    /// Where the storage service answers.
    #[arg(long, env)]
    storage_url: String,
    /// Where the drift service answers.
    #[arg(long, env)]
    drift_url: String,
    /// Where the registry service answers.
    #[arg(long, env)]
    registry_url: String,
    /// Where the delivery service answers.
    #[arg(long, env)]
    delivery_url: String,
    /// What the gateway shows auth, which then believes from where somebody signs in: auth's own GATEWAY_SECRET.
    #[arg(long, env, hide_env_values = true)]
    gateway_secret: Option<SecretString>,
}

impl PeerUrls {
    /// The way to each; connections are made when they are first used.
    pub fn connect(&self) -> Result<Peers> {
        let auth = Peer::connect(&self.auth_url)?;
        Ok(Peers {
            auth: match &self.gateway_secret {
                Some(secret) => auth.shown(secret)?,
                None => auth,
            },
            ingest: Peer::connect(&self.ingest_url)?,
            inbox: self.inbox_url.as_deref().map(Peer::connect).transpose()?,
            storage: Peer::connect(&self.storage_url)?,
            drift: Peer::connect(&self.drift_url)?,
            registry: Peer::connect(&self.registry_url)?,
            delivery: Peer::connect(&self.delivery_url)?,
        })
    }
}

/// What the gateway lets in.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// The largest upload, in MiB: the same as ingest's. A larger one is refused before its bytes are sent.
    #[arg(long, env, default_value_t = UPLOAD_MIB_DEFAULT.into())]
    pub upload_mib: u64,

    /// How many uploads may be under way at once; more are told to come back. One hospital has three quarters of them at most.
    #[arg(long, env, default_value_t = 96)]
    pub max_uploads: usize,

    /// The origins whose pages may call from a browser, such as `https://viewer.hospital.example`; none but this gateway's own
    /// without.
    #[arg(long, env, value_delimiter = ',', value_parser = origin)]
    pub cors_origins: Vec<HeaderValue>,

    #[command(flatten)]
    pub public: PublicSettings,
}

/// An origin as browsers write it: scheme, host and port, and nothing else.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let bad = || format!("`{text}` is no origin, such as https://viewer.hospital.example");
    let url = url::Url::parse(text).map_err(|_| bad())?;
    // Browsers compare letter by letter.
    if url.origin().ascii_serialization() != text {
        return Err(bad());
    }
    HeaderValue::from_str(text).map_err(|_| bad())
}

impl Default for Config {
    fn default() -> Config {
        Config {
            upload_mib: UPLOAD_MIB_DEFAULT.into(),
            max_uploads: 96,
            cors_origins: Vec::new(),
            public: PublicSettings::default(),
        }
    }
}

/// What handlers share.
#[derive(Clone)]
struct Gateway {
    auth: AuthClient<Peer>,
    accounts: AccountsClient<Peer>,
    tenants: TenantsClient<Peer>,
    providers: ProvidersClient<Peer>,
    second_factors: SecondFactorsClient<Peer>,
    ingest: IngestClient<Peer>,
    inbox: IngestClient<Peer>,
    scans: ScansClient<Peer>,
    trail: AuditTrailClient<Peer>,
    account_trail: AccountTrailClient<Peer>,
    erasures: ErasuresClient<Peer>,
    feedback: FeedbackClient<Peer>,
    learning: LearningClient<Peer>,
    incidents: IncidentsClient<Peer>,
    series_rules: SeriesRulesClient<Peer>,
    limits: LimitsClient<Peer>,
    stops: StopsClient<Peer>,
    drift: DriftClient<Peer>,
    models: ModelsClient<Peer>,
    delivery: DeliveryClient<Peer>,
    verifier: Verifier,
    sections: Sections,
    clock: Clock,
    uploads: Places,
    reports: Turns<TenantId>,
    masks: Masks,
    shelf: Shelf,
    indexes: dicomweb::Memory,
    thumbnails: Thumbnails,
    streams: Places,
    max_upload_bytes: u64,
}

/// The gateway in front of `peers`.
pub fn build(config: Config, ports: Ports, peers: Peers) -> Result<Service> {
    let Ports { clock, random } = ports;
    if config.max_uploads == 0 || config.upload_mib == 0 {
        return Err(
            ErrorKind::Invalid.error("a gateway that lets no upload in: max-uploads, upload-mib")
        );
    }
    let public = config.public.open()?;
    let asked = peers::checks(&peers);
    let (api, openapi) = api().split_for_parts();
    let gateway = Gateway {
        verifier: Verifier::new(peers.auth.clone(), clock.clone()),
        sections: Sections::of(&openapi),
        clock,
        accounts: AccountsClient::new(peers.auth.clone()),
        tenants: TenantsClient::new(peers.auth.clone()),
        providers: ProvidersClient::new(peers.auth.clone()),
        second_factors: SecondFactorsClient::new(peers.auth.clone()),
        account_trail: AccountTrailClient::new(peers.auth.clone()),
        auth: AuthClient::new(peers.auth),
        inbox: IngestClient::new(peers.inbox.unwrap_or_else(|| peers.ingest.clone())),
        ingest: IngestClient::new(peers.ingest),
        scans: ScansClient::new(peers.storage.clone()),
        trail: AuditTrailClient::new(peers.storage.clone()),
        erasures: ErasuresClient::new(peers.storage.clone()),
        feedback: FeedbackClient::new(peers.storage.clone()),
        learning: LearningClient::new(peers.storage.clone()),
        incidents: IncidentsClient::new(peers.storage.clone()),
        series_rules: SeriesRulesClient::new(peers.storage.clone()),
        limits: LimitsClient::new(peers.storage.clone()),
        stops: StopsClient::new(peers.storage),
        drift: DriftClient::new(peers.drift),
        models: ModelsClient::new(peers.registry),
        delivery: DeliveryClient::new(peers.delivery),
        uploads: Places::of(config.max_uploads, "uploads"),
        reports: Turns::of(REPORTS_AT_ONCE),
        masks: Masks::default(),
        shelf: Shelf::default(),
        indexes: dicomweb::Memory::default(),
        thumbnails: Thumbnails::default(),
        streams: Places::of(STREAMS_AT_ONCE, "streams of events"),
        max_upload_bytes: config.upload_mib.saturating_mul(1024 * 1024),
    };
    let known = Known::of(&openapi);
    let http = api
        .merge(incident_links::page())
        .layer(from_fn_with_state(gateway.clone(), limits::tell))
        .layer(from_fn_with_state(gateway.clone(), audit::note))
        .layer(from_fn_with_state(known, known::refuse_unknown))
        // Outside of whatever refuses early.
        .layer(from_fn(service::drain))
        .with_state(gateway)
        .merge(docs::routes(openapi))
        .merge(problems::routes())
        .merge(sign_in::way_back())
        .merge(manual::routes())
        .fallback(page::show);
    let http = layers::around(http, random, &config.cors_origins, public.is_by_tls());
    // It is ready while it answers: that a peer is away, the caller is told with 503.
    Ok(Service { name: "gateway", http, peers: asked, public: Some(public), ..Service::default() })
}

/// Every route, with its description.
fn api() -> OpenApiRouter<Gateway> {
    let control = OpenApiRouter::with_openapi(docs::about())
        .routes(routes!(token::grant))
        .routes(routes!(token::revoke))
        .routes(routes!(token::keys))
        .routes(routes!(token::result_keys))
        .routes(routes!(capability::show))
        .merge(sign_in::routes())
        .merge(users::routes())
        .merge(provider::routes())
        .merge(clients::routes())
        .merge(account::routes())
        .merge(tenants::routes())
        .merge(limits::routes())
        .routes(routes!(scans::list))
        .routes(routes!(scans::show, worklist::change, worklist::delete))
        .routes(routes!(worklist::retry))
        .routes(routes!(identity::show))
        .routes(routes!(events::watch))
        .routes(routes!(events::watch_all))
        .merge(artefacts::routes())
        .merge(dicomweb::router())
        .routes(routes!(scan_report::show))
        .routes(routes!(feedback::list))
        .routes(routes!(feedback::mask))
        .routes(routes!(reviews::list))
        .routes(routes!(dataset::list))
        .routes(routes!(dataset::image))
        .routes(routes!(dataset::mask))
        .routes(routes!(dataset::dicom))
        .routes(routes!(consent::show, consent::decide))
        .routes(routes!(incidents::list, incidents::report))
        .routes(routes!(incident_links::list, incident_links::make))
        .routes(routes!(incident_links::revoke))
        .routes(routes!(slices::show))
        .routes(routes!(thumbnails::show))
        .routes(routes!(volumes::show))
        .routes(routes!(priors::list))
        .routes(routes!(batches::show))
        .routes(routes!(archive::download))
        .routes(routes!(drift::create))
        .routes(routes!(drift::show))
        .routes(routes!(drift_windows::list))
        .routes(routes!(drift_windows::show))
        .routes(routes!(drift_windows::compare))
        .routes(routes!(drift_windows::rows))
        .routes(routes!(drift_windows::rows_as_parquet))
        .routes(routes!(quality::show))
        .routes(routes!(evaluations::list, evaluations::report))
        .routes(routes!(stops::show, stops::decide))
        .routes(routes!(stops::lift))
        .routes(routes!(models::list))
        .routes(routes!(models::show))
        .routes(routes!(models::file))
        .routes(routes!(models::promote))
        .routes(routes!(models::roll_back))
        .routes(routes!(models::shadow, models::shadow_report))
        .routes(routes!(models::retire))
        .routes(routes!(models::events))
        .merge(series_rules::routes())
        .merge(audit::routes())
        .merge(erasures::routes())
        .merge(holds::routes())
        .merge(retention::routes())
        .merge(destinations::routes())
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::again))
        .merge(dicomweb::studies())
        .layer(DefaultBodyLimit::max(CONTROL_BODY_BYTES))
        .layer(from_fn(layers::in_time));
    // Uploads take as long as their size asks for, and count their own bytes.
    let uploads = OpenApiRouter::new()
        .routes(routes!(scans::create))
        .routes(routes!(batches::create))
        .routes(routes!(feedback::give))
        .routes(routes!(models::register))
        .merge(partial_uploads::routes())
        .merge(dicomweb::uploads());
    control.merge(uploads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for origin in ["https://viewer.hospital.example", "http://10.0.0.7:8042"] {
            assert_eq!(super::origin(origin).unwrap(), origin);
        }
        for none in
            ["*", "null", "viewer.example", "https://viewer.example/", "https://Viewer.example"]
        {
            assert!(super::origin(none).unwrap_err().contains(none), "{none}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_command_line() {
        #[derive(clap::Parser)]
        struct Options {
            #[command(flatten)]
            config: Config,
        }
        let parsed = <Options as clap::Parser>::parse_from(["gateway"]).config;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Config::default()));
    }
}
