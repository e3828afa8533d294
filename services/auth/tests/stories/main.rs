//! Auth through its generated client, on SQLite and, where `TEST_MYSQL_URL` names one, on MySQL.

mod administer;
mod setting;
mod sign_in;
mod stay;
