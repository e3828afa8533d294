//! The targets of `tests/fuzz`, for libFuzzer.

#[path = "../../tests/fuzz/targets.rs"]
pub mod targets;

/// Lets panics be caught where the code catches them, as in the decoder: libFuzzer's own hook ends the process at each.
/// One that nobody catches ends it all the same.
pub fn calm() {
    std::panic::set_hook(Box::new(|_| ()));
}
