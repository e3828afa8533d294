//! What an account or a hospital can be.

use domain::{ErrorKind, Result};
use strum::{EnumString, IntoStaticStr};

/// What a user can be.
#[derive(Clone, Copy, Debug, EnumString, Eq, IntoStaticStr, PartialEq)]
#[strum(serialize_all = "snake_case")]
pub enum UserState {
    /// Has a link to set a first password with, and cannot sign in yet.
    Invited,
    Active,
    /// Cannot sign in until an administrator says so.
    Disabled,
}

/// What a hospital can be.
#[derive(Clone, Copy, Debug, EnumString, Eq, IntoStaticStr, PartialEq)]
#[strum(serialize_all = "snake_case")]
pub enum TenantState {
    Active,
    /// Nobody of it signs in until it is active again.
    Suspended,
    /// Nobody of it ever signs in again.
    Closed,
}

macro_rules! named {
    ($state:ident) => {
        impl $state {
            /// The name used in SQL and by the API.
            pub fn name(self) -> &'static str {
                self.into()
            }

            /// As a row keeps it; whatever is unknown here lets nobody in.
            pub(crate) fn of_row(text: &str) -> Result<$state> {
                text.parse().map_err(|_| ErrorKind::Internal.error("a row has an unknown state"))
            }
        }
    };
}

named!(UserState);
named!(TenantState);
