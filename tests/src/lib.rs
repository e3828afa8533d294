//! medseg as its operators run it, for stories and measurements: processes, faults between them, clients in front.

pub mod client;
pub mod collector;
pub mod mesh;
pub mod patches;
pub mod process;
pub mod proxy;
pub mod scans;
