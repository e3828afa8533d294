use std::path::Path;
use std::sync::Arc;

use domain::limits::ACCOUNT_NAME_CHARS_MAX;
use domain::{Clock, ErrorKind, Random, Result, TenantId, UserId};
use platform::db::{self, BindId, Database, Run, Unit};
use service::claims::{Epochs, Grant, Role, operator_tenant};
use sqlx::FromRow;

use crate::passwords::{self, Breached, Passwords};
use crate::states::{TenantState, UserState};
use crate::waiting::Asker;
use crate::{MIGRATIONS, audit, roles, second_factor};

/// Tenants and their users; also what the command line manages them with.
#[derive(Clone)]
pub struct Accounts {
    pub(crate) database: Database,
    pub(crate) passwords: Passwords,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

/// Somebody who may sign in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    pub id: UserId,
    pub tenant: TenantId,
    pub user_name: String,
    pub roles: Vec<Role>,
    pub state: UserState,
    /// When they have last given their password; 0: never.
    pub signed_in_ms: i64,
}

/// A user, and what is needed to tell whether somebody is them.
pub(crate) struct Credentials {
    pub user: User,
    password_hash: String,
    tenant_state: TenantState,
    pub epochs: Epochs,
    pub must_change: bool,
    /// The hospital's provider knows them, and lets nobody whom it knows have a password here.
    pub is_bound: bool,
    /// The hospital asks everybody who signs in with a password for a second factor.
    pub needs_second_factor: bool,
}

impl Credentials {
    /// Whether they may be signed in at all.
    pub fn may_sign_in(&self) -> bool {
        self.user.state == UserState::Active && self.is_of_active_tenant()
    }

    /// Whether the hospital is neither suspended nor closed.
    pub fn is_of_active_tenant(&self) -> bool {
        self.tenant_state == TenantState::Active
    }

    /// Whether that may be by a password: whom a provider has brought may have none.
    fn may_say_a_password(&self) -> bool {
        self.may_sign_in() && !self.is_bound && !self.password_hash.is_empty()
    }

    pub fn grant(&self) -> Grant {
        let User { id, tenant, user_name, roles, .. } = self.user.clone();
        let (subject, scopes, epochs) = (id.to_string(), Vec::new(), self.epochs);
        Grant { subject, name: user_name, tenant, roles, scopes, epochs }
    }
}

#[derive(FromRow)]
struct Row {
    tenant_id: String,
    id: String,
    user_name: String,
    roles: String,
    password_hash: String,
    state: String,
    epoch: i64,
    must_change: i64,
    signed_in_ms: i64,
    tenant_state: String,
    tenant_epoch: i64,
    second_factor: String,
    bound: i64,
}

/// Users of which `$of` is true, with how it is with their hospital.
macro_rules! users {
    ($of:literal) => {
        concat!(
            "SELECT u.tenant_id, u.id, u.user_name, u.roles, u.password_hash, u.state, u.epoch, u.must_change,
                 u.signed_in_ms, t.state AS tenant_state, t.epoch AS tenant_epoch, t.second_factor,
                 (SELECT COUNT(*) FROM provider_subjects s JOIN providers p ON p.tenant_id = s.tenant_id
                  WHERE s.tenant_id = u.tenant_id AND s.user_id = u.id AND p.passwords = 0) AS bound
             FROM users u JOIN tenants t ON t.id = u.tenant_id WHERE ",
            $of
        )
    };
}

/// What a row of a user holds that is to be made.
pub(crate) struct UserToBe {
    pub tenant: TenantId,
    /// As it is kept: [`acceptable`].
    pub user_name: String,
    pub roles: Vec<Role>,
    /// Empty: they are invited, and will choose their first password themselves.
    pub password_hash: String,
    pub must_change: bool,
}

/// What a hospital's row says where it asks everybody for a second factor.
pub(crate) const REQUIRED: &str = "required";

/// A hospital whose row is held until the unit ends.
pub(crate) struct Held {
    pub state: TenantState,
    pub users_max: i64,
    pub clients_max: i64,
}

impl Accounts {
    /// Opens the accounts at `database_url`, as auth itself does.
    pub async fn open(database_url: &str, clock: Clock, random: Random) -> Result<Accounts> {
        let database = db::connect(database_url, &MIGRATIONS).await?;
        Accounts::new(database, clock, random, None).await
    }

    pub(crate) async fn new(
        database: Database,
        clock: Clock,
        random: Random,
        breached: Option<Arc<Breached>>,
    ) -> Result<Accounts> {
        let passwords = Passwords::new(random.clone()).await?.without(breached);
        Ok(Accounts { database, passwords, clock, random })
    }

    /// The same, which take no new password that is in the list at `path` (`BREACHED_PASSWORDS`), if one is named.
    pub fn without_breached(self, path: Option<&Path>) -> Result<Accounts> {
        let passwords = self.passwords.without(passwords::breached_at(path)?);
        Ok(Accounts { passwords, ..self })
    }

    /// Makes a hospital; `Conflict` when there is one of that name.
    pub async fn create_tenant(&self, name: &str) -> Result<TenantId> {
        let (id, now_ms) = (TenantId::new(&self.clock, &self.random), self.clock.now_ms());
        let name = label(name, "a hospital's name")?;
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    sqlx::query("INSERT INTO tenants (id, name, created_ms) VALUES (?, ?, ?)")
                        .id(id)
                        .bind(name)
                        .bind(now_ms)
                        .run(unit)
                        .await
                        .map_err(|error| taken(error, "there is a hospital of that name"))?;
                    audit::note(unit, id, now_ms, "tenant.created", id, "").await
                })
            })
            .await?;
        tracing::info!(tenant.id = %id, "made a tenant");
        Ok(id)
    }

    /// Every hospital: its id and its name.
    pub async fn tenants(&self) -> Result<Vec<(TenantId, String)>> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT id, name FROM tenants WHERE id <> ? ORDER BY name")
                .id(operator_tenant())
                .fetch_all(self.database.pool())
                .await
                .map_err(db::failed)?;
        rows.into_iter().map(|(id, name)| Ok((id.parse()?, name))).collect()
    }

    /// Makes a user of `tenant`.
    ///
    /// `Invalid`, in words, when the name or the password will not do; `Conflict` when the name is taken,
    /// whichever tenant has it, or when the hospital has as many users as it may.
    pub async fn create_user(
        &self,
        tenant: TenantId,
        user_name: &str,
        password: &str,
        roles: &[Role],
    ) -> Result<User> {
        roles::check(roles)?;
        self.create(tenant, user_name, password, roles, false).await
    }

    /// Makes an operator, who belongs to no hospital. Only whoever has the database can.
    pub async fn create_operator(&self, user_name: &str, password: &str) -> Result<User> {
        self.create(operator_tenant(), user_name, password, &[Role::Operator], false).await
    }

    /// Those who manage hospitals, by name.
    pub async fn operators(&self) -> Result<Vec<User>> {
        self.users(operator_tenant()).await
    }

    /// The same as [`create_user`](Accounts::create_user); `must_change`: somebody else has chosen the password and shown it.
    pub(crate) async fn create(
        &self,
        tenant: TenantId,
        user_name: &str,
        password: &str,
        roles: &[Role],
        must_change: bool,
    ) -> Result<User> {
        let user_name = acceptable(user_name)?;
        self.passwords.check(password, &user_name).await?;
        let password_hash = self.passwords.hash(password).await?;
        let roles = roles.to_vec();
        let to_be = UserToBe { tenant, user_name, roles, password_hash, must_change };
        let (id, now_ms) = (UserId::new(&self.clock, &self.random), self.clock.now_ms());
        self.database.unit(move |unit| Box::pin(insert_user(unit, id, to_be, now_ms))).await
    }

    /// Whether a password that the first start has printed is somebody's still; `None` where there is nobody yet.
    pub async fn has_printed_password(&self) -> Result<Option<bool>> {
        let (users, printed): (i64, i64) = sqlx::query_as(
            "SELECT COUNT(*), COUNT(CASE WHEN must_change = 1 THEN 1 END) FROM users WHERE tenant_id <> ?",
        )
        .id(operator_tenant())
        .fetch_one(self.database.pool())
        .await
        .map_err(db::failed)?;
        Ok((users > 0).then_some(printed > 0))
    }

    /// The users of `tenant`, by name.
    pub async fn users(&self, tenant: TenantId) -> Result<Vec<User>> {
        let rows: Vec<Row> = sqlx::query_as(users!("u.tenant_id = ? ORDER BY u.user_name"))
            .id(tenant)
            .fetch_all(self.database.pool())
            .await
            .map_err(db::failed)?;
        rows.into_iter().map(|row| Ok(credentials(row)?.user)).collect()
    }

    /// Gives a user another password, and ends every session that was begun with the old one. Their second factor goes with it: it is
    /// how whoever has the database lets in the one administrator who has lost all that makes codes.
    pub async fn reset_password(&self, user_name: &str, password: &str) -> Result<()> {
        let user_name = acceptable(user_name)?;
        self.passwords.check(password, &user_name).await?;
        let found = self.named(&user_name).await?;
        let user = found.ok_or_else(no_such_user)?.user;
        self.set_password(&user, password).await?;
        let (tenant, id, now_ms) = (user.tenant, user.id, self.clock.now_ms());
        let had_second_factor = self
            .database
            .unit(move |unit| {
                Box::pin(async move {
                    let had = second_factor::forget(unit, tenant, id).await?;
                    if had {
                        audit::note(unit, tenant, now_ms, "second_factor.removed", id, "").await?;
                    }
                    Ok(had)
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, account.id = %id, had_second_factor, "a password was reset");
        Ok(())
    }

    /// The user whom `user_name` and `password` are of. It takes as long when there is no such user, or none who may sign in.
    pub(crate) async fn known(
        &self,
        asker: Asker<'_>,
        user_name: &str,
        password: &str,
    ) -> Result<Option<Credentials>> {
        let found = self.named(user_name).await?;
        let found = found.filter(Credentials::may_say_a_password);
        let hash = found.as_ref().map(|found| found.password_hash.as_str());
        let matches = self.passwords.matches(asker, password, hash).await?;
        Ok(found.filter(|_| matches))
    }

    pub(crate) async fn named(&self, user_name: &str) -> Result<Option<Credentials>> {
        let row: Option<Row> = sqlx::query_as(users!("u.user_name = ?"))
            .bind(user_name)
            .fetch_optional(self.database.pool())
            .await
            .map_err(db::failed)?;
        row.map(credentials).transpose()
    }

    /// The user as they are now, with today's roles.
    pub(crate) async fn user(&self, tenant: TenantId, id: UserId) -> Result<Option<Credentials>> {
        let row: Option<Row> = sqlx::query_as(users!("u.tenant_id = ? AND u.id = ?"))
            .id(tenant)
            .id(id)
            .fetch_optional(self.database.pool())
            .await
            .map_err(db::failed)?;
        row.map(credentials).transpose()
    }

    pub(crate) fn readable_password(&self) -> String {
        crate::secrets::readable_password(&self.random)
    }
}

/// Holds a hospital's row until the unit ends: whoever counts its accounts counts alone.
pub(crate) async fn hold(unit: &mut Unit, tenant: TenantId) -> Result<Held> {
    sqlx::query("UPDATE tenants SET epoch = epoch WHERE id = ?").id(tenant).run(unit).await?;
    let row: Option<(String, i64, i64)> =
        sqlx::query_as("SELECT state, users_max, clients_max FROM tenants WHERE id = ?")
            .id(tenant)
            .fetch_optional(&mut **unit)
            .await
            .map_err(db::failed)?;
    let (state, users_max, clients_max) =
        row.ok_or_else(|| ErrorKind::NotFound.error("no such tenant"))?;
    Ok(Held { state: TenantState::of_row(&state)?, users_max, clients_max })
}

pub(crate) async fn insert_user(
    unit: &mut Unit,
    id: UserId,
    to_be: UserToBe,
    now_ms: i64,
) -> Result<User> {
    let UserToBe { tenant, user_name, roles, password_hash, must_change } = to_be;
    let held = hold(unit, tenant).await?;
    if held.state == TenantState::Closed {
        return Err(ErrorKind::Conflict.error("the hospital is closed"));
    }
    let users: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users WHERE tenant_id = ?")
        .id(tenant)
        .fetch_one(&mut **unit)
        .await
        .map_err(db::failed)?;
    if users >= held.users_max {
        let most = held.users_max;
        return Err(ErrorKind::Conflict.error(format!("the hospital has {most} users at most")));
    }
    let state = if password_hash.is_empty() { UserState::Invited } else { UserState::Active };
    sqlx::query(
        "INSERT INTO users (tenant_id, id, user_name, password_hash, roles, created_ms, state, must_change)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .id(id)
    .bind(user_name.clone())
    .bind(password_hash)
    .bind(roles::to_text(&roles))
    .bind(now_ms)
    .bind(state.name())
    .bind(i64::from(must_change))
    .run(unit)
    .await
    .map_err(|error| taken(error, "the user name is taken"))?;
    audit::note(unit, tenant, now_ms, "user.created", id, &roles::to_text(&roles)).await?;
    tracing::info!(tenant.id = %tenant, account.id = %id, "made a user");
    Ok(User { id, tenant, user_name, roles, state, signed_in_ms: 0 })
}

pub(crate) fn no_such_user() -> domain::Error {
    ErrorKind::NotFound.error("no such user")
}

fn credentials(row: Row) -> Result<Credentials> {
    let user = User {
        id: row.id.parse()?,
        tenant: row.tenant_id.parse()?,
        user_name: row.user_name,
        roles: roles::from_text(&row.roles),
        state: UserState::of_row(&row.state)?,
        signed_in_ms: row.signed_in_ms,
    };
    Ok(Credentials {
        user,
        password_hash: row.password_hash,
        tenant_state: TenantState::of_row(&row.tenant_state)?,
        epochs: Epochs { subject: row.epoch, tenant: row.tenant_epoch },
        must_change: row.must_change != 0,
        is_bound: row.bound != 0,
        needs_second_factor: row.second_factor == REQUIRED,
    })
}

/// A user name as it is kept: in lower case, so that both databases compare it alike.
pub(crate) fn acceptable(user_name: &str) -> Result<String> {
    let name = user_name.trim().to_lowercase();
    let fits = (1..=ACCOUNT_NAME_CHARS_MAX).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-@+".contains(c));
    if !fits {
        return Err(ErrorKind::Invalid.error(format!(
            "a user name has 1 to {ACCOUNT_NAME_CHARS_MAX} letters, digits and any of . _ - @ +"
        )));
    }
    Ok(name)
}

/// A name for people to read.
pub(crate) fn label(name: &str, what: &str) -> Result<String> {
    let name = name.trim();
    if !(1..=ACCOUNT_NAME_CHARS_MAX).contains(&name.chars().count())
        || name.chars().any(char::is_control)
    {
        return Err(ErrorKind::Invalid
            .error(format!("{what} has 1 to {ACCOUNT_NAME_CHARS_MAX} characters")));
    }
    Ok(name.to_owned())
}

pub(crate) fn taken(error: domain::Error, why: &str) -> domain::Error {
    match error.kind() {
        ErrorKind::Conflict => ErrorKind::Conflict.error(why),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_is_kept_in_one_spelling_that_every_database_compares_alike() {
        let longest = "x".repeat(ACCOUNT_NAME_CHARS_MAX);
        for (name, kept) in [
            (" Ada.Lovelace+mr@example.org\n", Some("ada.lovelace+mr@example.org")),
            ("A_B-1", Some("a_b-1")),
            // The sign for Kelvin is another spelling of k.
            ("\u{212a}ay", Some("kay")),
            (longest.as_str(), Some(longest.as_str())),
            (&format!("{longest}x"), None),
            ("\u{130}da", None),
            ("ada\u{301}", None),
            ("ada lovelace", None),
            ("ada\0", None),
            ("  ", None),
        ] {
            let accepted = acceptable(name);
            assert_eq!(accepted.as_deref().ok(), kept, "{name:?}");
        }
    }

    #[test]
    fn a_label_is_counted_in_characters_and_holds_no_line_end() {
        let longest = "ü".repeat(ACCOUNT_NAME_CHARS_MAX);
        assert_eq!(label(&format!(" {longest}\t"), "a name").unwrap(), longest);
        for bad in ["", " \n", "St.\nMary", "St.\u{7f}", &format!("{longest}x")] {
            let refused = label(bad, "a hospital's name").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{bad:?}");
            assert!(refused.to_string().starts_with("a hospital's name has 1 to "), "{refused}");
        }
    }
}
