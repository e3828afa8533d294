//! The accounts of a database, for what an operator does on the command line.

use std::io::IsTerminal;

use anyhow::Context;
use auth::Accounts;
use secrecy::{ExposeSecret, SecretString};
use service::{system_clock, system_random};

/// The accounts in that database.
pub async fn open(url: &SecretString) -> anyhow::Result<Accounts> {
    // What a database in a file keeps beside it is its owner's alone.
    service::keep_private();
    let accounts = Accounts::open(url.expose_secret(), system_clock(), system_random()).await;
    // Its words do not repeat the address, which may hold a password.
    accounts.context("cannot open the accounts in DATABASE_URL")
}

/// A password from standard input and not an argument, which other users of the machine could read.
pub fn password() -> anyhow::Result<SecretString> {
    if std::io::stdin().is_terminal() {
        eprintln!("password:");
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).into())
}
