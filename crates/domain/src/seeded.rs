/// The variable that names the bug; see [`seeded`].
pub const SEEDED_BUG: &str = "MEDSEG_SEEDED_BUG";

/// Whether this process is to have the bug of that name: one on purpose, by which the fault tests show that they see such
/// bugs at all (`make seeded`).
///
/// Never in a release build, whatever the environment says.
pub fn seeded(bug: &str) -> bool {
    cfg!(debug_assertions) && std::env::var_os(SEEDED_BUG).is_some_and(|name| name == bug)
}
