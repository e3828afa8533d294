use domain::limits::ACCOUNT_NAME_CHARS_MAX;
use domain::{Clock, ErrorKind, Random, Result, TenantId, UserId};
use platform::db::{self, Database};
use service::claims::Role;

use crate::passwords::{self, Passwords};
use crate::waiting::Asker;
use crate::{MIGRATIONS, roles};

/// Tenants and their users; also what the command line manages them with.
#[derive(Clone)]
pub struct Accounts {
    database: Database,
    passwords: Passwords,
    clock: Clock,
    random: Random,
}

/// Somebody who may sign in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    pub id: UserId,
    pub tenant: TenantId,
    pub user_name: String,
    pub roles: Vec<Role>,
}

/// A user and the hash of the password.
pub(crate) struct Credentials {
    pub user: User,
    pub password_hash: String,
}

type Row = (String, String, String, String, String);

impl Accounts {
    /// Opens the accounts at `database_url`, as auth itself does.
    pub async fn open(database_url: &str, clock: Clock, random: Random) -> Result<Accounts> {
        let database = db::connect(database_url, &MIGRATIONS).await?;
        Accounts::new(database, clock, random).await
    }

    pub(crate) async fn new(database: Database, clock: Clock, random: Random) -> Result<Accounts> {
        let passwords = Passwords::new(random.clone()).await?;
        Ok(Accounts { database, passwords, clock, random })
    }

    /// Makes a hospital; `Conflict` when there is one of that name.
    pub async fn create_tenant(&self, name: &str) -> Result<TenantId> {
        let id = TenantId::new(&self.clock, &self.random);
        sqlx::query("INSERT INTO tenants (id, name, created_ms) VALUES (?, ?, ?)")
            .bind(id.to_string())
            .bind(label(name, "a hospital's name")?)
            .bind(self.clock.now_ms())
            .execute(self.database.pool())
            .await
            .map_err(|error| taken(error, "there is a hospital of that name"))?;
        Ok(id)
    }

    /// Every hospital: its id and its name.
    pub async fn tenants(&self) -> Result<Vec<(TenantId, String)>> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT id, name FROM tenants ORDER BY name")
                .fetch_all(self.database.pool())
                .await
                .map_err(db::failed)?;
        rows.into_iter().map(|(id, name)| Ok((id.parse()?, name))).collect()
    }

    /// Makes a user of `tenant`.
    ///
    /// `Invalid`, in words, when the name or the password will not do; `Conflict` when the name is taken,
    /// whichever tenant has it.
    pub async fn create_user(
        &self,
        tenant: TenantId,
        user_name: &str,
        password: &str,
        roles: &[Role],
    ) -> Result<User> {
        let user_name = acceptable(user_name)?;
        passwords::check(password, &user_name)?;
        roles::check(roles)?;
        let password_hash = self.passwords.hash(password).await?;
        let id = UserId::new(&self.clock, &self.random);
        sqlx::query(
            "INSERT INTO users (tenant_id, id, user_name, password_hash, roles, created_ms)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(user_name.as_str())
        .bind(password_hash)
        .bind(roles::to_text(roles))
        .bind(self.clock.now_ms())
        .execute(self.database.pool())
        .await
        .map_err(|error| taken(error, "the user name is taken"))?;
        tracing::info!(tenant.id = %tenant, user.id = %id, "made a user");
        Ok(User { id, tenant, user_name, roles: roles.to_vec() })
    }

    /// The users of `tenant`, by name.
    pub async fn users(&self, tenant: TenantId) -> Result<Vec<User>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT tenant_id, id, user_name, roles, password_hash FROM users
             WHERE tenant_id = ? ORDER BY user_name",
        )
        .bind(tenant.to_string())
        .fetch_all(self.database.pool())
        .await
        .map_err(db::failed)?;
        rows.into_iter().map(|row| Ok(credentials(row)?.user)).collect()
    }

    /// Gives a user another password, and ends every session that was begun with the old one.
    pub async fn reset_password(&self, user_name: &str, password: &str) -> Result<()> {
        let user_name = acceptable(user_name)?;
        passwords::check(password, &user_name)?;
        let found = self.named(&user_name).await?;
        let user = found.ok_or_else(|| ErrorKind::NotFound.error("no such user"))?.user;
        let hash = self.passwords.hash(password).await?;
        let now_ms = self.clock.now_ms();
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE users SET password_hash = ? WHERE tenant_id = ? AND id = ?",
                    )
                    .bind(hash)
                    .bind(user.tenant.to_string())
                    .bind(user.id.to_string())
                    .execute(&mut **unit)
                    .await
                    .map_err(db::failed)?;
                    sqlx::query(
                        "UPDATE sessions SET revoked_ms = ?
                         WHERE tenant_id = ? AND user_id = ? AND revoked_ms = 0",
                    )
                    .bind(now_ms)
                    .bind(user.tenant.to_string())
                    .bind(user.id.to_string())
                    .execute(&mut **unit)
                    .await
                    .map_err(db::failed)?;
                    tracing::info!(user.id = %user.id, "a password was reset");
                    Ok(())
                })
            })
            .await
    }

    /// The user whom `user_name` and `password` are of. It takes as long when there is no such user.
    pub(crate) async fn known(
        &self,
        asker: Asker<'_>,
        user_name: &str,
        password: &str,
    ) -> Result<Option<User>> {
        let found = self.named(user_name).await?;
        let hash = found.as_ref().map(|found| found.password_hash.as_str());
        let matches = self.passwords.matches(asker, password, hash).await?;
        Ok(found.filter(|_| matches).map(|found| found.user))
    }

    async fn named(&self, user_name: &str) -> Result<Option<Credentials>> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT tenant_id, id, user_name, roles, password_hash FROM users WHERE user_name = ?",
        )
        .bind(user_name)
        .fetch_optional(self.database.pool())
        .await
        .map_err(db::failed)?;
        row.map(credentials).transpose()
    }

    /// The user as they are now, with today's roles.
    pub(crate) async fn user(&self, tenant: &str, id: &str) -> Result<Option<User>> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT tenant_id, id, user_name, roles, password_hash FROM users
             WHERE tenant_id = ? AND id = ?",
        )
        .bind(tenant)
        .bind(id)
        .fetch_optional(self.database.pool())
        .await
        .map_err(db::failed)?;
        Ok(row.map(credentials).transpose()?.map(|found| found.user))
    }

    pub(crate) fn readable_password(&self) -> String {
        crate::secrets::readable_password(&self.random)
    }
}

fn credentials((tenant, id, user_name, roles, password_hash): Row) -> Result<Credentials> {
    let roles = roles::from_text(&roles);
    let user = User { id: id.parse()?, tenant: tenant.parse()?, user_name, roles };
    Ok(Credentials { user, password_hash })
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

fn taken(error: sqlx::Error, why: &str) -> domain::Error {
    match db::failed(error) {
        error if error.kind() == ErrorKind::Conflict => ErrorKind::Conflict.error(why),
        error => error,
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
