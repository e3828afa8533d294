use proto::auth::second_factors_server::SecondFactors;
use proto::auth::*;
use tonic::{Request, Response, Status};

use super::{Rpc, origin};
use crate::accounts::no_such_user;
use crate::second_factor::{Enrolment, Proof};
use crate::security_keys;

#[tonic::async_trait]
impl SecondFactors for Rpc {
    async fn begin(
        &self,
        request: Request<BeginSecondFactor>,
    ) -> Result<Response<SecondFactorBegun>, Status> {
        let who = self.door.person(request.metadata()).await?;
        let place = origin(request.metadata()).to_owned();
        let BeginSecondFactor { password, code, security_key: key } = request.get_ref();
        let proof = Proof { code, key };
        let Enrolment { secret, address } =
            self.sign_in.begin_factor(who, password, proof, &place).await?;
        Ok(Response::new(SecondFactorBegun { secret, address }))
    }

    async fn confirm(
        &self,
        request: Request<ConfirmSecondFactor>,
    ) -> Result<Response<RecoveryCodes>, Status> {
        let who = self.door.person(request.metadata()).await?;
        let place = origin(request.metadata()).to_owned();
        let codes = self.sign_in.confirm_factor(who, &request.get_ref().code, &place).await?;
        Ok(Response::new(RecoveryCodes { codes }))
    }

    async fn remove(&self, request: Request<RemoveSecondFactor>) -> Result<Response<Done>, Status> {
        let who = self.door.person(request.metadata()).await?;
        let place = origin(request.metadata()).to_owned();
        let RemoveSecondFactor { password, code, security_key: key } = request.get_ref();
        self.sign_in.remove_factor(who, password, Proof { code, key }, &place).await?;
        Ok(Response::new(Done {}))
    }

    async fn begin_key(
        &self,
        request: Request<BeginSecurityKey>,
    ) -> Result<Response<SecurityKeyOptions>, Status> {
        let who = self.door.person(request.metadata()).await?;
        let place = origin(request.metadata()).to_owned();
        let BeginSecurityKey { password, code, security_key: key } = request.get_ref();
        let json = self.sign_in.begin_key(who, password, Proof { code, key }, &place).await?;
        Ok(Response::new(SecurityKeyOptions { json }))
    }

    async fn add_key(
        &self,
        request: Request<NewSecurityKey>,
    ) -> Result<Response<SecurityKeyAdded>, Status> {
        let (tenant, user) = self.door.person(request.metadata()).await?;
        let NewSecurityKey { name, made } = request.get_ref();
        let (id, recovery_codes) = self.sign_in.factors.add_key(tenant, user, name, made).await?;
        Ok(Response::new(SecurityKeyAdded { id: id.to_string(), recovery_codes }))
    }

    async fn challenge_keys(
        &self,
        request: Request<ChallengeSecurityKeys>,
    ) -> Result<Response<SecurityKeyOptions>, Status> {
        let who = self.door.person(request.metadata()).await?;
        let json = self.sign_in.challenge(who).await?;
        Ok(Response::new(SecurityKeyOptions { json }))
    }

    async fn remove_key(
        &self,
        request: Request<RemoveSecurityKey>,
    ) -> Result<Response<Done>, Status> {
        let who = self.door.person(request.metadata()).await?;
        let place = origin(request.metadata()).to_owned();
        let RemoveSecurityKey { id, password, code, security_key: key } = request.get_ref();
        let shown = (password.as_str(), Proof { code, key });
        self.sign_in.remove_key(who, id.parse()?, shown, &place).await?;
        Ok(Response::new(Done {}))
    }

    async fn list_keys(
        &self,
        request: Request<SecurityKeysRef>,
    ) -> Result<Response<SecurityKeys>, Status> {
        let (tenant, user) = self.whose(request.metadata(), &request.get_ref().user_id).await?;
        let keys = self.sign_in.factors.keys.of(tenant, user).await?;
        let keys = keys.into_iter().map(SecurityKey::from).collect();
        let offered = self.sign_in.factors.keys.are_offered();
        Ok(Response::new(SecurityKeys { keys, offered }))
    }

    async fn remove_key_of(
        &self,
        request: Request<SecurityKeyRef>,
    ) -> Result<Response<Done>, Status> {
        let by = self.door.administering(request.metadata()).await?;
        let SecurityKeyRef { user_id, id } = request.get_ref();
        let (tenant, user) = (by.tenant().id(), user_id.parse()?);
        self.accounts.user(tenant, user).await?.ok_or_else(no_such_user)?;
        self.sign_in.factors.remove_key_of(tenant, user, id.parse()?, &by.subject).await?;
        Ok(Response::new(Done {}))
    }

    async fn remove_of(&self, request: Request<UserRef>) -> Result<Response<Done>, Status> {
        let by = self.door.administering(request.metadata()).await?;
        let (tenant, id) = (by.tenant().id(), request.get_ref().user_id.parse()?);
        self.accounts.user(tenant, id).await?.ok_or_else(no_such_user)?;
        self.sign_in.factors.remove_of(tenant, id, &by.subject).await?;
        Ok(Response::new(Done {}))
    }

    async fn get_rules(
        &self,
        request: Request<SignInRulesRef>,
    ) -> Result<Response<SignInRules>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?.id();
        let second_factor_required = self.sign_in.factors.is_required(tenant).await?;
        Ok(Response::new(SignInRules { second_factor_required }))
    }

    async fn set_rules(
        &self,
        request: Request<SignInRules>,
    ) -> Result<Response<SignInRules>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?.id();
        let rules = request.into_inner();
        self.sign_in.factors.require(tenant, rules.second_factor_required).await?;
        Ok(Response::new(rules))
    }
}

impl From<security_keys::Key> for SecurityKey {
    fn from(key: security_keys::Key) -> SecurityKey {
        let security_keys::Key { id, name, created_ms, used_ms, .. } = key;
        SecurityKey { id: id.to_string(), name, created_ms, used_ms }
    }
}
