//! Kills a whole server at once, as a crash of its machine would. Finds the server's processes and kills them. The
//! keeper starts the server again.

use std::fs;
use std::path::Path;

use super::lockfile;

/// Kills the postmaster of a cluster and all its children. Returns whether there was a postmaster.
///
/// Without `/proc` only the postmaster is killed; its children notice that and end.
pub(super) fn crash(data: &Path) -> bool {
    let Some(postmaster) = lockfile::living_postmaster(data) else { return false };
    // A stopped postmaster starts no children and reaps none, so their process ids stay theirs until they are killed.
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
    // The name stands in parentheses and may hold parentheses itself. State and parent follow it.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn signal(pid: u32, signal: libc::c_int) {
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        // SAFETY: a plain system call. If the process has ended meanwhile, the call fails, and nothing is lost.
        unsafe { libc::kill(pid, signal) };
    }
}
