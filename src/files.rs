//! File descriptors of this process: raises their limit, recognizes errors for want of one, and remembers the last
//! such error. Without a free descriptor a node cannot open a connection: that says nothing about the server at its
//! other end. Leaves logging and counting to the rooms.

use std::error::Error;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::config::files as limits;

/// The limit of open files of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The limit that holds (the soft one).
    pub soft: u64,
    /// Up to which the process may raise it.
    pub hard: u64,
}

/// Returns the limit of open files of this process.
pub fn limit() -> io::Result<Limit> {
    let read = rlimit()?;
    Ok(Limit { soft: read.rlim_cur, hard: read.rlim_max })
}

/// Raises the limit of open files to the hard one, or to `FILES_MAX` if that is lower. Returns the limit before and
/// after. Child processes inherit it: many a program walks over all descriptors that it might have, which is why the
/// limit is never raised without bound.
pub fn raise_limit() -> io::Result<(Limit, Limit)> {
    let before = limit()?;
    let wanted = before.hard.min(limits::FILES_MAX);
    if wanted > before.soft {
        set_rlimit(&libc::rlimit { rlim_cur: wanted, rlim_max: before.hard })?;
    }
    Ok((before, limit()?))
}

#[expect(unsafe_code, reason = "std cannot read the limit of open files")]
fn rlimit() -> io::Result<libc::rlimit> {
    let mut read = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit of ours.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut read) } {
        0 => Ok(read),
        _ => Err(io::Error::last_os_error()),
    }
}

#[expect(unsafe_code, reason = "std cannot set the limit of open files")]
fn set_rlimit(wanted: &libc::rlimit) -> io::Result<()> {
    // SAFETY: the pointer is to a live rlimit of ours.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, wanted) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether something can be read from a descriptor, or a connection waits at it, now.
#[expect(unsafe_code, reason = "std cannot ask this")]
pub fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    let mut asked = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the pointer is to one live pollfd of ours.
    unsafe { libc::poll(&raw mut asked, 1, 0) > 0 }
}

/// Whether an error, or a cause of it, says that the process (EMFILE) or the machine (ENFILE) has no free file
/// descriptor.
pub fn is_shortage(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            // The source of an error that wraps another is not the wrapped one, but the source of that.
            let is_wrapped = match error.get_ref() {
                Some(wrapped) => is_shortage(wrapped),
                None => false,
            };
            if is_wrapped || matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
                return true;
            }
        }
        next = cause.source();
    }
    false
}

/// Makes the error of a call for which no descriptor was free.
pub fn shortage() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}

/// Whether a file can be opened now.
pub fn is_free() -> bool {
    !std::fs::File::open("/dev/null").is_err_and(|error| is_shortage(&error))
}

/// Waits until a file can be opened, for at most `FILES_WAIT_MS_MAX`. Returns whether one can.
pub async fn freed() -> bool {
    let since = Instant::now();
    let mut pause = Duration::from_millis(limits::FILES_LOOK_MS);
    loop {
        // Looks after the pause: the caller has just been refused a descriptor.
        tokio::time::sleep(pause).await;
        if is_free() {
            return true;
        }
        if since.elapsed() >= Duration::from_millis(limits::FILES_WAIT_MS_MAX) {
            return false;
        }
        pause = (pause * 2).min(Duration::from_millis(limits::FILES_LOOK_MS_MAX));
    }
}

/// When this process last had no free descriptor.
static LAST: AtomicU64 = AtomicU64::new(0);
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// What it last wanted one for.
static WANTED_FOR: RwLock<&str> = RwLock::new("");

/// Notes that there was no free descriptor for this purpose. Returns whether it is the first time in a while.
pub fn note(wanted_for: &'static str) -> bool {
    let was_short = is_short();
    *WANTED_FOR.write().unwrap_or_else(PoisonError::into_inner) = wanted_for;
    LAST.store(now_ms(), Ordering::Relaxed);
    !was_short
}

/// Whether there was no free descriptor within the last `FILES_SHORT_MS`. Then the node claims no sagas.
pub fn is_short() -> bool {
    let last = LAST.load(Ordering::Relaxed);
    last != 0 && now_ms().saturating_sub(last) < limits::FILES_SHORT_MS
}

/// Returns what is wrong, in one sentence; none if descriptors are free.
pub fn complaint() -> Option<String> {
    let wanted_for = *WANTED_FOR.read().unwrap_or_else(PoisonError::into_inner);
    is_short().then(|| {
        let limit = limit().map_or_else(|_| "unknown".to_owned(), |limit| limit.soft.to_string());
        format!(
            "the node had no free file descriptor to {wanted_for} (limit {limit}); it claims no sagas meanwhile; raise \
             its limit of open files (`ulimit -n`, `LimitNOFILE=`)"
        )
    })
}

/// Milliseconds since the first call; never 0, which stands for "never".
fn now_ms() -> u64 {
    u64::try_from(ORIGIN.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_recognized_however_deep_it_lies() {
        let plain = || io::Error::from_raw_os_error(libc::ENFILE);
        assert!(is_shortage(&plain()) && is_shortage(&shortage()));
        assert!(is_shortage(&io::Error::other(plain())));
        assert!(is_shortage(&io::Error::other(io::Error::other(plain()))));
        for other in [libc::ECONNREFUSED, libc::EADDRNOTAVAIL, libc::ETIMEDOUT] {
            assert!(!is_shortage(&io::Error::from_raw_os_error(other)), "{other}");
        }
        assert!(!is_shortage(&io::Error::other("Too many open files (os error 24)")), "a text proves nothing");
    }

    #[test]
    fn the_limit_is_raised_to_the_hard_one_within_reason() {
        let (before, after) = raise_limit().unwrap();
        assert_eq!(after.hard, before.hard);
        assert_eq!(after.soft, before.soft.max(before.hard.min(limits::FILES_MAX)));
        assert!(is_free());
    }
}
