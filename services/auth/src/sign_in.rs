use std::sync::Arc;

use domain::{Clock, ErrorKind, Result, TenantId, UserId};
use proto::auth::Tokens;
use service::claims::{Grant, LIFETIME_S, SigningKey};

use crate::accounts::{Accounts, Credentials, acceptable, no_such_user};
use crate::passwords;
use crate::sessions::{Refreshed, Sessions};
use crate::throttle::Throttle;

/// The ways to a pair of tokens.
pub struct SignIn {
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub throttle: Throttle,
    pub key: Arc<SigningKey>,
    pub clock: Clock,
}

impl SignIn {
    /// Signs in from `place`, a network address as the gateway saw it, and sets the password that is `new`, if there is one.
    ///
    /// Somebody who must change their password first and does not is told so, and gets no token: nothing else works for them.
    pub async fn password(
        &self,
        user_name: &str,
        password: &str,
        new: Option<&str>,
        place: &str,
    ) -> Result<Tokens> {
        // Neither can be anybody's. Asked first, because a database may think "ádmin" equal to "admin",
        // which would give every spelling five guesses of its own.
        let Ok(user_name) = acceptable(user_name) else { return Err(wrong_credentials()) };
        if password.len() > 1024 {
            return Err(wrong_credentials());
        }
        let mut account = self.throttle.account(&user_name).await;
        account.admit(place, self.clock.now_ms())?;
        let Some(known) = self.accounts.known(account.asker(place), &user_name, password).await?
        else {
            account.record_failure(place, self.clock.now_ms());
            tracing::info!("a sign-in failed");
            return Err(wrong_credentials());
        };
        account.record_success(place);
        drop(account);
        match new {
            None if known.must_change => {
                Ok(Tokens { must_change_password: true, ..Tokens::default() })
            }
            None => self.begin(&known, place).await,
            Some(new) => self.change(&known, password, new, place).await,
        }
    }

    /// Changes one's own password, which ends all other sessions and begins another one. Guesses at the old password count as
    /// those at the door do.
    pub async fn change_password(
        &self,
        (tenant, id): (TenantId, UserId),
        password: &str,
        new: &str,
        place: &str,
    ) -> Result<Tokens> {
        let found = self.accounts.user(tenant, id).await?;
        let user_name = found.ok_or_else(no_such_user)?.user.user_name;
        self.password(&user_name, password, Some(new), place).await.map_err(|error| {
            match error.kind() {
                // Who asks is known: it is what they say that is wrong.
                ErrorKind::Unauthenticated => {
                    ErrorKind::Forbidden.error("the old password is wrong")
                }
                _ => error,
            }
        })
    }

    async fn change(
        &self,
        known: &Credentials,
        old: &str,
        new: &str,
        place: &str,
    ) -> Result<Tokens> {
        let user = &known.user;
        if new == old {
            return Err(ErrorKind::Invalid.error("the new password is the old one"));
        }
        passwords::check(new, &user.user_name)?;
        self.accounts.set_password(user, new).await?;
        tracing::info!(tenant.id = %user.tenant, user.id = %user.id, "a user changed the password");
        let changed = self.accounts.user(user.tenant, user.id).await?;
        let changed = changed.filter(Credentials::may_sign_in).ok_or_else(wrong_credentials)?;
        self.begin(&changed, place).await
    }

    async fn begin(&self, known: &Credentials, place: &str) -> Result<Tokens> {
        let user = &known.user;
        let begun = self.sessions.begin(known, place).await?;
        let refresh_token = begun.ok_or_else(wrong_credentials)?;
        tracing::info!(tenant.id = %user.tenant, user.id = %user.id, "signed in");
        Ok(self.tokens(&known.grant(), refresh_token))
    }

    /// The next pair of tokens; the user's roles are those of now.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens> {
        let refused = || ErrorKind::Unauthenticated.error("the session has ended, sign in again");
        let Refreshed { tenant, user, successor } =
            self.sessions.refresh(refresh_token).await?.ok_or_else(refused)?;
        let user = self.accounts.user(tenant.parse()?, user.parse()?).await?;
        let user = user.filter(Credentials::may_sign_in).ok_or_else(refused)?;
        Ok(self.tokens(&user.grant(), successor))
    }

    /// An access token without a session behind it: API clients sign in again instead.
    pub fn client(&self, grant: &Grant) -> Tokens {
        self.tokens(grant, String::new())
    }

    fn tokens(&self, grant: &Grant, refresh_token: String) -> Tokens {
        let access_token = grant.sign(&self.key, self.clock.now_ms());
        let expires_in_s = LIFETIME_S as u32;
        Tokens { access_token, expires_in_s, refresh_token, must_change_password: false }
    }
}

/// One answer, so that nobody learns which names exist.
fn wrong_credentials() -> domain::Error {
    ErrorKind::Unauthenticated.error("the user name or the password is wrong")
}
