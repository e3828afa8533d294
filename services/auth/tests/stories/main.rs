//! Auth through its generated client, on SQLite and, where `TEST_MYSQL_URL` names one, on MySQL.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod administer;
mod keep;
mod lives;
mod setting;
mod sign_in;
mod stay;
mod tenants;
