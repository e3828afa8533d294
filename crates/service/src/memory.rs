//! What is freed goes back to the system, where the allocator is glibc's.
//!
//! It keeps a heap (an arena) for each of many threads, up to eight for each processor, and in each of them what was freed there. Scans are
//! tens of megabytes, and whichever threads wait for the disk or calculate hold one now and then: so a process would grow with its first dozens of
//! scans to many times what it needs.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// How often what is free is given back. What is needed again comes from the kernel then, which takes some ten milliseconds for each hundred
/// megabytes.
const GIVES_BACK: Duration = Duration::from_secs(10);

/// From here on no more heaps are made than threads can run at a time. For the beginning of a process: once there are more than eight, glibc holds to
/// its own limit.
pub fn share_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let processors = std::thread::available_parallelism().map_or(2, usize::from).max(2);
        let heaps = i32::try_from(processors).unwrap_or(i32::MAX);
        #[expect(
            unsafe_code,
            reason = "glibc's own setting of its own allocator; it takes any number"
        )]
        // Refused, it changes nothing but what is kept.
        let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, heaps) };
    }
}

/// Gives back what is free, again and again.
pub async fn give_back() {
    let mut ticks = tokio::time::interval(GIVES_BACK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Where it fails, it is tried again.
        let _ = tokio::task::spawn_blocking(trim).await;
    }
}

fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "glibc's own call; it takes any number, from any thread")]
        // It says whether there was any.
        let _ = unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// Of this process, in pages.
    fn resident() -> usize {
        let said = std::fs::read_to_string("/proc/self/statm").unwrap();
        said.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn what_lies_below_something_that_is_still_used_is_given_back() {
        // Smaller than what the allocator takes from the kernel by itself.
        const BLOCK: usize = 64 * 1024;
        share_heaps();
        trim();
        let before = resident();
        let mut blocks: Vec<Vec<u8>> = (0..1024).map(|_| vec![1; BLOCK]).collect();
        let held = resident();
        let last = blocks.pop();
        drop(blocks);
        trim();
        let after = resident();
        assert!(after < before.midpoint(held), "{before}, {held} and then {after} pages");
        assert_eq!(last.unwrap().len(), BLOCK);
    }
}
