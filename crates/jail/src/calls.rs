//! The system calls that decoding needs. Whatever makes another one is killed with SIGSYS, which is an alarm: no codec does.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Allowed whatever their arguments: none of them names a file, an address or another process.
const FREE: [c_long; 21] = [
    // The file, the answer, and the last words: `writev` is how the allocator complains of a broken heap.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Locks, which are written for threads though there is one here.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    // Signals: a panic, a stack that overflows and memory that is refused end with SIGABRT, and are told from an escape by that.
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_getpid,
    libc::SYS_gettid,
    // Clocks where they need the kernel's help, and chance for hash tables.
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// One condition: which argument, how it is compared, and with what. The low half says it all for every one of these.
type Condition = (u8, SeccompCmpOp, u64);

/// Locks all threads of this process in.
pub fn allow_decoding_only() -> Result<(), Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    apply_filter_all_threads(&decoding(arch)?)
}

fn decoding(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let free = FREE.iter().map(|call| (*call, Vec::new()));
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = free.collect();
    for (call, conditions) in bound() {
        rules.entry(call).or_default().push(rule(conditions)?);
    }
    let (killed, allowed) = (SeccompAction::KillProcess, SeccompAction::Allow);
    SeccompFilter::new(rules, killed, allowed, arch)?.try_into()
}

/// Allowed with some arguments only; a call that stands here twice is allowed with either.
fn bound() -> Vec<(c_long, Vec<Condition>)> {
    let without = |argument: u8, bits: i32| (argument, MaskedEq(bits as u64), 0);
    let with = |argument: u8, bits: i32| (argument, MaskedEq(bits as u64), bits as u64);
    let is = |argument: u8, value: i32| (argument, Eq, value as u64);
    let own = std::process::id() as i32;
    vec![
        // Memory that is nobody's file, and never code.
        (libc::SYS_mmap, vec![without(2, libc::PROT_EXEC), with(3, libc::MAP_ANONYMOUS)]),
        (libc::SYS_mprotect, vec![without(2, libc::PROT_EXEC)]),
        // The standard library's own check of what it closes, in debug builds.
        (libc::SYS_fcntl, vec![is(1, libc::F_GETFD)]),
        (libc::SYS_tgkill, vec![is(0, own), is(2, libc::SIGABRT)]),
        // The standard library's handler gives way to the kernel's when it is no overflow of a stack.
        (libc::SYS_rt_sigaction, vec![is(0, libc::SIGSEGV)]),
        (libc::SYS_rt_sigaction, vec![is(0, libc::SIGBUS)]),
    ]
}

fn rule(conditions: Vec<Condition>) -> Result<SeccompRule, BackendError> {
    let condition =
        |(argument, compare, value)| SeccompCondition::new(argument, Dword, compare, value);
    SeccompRule::new(conditions.into_iter().map(condition).collect::<Result<_, _>>()?)
}
