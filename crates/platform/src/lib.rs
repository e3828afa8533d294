//! Ports to the outside world, with their adapters.
//!
//! | port      | in the cluster | embedded     |
//! |-----------|----------------|--------------|
//! | [`db`]    | `mysql://…`    | `sqlite://…` |
//! | [`blob`]  | `gs://…`       | `file:///…`  |
//! | [`queue`] | `amqp://…`     | `sqlite://…` |
//!
//! The scheme of the URL chooses the adapter; nothing else in the workspace asks which one it is.
//! This is the only crate that names `sqlx` drivers or `lapin`.

#![deny(missing_docs)]

pub mod blob;
pub mod db;
pub mod deadline;
pub mod queue;

/// Makes ring the process's TLS: the clients of both clouds leave the choice to whoever starts it.
pub fn choose_tls() {
    // Refused where it is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// From now on, what this process makes is its owner's alone: databases, objects and keys name patients, or stand for them.
pub fn keep_private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}
