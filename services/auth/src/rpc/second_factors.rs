use proto::auth::second_factors_server::SecondFactors;
use proto::auth::*;
use tonic::{Request, Response, Status};

use super::{Rpc, origin};
use crate::accounts::no_such_user;
use crate::second_factor::Enrolment;

#[tonic::async_trait]
impl SecondFactors for Rpc {
    async fn begin(
        &self,
        request: Request<BeginSecondFactor>,
    ) -> Result<Response<SecondFactorBegun>, Status> {
        let who = self.door.person(request.metadata()).await?;
        let place = origin(request.metadata()).to_owned();
        let password = &request.get_ref().password;
        let Enrolment { secret, address } =
            self.sign_in.begin_factor(who, password, &place).await?;
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
        let RemoveSecondFactor { password, code } = request.get_ref();
        self.sign_in.remove_factor(who, password, code, &place).await?;
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
