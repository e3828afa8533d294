use std::collections::BTreeMap;

use domain::{ErrorKind, Result as Outcome};
use proto::auth::providers_server::Providers;
use proto::auth::*;
use service::claims::Role;
use tonic::{Request, Response, Status};

use super::{Rpc, origin};
use crate::oidc::jws::Algorithm;
use crate::oidc::rules::{MINUTES_MAX, Rules};
use crate::oidc::{self, Back};
use crate::roles;

/// Where a hospital does not say otherwise.
const NAME_CLAIM: &str = "email";

#[tonic::async_trait]
impl Providers for Rpc {
    async fn begin(
        &self,
        request: Request<BeginProviderSignIn>,
    ) -> Result<Response<ProviderSignInBegun>, Status> {
        let begun = self.providers.begin(&request.get_ref().name).await?;
        let oidc::Begun { location, binding, lasts_s, is_secure } = begun;
        Ok(Response::new(ProviderSignInBegun { location, binding, lasts_s, secure: is_secure }))
    }

    async fn finish(
        &self,
        request: Request<FinishProviderSignIn>,
    ) -> Result<Response<Tokens>, Status> {
        let place = origin(request.metadata()).to_owned();
        let FinishProviderSignIn { name, state, code, issuer, binding, secure } = request.get_ref();
        let back = Back { alias: name, state, code, issuer, binding, is_secure: *secure };
        let (known, by) = self.providers.finish(back).await?;
        Ok(Response::new(self.sign_in.by_provider(&known, by, &place).await?))
    }

    async fn log_out(&self, request: Request<ProviderLogout>) -> Result<Response<Done>, Status> {
        let ProviderLogout { name, logout_token } = request.get_ref();
        self.providers.log_out(name, logout_token).await?;
        Ok(Response::new(Done {}))
    }

    async fn get(&self, request: Request<ProviderRef>) -> Result<Response<Provider>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        Ok(Response::new(self.providers.show(tenant.id()).await?.into()))
    }

    async fn set(
        &self,
        request: Request<proto::auth::ProviderToBe>,
    ) -> Result<Response<Provider>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let to_be = request.into_inner().try_into()?;
        Ok(Response::new(self.providers.set(tenant.id(), to_be).await?.into()))
    }

    async fn remove(&self, request: Request<ProviderRef>) -> Result<Response<Done>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        self.providers.remove(tenant.id()).await?;
        Ok(Response::new(Done {}))
    }
}

impl From<oidc::Shown> for Provider {
    fn from(shown: oidc::Shown) -> Provider {
        Provider {
            name: shown.alias,
            issuer: shown.issuer,
            client_id: shown.client_id,
            has_secret: shown.has_secret,
            passwords: shown.passwords,
            rules: Some(shown.rules.into()),
            redirect_url: shown.redirect_url,
            logout_url: shown.logout_url,
        }
    }
}

impl From<Rules> for ProviderRules {
    fn from(rules: Rules) -> ProviderRules {
        let named = |(value, role): (String, Role)| (value, role.name().to_owned());
        ProviderRules {
            algorithms: rules.algorithms.iter().map(|it| it.name().to_owned()).collect(),
            scopes: rules.scopes,
            name_claim: rules.name_claim,
            roles_claim: rules.roles_claim,
            roles: rules.roles.into_iter().map(named).collect(),
            default_roles: roles::names(&rules.default_roles),
            domains: rules.domains,
            invited_only: rules.invited_only,
            session_minutes: rules.session_minutes,
        }
    }
}

impl TryFrom<proto::auth::ProviderToBe> for oidc::ProviderToBe {
    type Error = domain::Error;

    fn try_from(to_be: proto::auth::ProviderToBe) -> Outcome<oidc::ProviderToBe> {
        Ok(oidc::ProviderToBe {
            alias: to_be.name,
            issuer: to_be.issuer,
            client_id: to_be.client_id,
            client_secret: to_be.client_secret,
            passwords: to_be.passwords,
            rules: to_be.rules.unwrap_or_default().try_into()?,
        })
    }
}

impl TryFrom<ProviderRules> for Rules {
    type Error = domain::Error;

    fn try_from(rules: ProviderRules) -> Outcome<Rules> {
        let mut mapped = BTreeMap::new();
        for (value, name) in rules.roles {
            mapped.insert(value, role(&name)?);
        }
        Ok(Rules {
            algorithms: algorithms(&rules.algorithms)?,
            scopes: rules.scopes,
            name_claim: or(rules.name_claim, NAME_CLAIM),
            roles_claim: rules.roles_claim,
            roles: mapped,
            default_roles: rules
                .default_roles
                .iter()
                .map(|name| role(name))
                .collect::<Outcome<_>>()?,
            domains: rules.domains,
            invited_only: rules.invited_only,
            session_minutes: match rules.session_minutes {
                0 => MINUTES_MAX,
                said => said,
            },
        })
    }
}

fn or(said: String, default: &str) -> String {
    if said.is_empty() { default.to_owned() } else { said }
}

/// How a provider may sign; what every provider can, where nothing is said.
fn algorithms(names: &[String]) -> Outcome<Vec<Algorithm>> {
    if names.is_empty() {
        return Ok(vec![Algorithm::RS256]);
    }
    let known = |name: &String| {
        let algorithm = name.parse::<Algorithm>();
        algorithm.map_err(|_| ErrorKind::Invalid.error("a provider signs with RS256 or ES256"))
    };
    names.iter().map(known).collect()
}

fn role(name: &str) -> Outcome<Role> {
    // The same words and the same bounds as for whoever is invited: no operator, none of medseg's own services.
    let roles = roles::parse(&[name.to_owned()])?;
    roles.first().copied().ok_or_else(|| ErrorKind::Invalid.error("name at least one role"))
}
