use std::sync::Arc;

use domain::{Clock, ErrorKind, Result, SecurityKeyId, TenantId, UserId};
use proto::auth::Tokens;
use service::claims::{Grant, LIFETIME_S, SigningKey};

use crate::accounts::{Accounts, Credentials, acceptable, no_such_user};
use crate::audit;
use crate::second_factor::{Answer, Enrolment, Factors, Proof, begun_already};
use crate::sessions::{ByProvider, Refreshed, Sessions};
use crate::throttle::Throttle;

/// No service has a longer name.
const SERVICE_BYTES_MAX: usize = 32;

/// The ways to a pair of tokens.
pub struct SignIn {
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub factors: Factors,
    pub throttle: Throttle,
    pub key: Arc<SigningKey>,
    pub clock: Clock,
}

/// Who says that they are whom.
pub struct Attempt<'a> {
    pub user_name: &'a str,
    pub password: &'a str,
    /// Of the second factor.
    pub proof: Proof<'a>,
    /// The network address that it comes from, as the gateway saw it.
    pub place: &'a str,
}

/// What somebody has shown of themselves.
enum Shown {
    /// They are whom they say. `is_enrolled`: with the first code of a second factor.
    Known { known: Box<Credentials>, is_enrolled: bool },
    /// The password is right, and something is missing.
    Missing(Tokens),
}

impl SignIn {
    /// Signs in, and sets the password that is `new`, if there is one.
    ///
    /// Somebody who must change their password first, or must show a second factor, and does not is told so, and gets no token:
    /// nothing else works for them. Whoever has just shown that a second factor works gets codes for recovery, too.
    pub async fn password(&self, attempt: Attempt<'_>, new: Option<&str>) -> Result<Tokens> {
        let (known, is_enrolled) = match self.shown(&attempt).await? {
            Shown::Known { known, is_enrolled } => (known, is_enrolled),
            Shown::Missing(tokens) => return Ok(tokens),
        };
        let mut tokens = match new {
            None if known.must_change => {
                return Ok(Tokens { must_change_password: true, ..Tokens::default() });
            }
            None => self.begin(&known, attempt.place, None).await?,
            Some(new) => self.change(&known, attempt.password, new, attempt.place).await?,
        };
        if is_enrolled {
            let user = &known.user;
            tokens.recovery_codes = self.factors.make_codes(user.tenant, user.id).await?;
        }
        Ok(tokens)
    }

    /// Whether they are whom they say. Wrong passwords, wrong codes and wrong answers of keys are counted alike, and together.
    async fn shown(&self, attempt: &Attempt<'_>) -> Result<Shown> {
        let Attempt { user_name, password, proof, place } = *attempt;
        // Neither can be anybody's. Asked first, because a database may think "ádmin" equal to "admin",
        // which would give every spelling five guesses of its own.
        let Ok(user_name) = acceptable(user_name) else { return Err(wrong_credentials()) };
        if password.len() > 1024 {
            return Err(wrong_credentials());
        }
        let guess = self.throttle.guess(&user_name, place).await?;
        let known = self.accounts.known(guess.asker(place), &user_name, password).await;
        let (guess, known) = guess.looked_at(known).await?;
        let Some(known) = known else {
            guess.failed().await?;
            tracing::info!("a sign-in failed");
            let found = self.accounts.named(&user_name).await?;
            self.refused(found.as_ref(), "wrong password").await?;
            return Err(wrong_credentials());
        };
        let (guess, answer) = guess.looked_at(self.factors.check(&known, proof).await).await?;
        let missing = match answer {
            Answer::Passed | Answer::Enrolled => {
                let is_enrolled = matches!(answer, Answer::Enrolled);
                guess.succeeded().await?;
                return Ok(Shown::Known { known: Box::new(known), is_enrolled });
            }
            Answer::Wrong => {
                guess.failed().await?;
                tracing::info!("a second factor was wrong");
                let wrong = if proof.key.is_empty() { "wrong code" } else { "wrong security key" };
                self.refused(Some(&known), wrong).await?;
                return Err(if proof.key.is_empty() { wrong_code() } else { wrong_key() });
            }
            Answer::Needed { asked } => Tokens {
                second_factor_needed: true,
                security_key_options: asked.unwrap_or_default(),
                ..Tokens::default()
            },
            Answer::Enrol(Enrolment { address, .. }) => {
                Tokens { second_factor_to_be: address, ..Tokens::default() }
            }
        };
        guess.unfinished().await?;
        Ok(Shown::Missing(missing))
    }

    async fn refused(&self, found: Option<&Credentials>, wrong: &'static str) -> Result<()> {
        audit::refused(&self.accounts.database, found, self.clock.now_ms(), wrong).await
    }

    /// Begins the session of somebody whom their hospital's provider has sent.
    pub async fn by_provider(
        &self,
        known: &Credentials,
        by: ByProvider,
        place: &str,
    ) -> Result<Tokens> {
        self.begin(known, place, Some(by)).await
    }

    /// Begins one's own one-time passwords; whoever has found an open page does not know the password.
    pub async fn begin_factor(
        &self,
        who: (TenantId, UserId),
        password: &str,
        proof: Proof<'_>,
        place: &str,
    ) -> Result<Enrolment> {
        let (tenant, id) = who;
        // Before the code of the one that they have would be asked for.
        if self.factors.has(tenant, id).await? {
            return Err(begun_already());
        }
        let known = self.own(who, password, proof, place).await?;
        self.factors.begin(&known).await
    }

    /// What a browser is to be told that is to make another security key for whoever asks.
    pub async fn begin_key(
        &self,
        who: (TenantId, UserId),
        password: &str,
        proof: Proof<'_>,
        place: &str,
    ) -> Result<String> {
        let known = self.own(who, password, proof, place).await?;
        self.factors.keys.begin(&known.user).await
    }

    /// What a browser is to be told that is to ask one of one's own keys, where a password alone is not enough.
    pub async fn challenge(&self, (tenant, id): (TenantId, UserId)) -> Result<String> {
        let keys = self.factors.keys.of(tenant, id).await?;
        let asked = self.factors.keys.challenge(tenant, id, keys).await?;
        asked.ok_or_else(|| ErrorKind::NotFound.error("you have no security key that can be asked"))
    }

    /// Takes one of one's own security keys away, unless it is all that the hospital's rule is kept by.
    pub async fn remove_key(
        &self,
        (tenant, id): (TenantId, UserId),
        key: SecurityKeyId,
        (password, proof): (&str, Proof<'_>),
        place: &str,
    ) -> Result<()> {
        let is_last = !self.factors.has(tenant, id).await?
            && self.factors.keys.of(tenant, id).await?.len() == 1;
        self.may_remove(tenant, is_last).await?;
        self.own((tenant, id), password, proof, place).await?;
        self.factors.remove_key(tenant, id, key).await
    }

    /// Refuses to take the last factor away from somebody whose hospital asks for one.
    async fn may_remove(&self, tenant: TenantId, is_last: bool) -> Result<()> {
        if is_last && self.factors.is_required(tenant).await? {
            let words = "your hospital asks for a second factor";
            return Err(ErrorKind::Conflict.error(words));
        }
        Ok(())
    }

    /// Shows that one's own second factor works; the answer is codes for recovery.
    pub async fn confirm_factor(
        &self,
        (tenant, id): (TenantId, UserId),
        code: &str,
        place: &str,
    ) -> Result<Vec<String>> {
        let found = self.accounts.user(tenant, id).await?.ok_or_else(no_such_user)?;
        let guess = self.throttle.guess(&found.user.user_name, place).await?;
        let codes = self.factors.confirm(tenant, id, code).await;
        let (guess, codes) = guess.looked_at(codes).await?;
        let Some(codes) = codes else {
            guess.failed().await?;
            return Err(ErrorKind::Forbidden.error("the code is wrong"));
        };
        guess.unfinished().await?;
        Ok(codes)
    }

    /// Takes one's own one-time passwords away, unless they are all that the hospital's rule is kept by.
    pub async fn remove_factor(
        &self,
        (tenant, id): (TenantId, UserId),
        password: &str,
        proof: Proof<'_>,
        place: &str,
    ) -> Result<()> {
        let is_last = self.factors.keys.of(tenant, id).await?.is_empty();
        self.may_remove(tenant, is_last).await?;
        self.own((tenant, id), password, proof, place).await?;
        self.factors.remove(tenant, id).await
    }

    /// Whoever is signed in, once they have shown again that they are themselves.
    async fn own(
        &self,
        (tenant, id): (TenantId, UserId),
        password: &str,
        proof: Proof<'_>,
        place: &str,
    ) -> Result<Credentials> {
        let found = self.accounts.user(tenant, id).await?.ok_or_else(no_such_user)?;
        let user_name = found.user.user_name.as_str();
        match self
            .shown(&Attempt { user_name, password, proof, place })
            .await
            .map_err(known_asker)?
        {
            Shown::Known { known, .. } => Ok(*known),
            // The password is right: whose hospital asks for a factor begins it in the same way.
            Shown::Missing(tokens) if !tokens.second_factor_needed => Ok(found),
            Shown::Missing(_) => Err(factor_missing()),
        }
    }

    /// Changes one's own password, which ends all other sessions and begins another one. Guesses at the old password count as
    /// those at the door do.
    pub async fn change_password(
        &self,
        (tenant, id): (TenantId, UserId),
        (password, proof): (&str, Proof<'_>),
        new: &str,
        place: &str,
    ) -> Result<Tokens> {
        let found = self.accounts.user(tenant, id).await?;
        let user_name = &found.ok_or_else(no_such_user)?.user.user_name;
        let attempt = Attempt { user_name, password, proof, place };
        let tokens = self.password(attempt, Some(new)).await.map_err(known_asker)?;
        if tokens.access_token.is_empty() {
            return Err(factor_missing());
        }
        Ok(tokens)
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
        self.accounts.passwords.check(new, &user.user_name).await?;
        audit::known(user);
        self.accounts.set_password(user, new).await?;
        tracing::info!(tenant.id = %user.tenant, user.id = %user.id, "a user changed the password");
        let changed = self.accounts.user(user.tenant, user.id).await?;
        let changed = changed.filter(Credentials::may_sign_in).ok_or_else(wrong_credentials)?;
        self.begin(&changed, place, None).await
    }

    async fn begin(
        &self,
        known: &Credentials,
        place: &str,
        by: Option<ByProvider>,
    ) -> Result<Tokens> {
        let user = &known.user;
        audit::known(user);
        let begun = self.sessions.begin(known, place, by).await?;
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

    /// An access token without a session behind it: API clients sign in again instead. At that service alone, where one is named.
    pub fn client(&self, grant: &Grant, service: &str) -> Result<Tokens> {
        if service.len() > SERVICE_BYTES_MAX
            || !service.bytes().all(|byte| byte.is_ascii_lowercase())
        {
            return Err(ErrorKind::Invalid.error("no service has that name"));
        }
        let access_token = grant.sign_for(service, &self.key, self.clock.now_ms());
        Ok(tokens(access_token, String::new()))
    }

    fn tokens(&self, grant: &Grant, refresh_token: String) -> Tokens {
        tokens(grant.sign(&self.key, self.clock.now_ms()), refresh_token)
    }
}

fn tokens(access_token: String, refresh_token: String) -> Tokens {
    let expires_in_s = LIFETIME_S as u32;
    Tokens { access_token, expires_in_s, refresh_token, ..Tokens::default() }
}

/// One answer, so that nobody learns which names exist.
fn wrong_credentials() -> domain::Error {
    ErrorKind::Unauthenticated.error("the user name or the password is wrong")
}

/// Said to nobody who has not given the right password.
fn wrong_code() -> domain::Error {
    ErrorKind::Unauthenticated.error("the code is wrong, or was used before")
}

fn wrong_key() -> domain::Error {
    ErrorKind::Unauthenticated
        .error("the security key is none of this account's, or has answered something else")
}

fn factor_missing() -> domain::Error {
    ErrorKind::Forbidden.error("show your second factor, too: a code of it, or your security key")
}

/// Who asks is known: it is what they say that is wrong.
fn known_asker(error: domain::Error) -> domain::Error {
    match error.kind() {
        ErrorKind::Unauthenticated => {
            ErrorKind::Forbidden.error("the old password is wrong, or the second factor")
        }
        _ => error,
    }
}
