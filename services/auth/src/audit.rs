//! What auth notes: who signed in and who could not, and whatever changes who may do what; in the unit of the change.

use std::fmt::Display;

use domain::{Result, TenantId};
use platform::db::{BindId, Database, Run, Unit, failed};
use platform::trail::{self, Asker, Entry};
use service::claims::operator_tenant;

use crate::accounts::{Credentials, User};
use crate::roles;

/// Whoever has the database, and needs no account.
const COMMAND_LINE: &str = "command line";

/// Notes, as part of `unit`, what whoever asks has done.
pub async fn note(
    unit: &mut Unit,
    tenant: TenantId,
    at_ms: i64,
    action: &'static str,
    object: impl Display + Send,
    detail: &str,
) -> Result<()> {
    let subject = match trail::asker() {
        Some(asker) => asker.subject,
        // Somebody who comes through a provider for the first time: it is their own account that is made.
        None if trail::current().is_some() => String::new(),
        None => COMMAND_LINE.to_owned(),
    };
    let object = object.to_string();
    append(unit, Entry { tenant, at_ms, subject: &subject, action, object, detail }).await
}

/// The same of somebody who has shown who they are in another way than by a token.
pub async fn note_by(
    unit: &mut Unit,
    (tenant, subject): (TenantId, &str),
    at_ms: i64,
    action: &'static str,
    detail: &str,
) -> Result<()> {
    let object = String::new();
    append(unit, Entry { tenant, at_ms, subject, action, object, detail }).await
}

/// Says who asks, where they have signed in a moment ago.
pub fn known(user: &User) {
    let (subject, name) = (user.id.to_string(), user.user_name.clone());
    trail::known(Asker { subject, name, roles: roles::to_text(&user.roles) });
}

/// Notes that somebody could not sign in. A name that is nobody's is written down nowhere: it may be a password. It is as much work
/// as for one that is somebody's, so that time does not tell them apart.
pub async fn refused(
    database: &Database,
    found: Option<&Credentials>,
    at_ms: i64,
    wrong: &'static str,
) -> Result<()> {
    let (tenant, subject, why) = match found {
        None => (operator_tenant(), String::new(), "no such account"),
        Some(found) => {
            known(&found.user);
            let why = if !found.may_sign_in() {
                "the account may not sign in"
            } else if found.is_bound {
                "the account signs in through a provider"
            } else {
                wrong
            };
            (found.user.tenant, found.user.id.to_string(), why)
        }
    };
    sign_in(database, tenant, subject, at_ms, "sign_in.failed", why).await
}

/// Notes a sign-in, or that there was none, in a unit of its own.
pub async fn sign_in(
    database: &Database,
    tenant: TenantId,
    subject: String,
    at_ms: i64,
    action: &'static str,
    detail: &'static str,
) -> Result<()> {
    database
        .unit(move |unit| {
            Box::pin(async move { note_by(unit, (tenant, &*subject), at_ms, action, detail).await })
        })
        .await
}

/// A hospital's chain begins with its first entry, in the unit that makes the hospital: there is nobody else yet.
async fn append(unit: &mut Unit, entry: Entry<'_>) -> Result<()> {
    let begun: Option<i64> =
        sqlx::query_scalar("SELECT position FROM audit_heads WHERE tenant_id = ?")
            .id(entry.tenant)
            .fetch_optional(&mut **unit)
            .await
            .map_err(failed)?;
    if begun.is_none() {
        sqlx::query("INSERT INTO audit_heads (tenant_id, position, sha256) VALUES (?, 0, '')")
            .id(entry.tenant)
            .run(unit)
            .await?;
    }
    trail::append(unit, entry).await
}
