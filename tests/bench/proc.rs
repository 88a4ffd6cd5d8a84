//! What processes used, as the kernel counts it.

use std::time::Duration;

use anyhow::Context;
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// Since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub user: Duration,
    pub system: Duration,
    pub peak_memory_bytes: u64,
    /// Handed to the device, or to be handed to it.
    pub written_bytes: u64,
}

impl Usage {
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let (user, system) = parse_stat(&read(pid, "stat")?).context("/proc/PID/stat is not understood")?;
        let peak_kib = value(&read(pid, "status")?, "VmHWM").context("/proc/PID/status has no VmHWM")?;
        let written_bytes = value(&read(pid, "io")?, "write_bytes").context("/proc/PID/io has no write_bytes")?;
        Ok(Self { user, system, peak_memory_bytes: peak_kib << 10, written_bytes })
    }

    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }

    /// What was used since `before`; the peak of memory is that of all time.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            peak_memory_bytes: self.peak_memory_bytes,
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
        }
    }
}

/// CPU time of this process.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// CPU time that the machine gave to anyone, or that its host took.
pub fn machine_cpu() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat")?;
    parse_machine(&text).context("/proc/stat is not understood")
}

fn read(pid: u32, name: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{name}");
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}; has the server ended?"))
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs_f64(count as f64 / clock_ticks_per_second() as f64)
}

fn parse_stat(text: &str) -> Option<(Duration, Duration)> {
    // The name may hold anything, also parentheses and spaces.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11).map(str::parse);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some((ticks(user), ticks(system)))
}

fn parse_machine(text: &str) -> Option<Duration> {
    let first = text.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<u64> = first.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen, ..] = times.as_slice() else {
        return None;
    };
    Some(ticks(user + nice + system + interrupts + soft_interrupts + stolen))
}

/// The number behind a name and a colon.
fn value(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_the_name() {
        let tick = ticks(1);
        let text = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 75 0 0 20";
        assert_eq!(parse_stat(text), Some((tick * 250, tick * 75)));
        assert_eq!(parse_stat("42 (a) S 1"), None);
    }

    #[test]
    fn waiting_is_no_cpu_time() {
        let text = "cpu  1 2 3 1000 2000 4 5 6 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n";
        assert_eq!(parse_machine(text), Some(ticks(21)));
        assert_eq!(parse_machine("cpu  1 2"), None);
    }

    #[test]
    fn names_are_whole() {
        let text = "cancelled_write_bytes: 1\nwrite_bytes_x: 2\nwrite_bytes: 3\nVmHWM:\t  77 kB\n";
        assert_eq!((value(text, "write_bytes"), value(text, "VmHWM"), value(text, "none")), (Some(3), Some(77), None));
    }

    #[test]
    fn this_process_has_a_usage() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.peak_memory_bytes > 100_000, "{usage:?}");
        assert!(machine_cpu().unwrap() > Duration::ZERO);
    }
}
