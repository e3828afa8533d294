//! Auth through its generated client, on SQLite and, where `TEST_MYSQL_URL` names one, on MySQL.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod administer;
mod authenticator;
mod guesses;
mod idp;
mod keep;
mod lives;
mod providers;
mod second_factor;
mod security_keys;
mod setting;
mod sign_in;
mod stay;
mod tenants;
mod trail;
