//! Lets test binaries find libtorch without an environment variable.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        // Examples, tests and benches of this crate; a program that links it does the same for itself.
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
    }
}
