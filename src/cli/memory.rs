//! Keeps other processes of the same user, such as participants that are child processes, from reading this one: its
//! memory, and the environment that it was started with.

use std::ffi::CStr;

use crate::catalog::Settings;

/// Variable that leaves the process readable, for debuggers, profilers and core dumps.
const OPT_OUT: &str = "AMENDS_DUMPABLE";

/// Variables that hold credentials of the database.
const DATABASE: [&str; 2] = ["DATABASE_URL", "PGPASSWORD"];

/// Makes `/proc/PID/environ`, `/proc/PID/mem` and tracing of this process a matter of root. Also switches core dumps
/// off. `AMENDS_DUMPABLE=1` leaves all that as it is.
pub(super) fn close() {
    if std::env::var_os(OPT_OUT).is_some_and(|value| value == "1") {
        return;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: a plain system call whose only argument is a number.
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } != 0 {
        eprintln!("warning: other processes of this user can read this one: {}", std::io::Error::last_os_error());
    }
}

/// Overwrites the variables that hold secrets of the settings and of the database, after all of them were read. Root
/// and a debugger could read them otherwise for as long as the process lives.
///
/// Does nothing if the process has other threads: one of them could be reading the environment.
pub(super) fn forget_secrets(settings: &Settings) {
    if !is_single_threaded() {
        tracing::debug!("the environment keeps its secrets: there are other threads");
        return;
    }
    let secret: Vec<&str> = settings.secrets().flat_map(|secret| secret.parts()).collect();
    let named: Vec<String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, value)| {
            let of_settings = || secret.iter().any(|secret| value == *secret) && !is_needed(name);
            DATABASE.contains(&name.as_str()) || of_settings()
        })
        .map(|(name, _)| name)
        .collect();
    for name in &named {
        // SAFETY: there is one thread, and it is here.
        unsafe {
            overwrite(name);
            std::env::remove_var(name);
        }
    }
}

/// Whether programs and libraries need a variable, so that it stays even if the settings use it.
fn is_needed(name: &str) -> bool {
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "LANG", "TMPDIR", "HOSTNAME"].contains(&name)
        || ["LC_", "LD_", "SSL_CERT_", "RUST_", "XDG_"].iter().any(|start| name.starts_with(start))
}

fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// Overwrites the value of a variable where it stands. The system shows that place as the environment of the process.
///
/// # Safety
///
/// No other thread may use the environment meanwhile.
unsafe fn overwrite(name: &str) {
    unsafe extern "C" {
        static mut environ: *mut *mut libc::c_char;
    }
    // SAFETY: the list ends with a null pointer, and its texts end with a zero byte. Nothing else uses them now.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_bytes();
            let (start, length) = (name.len() + 1, text.len());
            if text.starts_with(name.as_bytes()) && text.get(name.len()) == Some(&b'=') {
                std::ptr::write_bytes((*entry).add(start), b'x', length - start);
            }
            entry = entry.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_need_stays() {
        assert!(is_needed("PATH") && is_needed("RUST_BACKTRACE") && is_needed("SSL_CERT_FILE"));
        assert!(!is_needed("PAYMENTS_KEY") && !is_needed("PATHS"));
    }
}
