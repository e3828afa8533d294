//! The whole mesh in one process, on one directory, and the command line.

mod accounts;
mod api;
pub mod audit;
pub mod bench;
pub mod certify;
pub mod dataset;
pub mod evaluate;
pub mod finish;
pub mod forward;
mod home;
mod mlflow;
pub mod model;
mod models;
pub mod phantom;
pub mod replay;
pub mod segment;
pub mod serve;
mod signed;
pub mod tenant;
pub mod train;
pub mod user;
