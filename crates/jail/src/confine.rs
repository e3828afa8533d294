//! How a process locks itself in. What it gives up it never gets back, nor do its threads.

use domain::{Error, ErrorKind, Result};
use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetError,
    RulesetStatus, Scope,
};
use rlimit::Resource;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::{Walls, calls};

/// What is open beside the files: standard input, output and error, and landlock's rules while they are made; a few are left over.
const OTHERS_OPEN: u64 = 7;

/// The newest rules that are asked for: a kernel takes of them what it knows.
const RULES: ABI = ABI::V10;

/// From here on this process is killed rather than let grow, can neither write a file nor leave a core, and no other
/// process of its user may look into it. It is there for so many `files`.
///
/// Nor can it start another or a thread, unless it is root's, which Linux does not count: [`confine`] refuses them to all.
pub fn limit(memory_mib: u64, cpu_s: u64, files: u8) -> std::io::Result<()> {
    let open_max = OTHERS_OPEN + u64::from(files);
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Resource::AS.set(memory_mib << 20, memory_mib << 20)?;
    Resource::CPU.set(cpu_s, cpu_s)?;
    Resource::CORE.set(0, 0)?;
    Resource::FSIZE.set(0, 0)?;
    Resource::NPROC.set(0, 0)?;
    Resource::NOFILE.set(open_max, open_max)
}

/// Gives up every power but to use what is open, memory and time; says which walls the kernel could build for it.
///
/// To be called while there is one thread: landlock holds the caller and what it starts.
pub fn confine() -> Result<Walls> {
    // In this order: seccomp ends whoever asks for anything more.
    let landlock = landlock()
        .map_err(|error| confinement_error("landlock refuses to lock this process in", error))?;
    Ok(Walls { landlock, seccomp: seccomp()? })
}

/// No file by its path, no port, nobody outside to signal, trace or talk to: all is handled and nothing allowed.
///
/// Partly enforced means that this kernel knows fewer rules than [`RULES`]: those that it knows are in force.
fn landlock() -> std::result::Result<u32, RulesetError> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::from_all(RULES))?
        .scope(Scope::from_all(RULES))?
        .create()?
        .restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => 0,
        (_, LandlockStatus::Available { effective_abi, .. }) => effective_abi as u32,
        _ => 0,
    })
}

fn seccomp() -> Result<bool> {
    match calls::allow_decoding_only() {
        Ok(()) => Ok(true),
        // The kernel has none, or somebody else's filter keeps it away.
        Err(seccompiler::Error::Prctl(_) | seccompiler::Error::Seccomp(_)) => Ok(false),
        Err(error) => Err(confinement_error("seccomp refuses to lock this process in", error)),
    }
}

fn confinement_error(
    message: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    ErrorKind::Internal.error(message).because(error)
}
