//! Tells the program where libtorch is, so that it runs without any environment variable.

use std::env;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let torch = env::var_os("CARGO_FEATURE_TORCH").is_some();
    if let (true, Ok(libtorch)) = (torch, env::var("LIBTORCH")) {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
    }
}
