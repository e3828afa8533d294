use std::sync::Arc;

use domain::{Clock, ErrorKind, Result};
use proto::auth::Tokens;
use service::claims::{Grant, LIFETIME_S, SigningKey};

use crate::accounts::{Accounts, User, acceptable};
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
    /// Signs in from `place`, a network address as the gateway saw it.
    pub async fn password(&self, user_name: &str, password: &str, place: &str) -> Result<Tokens> {
        // Neither can be anybody's. Asked first, because a database may think "ádmin" equal to "admin",
        // which would give every spelling five guesses of its own.
        let Ok(user_name) = acceptable(user_name) else { return Err(wrong_credentials()) };
        if password.len() > 1024 {
            return Err(wrong_credentials());
        }
        let mut account = self.throttle.account(&user_name).await;
        account.admit(place, self.clock.now_ms())?;
        let Some(user) = self.accounts.known(account.asker(place), &user_name, password).await?
        else {
            account.record_failure(place, self.clock.now_ms());
            tracing::info!("a sign-in failed");
            return Err(wrong_credentials());
        };
        account.record_success(place);
        drop(account);
        let refresh_token = self.sessions.begin(&user).await?;
        tracing::info!(tenant.id = %user.tenant, user.id = %user.id, "signed in");
        Ok(self.tokens(&grant(user), refresh_token))
    }

    /// The next pair of tokens; the user's roles are those of now.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens> {
        let refused = || ErrorKind::Unauthenticated.error("the session has ended, sign in again");
        let Refreshed { tenant, user, successor } =
            self.sessions.refresh(refresh_token).await?.ok_or_else(refused)?;
        let user = self.accounts.user(&tenant, &user).await?.ok_or_else(refused)?;
        Ok(self.tokens(&grant(user), successor))
    }

    /// An access token without a session behind it: API clients sign in again instead.
    pub fn client(&self, grant: &Grant) -> Tokens {
        self.tokens(grant, String::new())
    }

    fn tokens(&self, grant: &Grant, refresh_token: String) -> Tokens {
        let access_token = grant.sign(&self.key, self.clock.now_ms());
        Tokens { access_token, expires_in_s: LIFETIME_S as u32, refresh_token }
    }
}

fn grant(user: User) -> Grant {
    let User { id, tenant, user_name, roles } = user;
    Grant { subject: id.to_string(), name: user_name, tenant, roles }
}

/// One answer, so that nobody learns which names exist.
fn wrong_credentials() -> domain::Error {
    ErrorKind::Unauthenticated.error("the user name or the password is wrong")
}
