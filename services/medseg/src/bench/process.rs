use std::fs;
use std::time::Duration;

/// How long ago the kernel started this process; None where there is no /proc.
pub fn since_start() -> Option<Duration> {
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let now: f64 = uptime.split(' ').next()?.parse().ok()?;
    let started = started(&fs::read_to_string("/proc/self/stat").ok()?)?;
    Duration::try_from_secs_f64((now - started).max(0.0)).ok()
}

/// Seconds from the machine's start to the process's, by its line in /proc (proc_pid_stat(5): field 22).
fn started(stat: &str) -> Option<f64> {
    // The second field is a name in brackets, in which there may be anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    // Programs are shown hundredths of a second, whatever the kernel counts in.
    Some(fields.split(' ').nth(19)?.parse::<f64>().ok()? / 100.0)
}

/// The most memory that this process has had at once, in MiB; None where there is no /proc.
pub fn peak_mib() -> Option<f64> {
    peak(&fs::read_to_string("/proc/self/status").ok()?)
}

fn peak(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_read_whatever_the_program_is_called() {
        let rest = "S 1 2 3 0 -1 4194304 5 0 0 0 7 1 0 0 20 0 1 0 123456 8 9";
        for name in ["medseg", "a) S 1 (b"] {
            assert_eq!(started(&format!("42 ({name}) {rest}\n")), Some(1234.56));
        }
        assert_eq!(started("42 (medseg) S 1"), None);
    }

    #[test]
    fn a_peak_is_read_in_mebibytes() {
        assert_eq!(peak("Name:\tmedseg\nVmHWM:\t    2048 kB\n"), Some(2.0));
        assert_eq!(peak("Name:\tmedseg\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_was_started_and_has_memory() {
        assert!(since_start().unwrap() < Duration::from_secs(24 * 3600));
        assert!(peak_mib().unwrap() > 1.0);
    }
}
