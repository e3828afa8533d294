//! The program as people start it: what it prints and writes, and what it says of bad input.

#![expect(clippy::unwrap_used, reason = "what a test's helpers need is there, or the test fails")]

mod bench;
mod certify;
mod conformance;
mod dataset;
mod evaluate;
mod forward;
mod help;
mod killed;
mod labelled;
mod model;
mod phantom;
mod place;
mod segment;
mod serve;
mod tenant;
mod train;
mod user;
