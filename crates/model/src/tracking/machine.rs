use std::fs;

/// What the processors of this machine have done since it started, in the kernel's ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ticks {
    busy: u64,
    all: u64,
}

impl Ticks {
    /// Now; None where the kernel does not tell.
    pub fn now() -> Option<Ticks> {
        Ticks::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Ticks> {
        let numbers = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are counted among the first two.
        let ticks: Vec<u64> = numbers.take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
        let idle = ticks.get(3)? + ticks.get(4)?;
        let all = ticks.iter().sum::<u64>();
        Some(Ticks { busy: all - idle, all })
    }

    /// The part of the time since then in which processors worked, in percent.
    pub fn busy_percent_since(self, then: Ticks) -> Option<f64> {
        let all = self.all.checked_sub(then.all).filter(|all| *all > 0)?;
        Some(100.0 * self.busy.saturating_sub(then.busy) as f64 / all as f64)
    }
}

/// The memory of this machine that is in use: in megabytes, and in percent.
pub fn memory() -> Option<[f64; 2]> {
    used(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn used(meminfo: &str) -> Option<[f64; 2]> {
    let kib = |name: &str| -> Option<f64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    let (all, free) = (kib("MemTotal")?, kib("MemAvailable")?);
    Some([(all - free) * 1024.0 / 1e6, 100.0 * (all - free) / all])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_busy_where_they_neither_idle_nor_wait() {
        let then = Ticks::parse("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3\n").unwrap();
        let now = Ticks::parse("cpu  150 0 150 760 140 0 0 0 50 0\n").unwrap();
        assert_eq!(now.busy_percent_since(then), Some(50.0));
        assert_eq!(then.busy_percent_since(then), None, "no time has gone");
        assert_eq!(Ticks::parse("intr 5"), None);
    }

    #[test]
    fn memory_that_could_be_had_is_not_in_use() {
        let meminfo = "MemTotal:       4000000 kB\nMemFree: 1 kB\nMemAvailable:   3000000 kB\n";
        assert_eq!(used(meminfo), Some([1024.0, 25.0]));
        assert_eq!(used("MemTotal: 5 kB\n"), None);
    }
}
