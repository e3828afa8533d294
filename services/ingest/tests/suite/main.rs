//! The promises of ingest, through its real decoder, against the real storage on SQLite and files.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod bad;
mod batches;
mod commitments;
mod decoders;
mod door;
mod erased;
mod files;
mod masks;
mod orders;
mod parts;
mod roles;
mod room;
mod storage;
mod stow;
mod streams;
mod studies;
mod tls;
mod uploads;
mod world;
