//! Ports to the outside world, with their adapters.
//!
//! | port      | in the cluster           | embedded     |
//! |-----------|--------------------------|--------------|
//! | [`db`]    | `mysql://…`              | `sqlite://…` |
//! | [`blob`]  | `gs://…`, `s3://…`       | `file:///…`  |
//! | [`queue`] | `amqp://…`, `pubsub://…` | `sqlite://…` |
//! | [`keys`]  | `gcp-kms://…`            | `file:///…`  |
//!
//! The scheme of the URL chooses the adapter; nothing else in the workspace asks which one it is.
//! This is the only crate that names `sqlx` drivers or `lapin`.

#![deny(missing_docs)]

pub mod blob;
pub mod db;
pub mod deadline;
pub mod disk;
pub mod keys;
pub mod queue;
pub mod trail;

/// Installs ring as the process's TLS implementation: the clients of both clouds leave the choice to the process.
pub fn choose_tls() {
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Sets the umask so that only the owner can read what this process creates: databases, objects and keys name patients.
pub fn keep_private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}
