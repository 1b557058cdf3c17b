//! Chooses the user that runs Postgres, which refuses to run as root. Owns look-ups in the passwd database, and
//! commands that run as that user and die with this process. `paths.rs` decides where the files are.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;

/// The user that runs Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: libc::uid_t,
    pub(super) gid: libc::gid_t,
    /// Name in the passwd database; none if the user has no entry there.
    pub(super) name: Option<String>,
    /// This process is root and has to switch to this user.
    pub(super) switch: bool,
}

impl Account {
    /// Chooses the user. Without root it is the user of this process. For root it is the owner of an existing
    /// cluster, else `postgres`, else `nobody`.
    pub(super) fn choose(data: &Path) -> Result<Self, Error> {
        if !is_root() {
            let uid = uid();
            // SAFETY: the call has no preconditions and cannot fail.
            let gid = unsafe { libc::getegid() };
            return Ok(Self { uid, gid, name: by_uid(uid).map(|entry| entry.name), switch: false });
        }
        if let Ok(cluster) = data.symlink_metadata() {
            if cluster.uid() == 0 {
                return Err(Error::Account(format!(
                    "the cluster in {} belongs to root, and Postgres refuses to run as root; give it to \
                     another user (chown -R postgres: {}), or choose another --data-dir",
                    data.display(),
                    data.display()
                )));
            }
            let name = by_uid(cluster.uid()).map(|entry| entry.name);
            return Ok(Self { uid: cluster.uid(), gid: cluster.gid(), name, switch: true });
        }
        let entry = by_name("postgres").or_else(|| by_name("nobody")).filter(|entry| entry.uid != 0);
        let entry = entry.ok_or_else(|| {
            Error::Account(
                "Postgres refuses to run as root, and neither the user `postgres` nor the user `nobody` \
                 exists; create one (useradd --system postgres), or set DATABASE_URL"
                    .to_owned(),
            )
        })?;
        Ok(Self { uid: entry.uid, gid: entry.gid, name: Some(entry.name), switch: true })
    }

    /// Returns the user's name, or the user id if it has no name.
    pub(super) fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("{} (no name)", self.uid))
    }

    /// Creates a command that runs as this user in `dir`. The command gets no environment variable that could change
    /// how Postgres works. It gets a process group of its own, so that a Ctrl-C in the terminal reaches only this
    /// process. On Linux it gets `last_signal` when this process dies.
    ///
    /// Linux sends that signal when the *thread* that spawned the command ends. Spawn it from a thread that lives as
    /// long as the command should run.
    pub(super) fn command(&self, program: impl AsRef<OsStr>, dir: &Path, last_signal: libc::c_int) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir).stdin(Stdio::null()).process_group(0).env_clear();
        for name in ["PATH", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("LC_ALL", "C");
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
        let parent = std::process::id();
        // SAFETY: the closure only makes async-signal-safe system calls. It runs after the change of user, because
        // that change clears the last signal.
        unsafe { command.pre_exec(move || die_with_parent(parent, last_signal)) };
        command
    }

    /// Checks that this user can enter a folder. The error names the first folder on the way that the user cannot
    /// enter.
    pub(super) fn check_entry(&self, dir: &Path) -> Result<(), Error> {
        if self.can_enter(dir) {
            return Ok(());
        }
        let mut way: Vec<&Path> = dir.ancestors().collect();
        way.reverse();
        let closed = way.into_iter().find(|folder| !self.can_enter(folder)).unwrap_or(dir);
        Err(Error::Account(format!(
            "Postgres has to run as user {} here, but that user may not enter {}; choose another --data-dir, or \
             open that folder (chmod o+x {})",
            self.label(),
            closed.display(),
            closed.display()
        )))
    }

    /// Really runs a command in the folder, because access lists and groups count too.
    fn can_enter(&self, dir: &Path) -> bool {
        let mut command = self.command("true", dir, libc::SIGKILL);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        match command.status() {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::PermissionDenied,
        }
    }
}

/// Returns the id of the user that runs this process.
pub(crate) fn uid() -> libc::uid_t {
    // SAFETY: the call has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// Returns whether this process runs as root.
pub(crate) fn is_root() -> bool {
    uid() == 0
}

#[cfg(target_os = "linux")]
fn die_with_parent(parent: u32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: plain system calls; prctl takes the signal as its only argument here.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have died before the call above.
        if libc::getppid() as u32 != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
    }
    Ok(())
}

/// Other systems have no such signal. There, a killed run leaves Postgres running, and the next run adopts it.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_parent: u32, _signal: libc::c_int) -> io::Result<()> {
    Ok(())
}

/// Returns the name of the user that runs this process.
pub(crate) fn user_name() -> Option<String> {
    by_uid(uid()).map(|user| user.name)
}

/// One entry of the passwd database.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) uid: libc::uid_t,
    pub(crate) gid: libc::gid_t,
    pub(crate) name: String,
    /// The home folder.
    pub(crate) home: PathBuf,
}

fn by_uid(uid: libc::uid_t) -> Option<User> {
    // SAFETY: `look_up` passes valid pointers and the true length of the buffer.
    look_up(|entry, buffer, length, found| unsafe { libc::getpwuid_r(uid, entry, buffer, length, found) })
}

/// Looks a user up by name.
pub(crate) fn by_name(name: &str) -> Option<User> {
    let name = CString::new(name).ok()?;
    // SAFETY: as above, and `name` outlives the call.
    look_up(|entry, buffer, length, found| unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer, length, found) })
}

type Call<'a> = dyn Fn(*mut libc::passwd, *mut libc::c_char, usize, *mut *mut libc::passwd) -> libc::c_int + 'a;

fn look_up(
    call: impl Fn(*mut libc::passwd, *mut libc::c_char, usize, *mut *mut libc::passwd) -> libc::c_int,
) -> Option<User> {
    let call: &Call<'_> = &call;
    // Large enough for any entry. A longer entry counts as missing.
    let mut buffer = vec![0 as libc::c_char; 16 * 1024];
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found: *mut libc::passwd = std::ptr::null_mut();
    let code = call(entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found);
    if code != 0 || found.is_null() {
        return None;
    }
    // SAFETY: on success the call filled `entry`, whose strings point into `buffer`, and set `found` to it.
    let (uid, gid, name, home) = unsafe {
        let text = |text| CStr::from_ptr(text);
        ((*found).pw_uid, (*found).pw_gid, text((*found).pw_name), text((*found).pw_dir))
    };
    let (name, home) = (name.to_string_lossy().into_owned(), OsStr::from_bytes(home.to_bytes()).into());
    Some(User { uid, gid, name, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_up_users_both_ways() {
        let root = by_name("root").unwrap();
        assert_eq!((root.uid, root.name.as_str()), (0, "root"));
        assert_eq!(root.home, Path::new("/root"));
        assert_eq!(by_uid(0).unwrap().name, "root");
        assert!(by_name("no such user").is_none());
        assert!(by_uid(3_999_999_999).is_none());
    }
}
