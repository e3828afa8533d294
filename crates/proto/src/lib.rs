//! The contract between services: messages, clients and servers generated from `/proto`.
//!
//! Nothing here is written by hand; behaviour belongs to the services.

/// The descriptors of everything below, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

// The modules nest as the packages do, because the generated code names its siblings by path.

pub mod auth {
    pub mod v1 {
        tonic::include_proto!("medseg.auth.v1");
    }
    pub use v1::*;
}

pub mod drift {
    pub mod v1 {
        tonic::include_proto!("medseg.drift.v1");
    }
    pub use v1::*;
}

pub mod ingest {
    pub mod v1 {
        tonic::include_proto!("medseg.ingest.v1");
    }
    pub use v1::*;
}

pub mod storage {
    #[expect(clippy::large_enum_variant, reason = "a header is one message of very many")]
    pub mod v1 {
        tonic::include_proto!("medseg.storage.v1");
    }
    pub use v1::*;
}
