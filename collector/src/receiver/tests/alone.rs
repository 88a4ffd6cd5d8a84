//! Tests that limit or measure their whole process.

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const ALONE: &str = "SPANHOUSE_TEST_ALONE";

/// Runs `body`, which is all of the test `name`, in a process of its own.
#[track_caller]
pub fn alone<F: Future<Output = ()>>(name: &str, body: impl FnOnce() -> F) {
    if std::env::var_os(ALONE).is_some() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(body());
    }
    let mut test = Command::new(std::env::current_exe().unwrap());
    let output = test.args([name, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{name} was not found: {said}");
    print!("{said}");
}

pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// How many files this process may open from here on.
pub fn limit_open_files(count: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum }).unwrap();
}

pub fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}
