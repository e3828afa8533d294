use std::fmt;

use domain::{ErrorKind, Result};
use secrecy::{ExposeSecret, SecretString};
use service::claims::Role;

use crate::Accounts;

/// Whom the first start makes.
pub(crate) const USER_NAME: &str = "admin";
/// Whoever tries a new installation wants to use it, not only to manage it.
const ROLES: [Role; 4] = [Role::Admin, Role::Clinician, Role::Adjudicator, Role::Scientist];

/// The administrator that the first start has made. Its display is for the terminal of who started it.
pub struct FirstStart {
    pub user_name: String,
    pub password: SecretString,
    /// Whoever started it has chosen the password, and need not be shown it.
    pub is_chosen: bool,
}

impl fmt::Display for FirstStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user_name, password) = (&self.user_name, self.password.expose_secret());
        if self.is_chosen {
            return write!(f, "First start. Sign in as {user_name:?} with the chosen password.");
        }
        writeln!(f, "First start. Sign in as {user_name:?} with the password {password}")?;
        write!(
            f,
            "It is shown this once and kept nowhere, and must be changed at the first sign-in."
        )
    }
}

/// Makes a tenant and its administrator, where there is no tenant yet.
///
/// A password that was printed has been seen by whoever reads logs: nothing works with it but choosing another. One that whoever
/// starts it has `chosen` is theirs already.
pub async fn prepare(
    accounts: &Accounts,
    tenant_name: &str,
    chosen: Option<&SecretString>,
) -> Result<Option<FirstStart>> {
    let tenant = match accounts.tenants().await?.as_slice() {
        [] => match accounts.create_tenant(tenant_name).await {
            Ok(tenant) => tenant,
            // Another instance has its first start too: the administrator is its to announce.
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(None),
            Err(error) => return Err(error),
        },
        // A start that was cut off between the two steps is finished by the next.
        [(only, _)] if accounts.users(*only).await?.is_empty() => *only,
        _ => return Ok(None),
    };
    let is_chosen = chosen.is_some();
    let password = chosen.cloned().unwrap_or_else(|| accounts.readable_password().into());
    let made = accounts.create(tenant, USER_NAME, password.expose_secret(), &ROLES, !is_chosen);
    match made.await {
        Ok(user) => Ok(Some(FirstStart { user_name: user.user_name, password, is_chosen })),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
        Err(error) => Err(error),
    }
}
