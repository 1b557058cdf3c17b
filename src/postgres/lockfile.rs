//! Lock files of Postgres. Decides whether the postmaster that they name lives, and disowns the files of a dead one.
//!
//! Postgres itself only asks whether *some* process has the recorded process id. A dead postmaster that was not
//! reaped is a zombie and still has that id, as in a container whose first process is no init. After a restart of the
//! container an unrelated process may have it. Deleting the files instead would also delete the check that no old
//! backend still uses the shared memory. If a lock file names the parent of the new postmaster, Postgres treats it as
//! stale, and still makes that check. So this process writes its own id into the file.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::Error;

/// Returns the process id of the living postmaster of a cluster, if there is one.
pub(super) fn living_postmaster(data: &Path) -> Option<u32> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    // A negative id is a single-user backend.
    let pid = text.lines().next()?.trim().parse::<i32>().ok()?.unsigned_abs();
    is_postmaster_of(pid, data).then_some(pid)
}

/// Returns whether a process lives and is the postmaster of the cluster in `data`.
pub(super) fn is_postmaster_of(pid: u32, data: &Path) -> bool {
    let Ok(number) = libc::pid_t::try_from(pid) else { return false };
    // SAFETY: signal 0 only checks whether the process exists.
    if unsafe { libc::kill(number, 0) } != 0 {
        return false;
    }
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        // Without /proc the process id is the only evidence.
        return !Path::new("/proc/self/stat").exists();
    };
    // The name stands in parentheses and may hold parentheses itself. The state follows it.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    if matches!(state, None | Some('Z' | 'X' | 'x')) {
        return false;
    }
    let Ok(data) = data.canonicalize() else { return false };
    // A postmaster's working directory is its cluster. Root without CAP_SYS_PTRACE, as in a container, may be unable
    // to read the working directory of another user's process, but can read its command line.
    match fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(cwd) => cwd == data,
        Err(_) => fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.split(|&byte| byte == 0).any(|word| word == data.as_os_str().as_bytes())),
    }
}

/// Writes the id of this process into a lock file that a dead postmaster left. Returns whether there was a file.
///
/// Call it only as the owner of the cluster, after [`living_postmaster`] returned none.
pub(super) fn disown(lock_file: &Path) -> Result<bool, Error> {
    let Ok(text) = fs::read_to_string(lock_file) else { return Ok(false) };
    let Some((_, rest)) = text.split_once('\n') else {
        // A crash between creating and writing the file. Postgres does not judge an empty file. This process holds
        // the owner's lock, so no other process is about to fill the file.
        fs::remove_file(lock_file).map_err(Error::io("remove", lock_file))?;
        return Ok(true);
    };
    let text = format!("{}\n{rest}", std::process::id());
    let mut options = OpenOptions::new();
    options.write(true).truncate(true).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(lock_file).map_err(Error::io("open", lock_file))?;
    file.write_all(text.as_bytes()).map_err(Error::io("write", lock_file))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disowns_by_the_first_line_only() {
        let dir = std::env::temp_dir().join(format!("amends-lockfile-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join("postmaster.pid");
        assert!(!disown(&file).unwrap());
        fs::write(&file, "1\n/data\n17\n5432\n").unwrap();
        assert!(disown(&file).unwrap());
        let expected = format!("{}\n/data\n17\n5432\n", std::process::id());
        assert_eq!(fs::read_to_string(&file).unwrap(), expected);
        fs::write(&file, "").unwrap();
        assert!(disown(&file).unwrap());
        assert!(!file.exists());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_stranger_is_no_postmaster() {
        let dir = std::env::temp_dir();
        assert!(!is_postmaster_of(std::process::id(), &dir));
        assert!(!is_postmaster_of(u32::MAX, &dir));
    }
}
