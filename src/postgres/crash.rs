//! The death of a whole server at once, as when its machine goes down. Owns finding its processes and ending them; that
//! it comes up again is the keeper's.

use std::fs;
use std::path::Path;

use super::lockfile;

/// Kills the postmaster of a cluster with all of its children. Returns whether there was one.
///
/// Where there is no `/proc` only the postmaster is killed; its children notice and end.
pub(super) fn crash(data: &Path) -> bool {
    let Some(postmaster) = lockfile::living_postmaster(data) else { return false };
    // Stopped, it starts no more children and reaps none, so their numbers stay theirs until they are killed.
    signal(postmaster, libc::SIGSTOP);
    for child in children(postmaster) {
        signal(child, libc::SIGKILL);
    }
    signal(postmaster, libc::SIGKILL);
    true
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| parent_of(pid) == Some(parent))
        .collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // State and parent follow the name, which is in parentheses and may itself hold some.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn signal(pid: u32, signal: libc::c_int) {
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        // SAFETY: a plain system call; on a process that has ended meanwhile it fails, and nothing is lost.
        unsafe { libc::kill(pid, signal) };
    }
}
