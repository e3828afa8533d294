//! Compiles `/proto` without `protoc`: protox is a compiler in Rust, so a clone builds anywhere.

use std::path::PathBuf;
use std::{env, fs};

const ROOT: &str = "../../proto";
const FILES: [&str; 4] = [
    "medseg/auth/v1/auth.proto",
    "medseg/drift/v1/drift.proto",
    "medseg/ingest/v1/ingest.proto",
    "medseg/storage/v1/storage.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // `compile_fds` writes no descriptor file, and reflection needs one.
    let descriptor = PathBuf::from(env::var("OUT_DIR")?).join("descriptor.bin");
    fs::write(descriptor, compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().bytes(".").compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
