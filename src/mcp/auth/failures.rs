//! Failed authentications. Counts them by network, and remembers which tokens were valid or were refused a moment ago.
//! So a flood of bad tokens leads to few look-ups, and does not hold up callers with valid tokens. The counts are those
//! of this node; nodes share no counts. Leaves the look-ups to `mod.rs`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::config::mcp as limits;
use crate::peer::Peer;

/// Time in which one failed authentication is forgiven.
const STEP: Duration = Duration::from_millis(60_000 / limits::FAILURES_PER_MINUTE as u64);
/// Time in which a used up budget is whole again.
const WHOLE: Duration = Duration::from_secs(60);
/// Pause between two clean-ups of a full table.
const TIDY_PAUSE: Duration = Duration::from_secs(1);

/// Failed authentications, and recent tokens.
#[derive(Debug)]
pub(super) struct Failures {
    counts: Mutex<Counts>,
    valid: Mutex<Recent>,
    refused: Mutex<Recent>,
}

/// Digest of a token as the caller sent it.
pub(super) type Fingerprint = [u8; 32];

/// Callers that share a count of failures. None: all callers without an address, and all that do not fit into the
/// table.
type Network = Option<Peer>;

#[derive(Debug, Default)]
struct Counts {
    /// When the budget of a network is whole again.
    whole_at: HashMap<Network, Instant>,
    tidied_at: Option<Instant>,
}

/// Tokens of the last one to two periods.
#[derive(Debug)]
struct Recent {
    period: Duration,
    begun_at: Option<Instant>,
    young: HashSet<Fingerprint>,
    old: HashSet<Fingerprint>,
}

impl Failures {
    pub(super) fn new() -> Self {
        let recent = |seconds| Mutex::new(Recent::new(Duration::from_secs(seconds)));
        Self {
            counts: Mutex::default(),
            valid: recent(limits::TOKEN_VALID_S),
            refused: recent(limits::TOKEN_REFUSED_S),
        }
    }

    /// Returns how long a caller at this address must wait, if its network has used up its failures.
    pub(super) fn wait(&self, address: Option<IpAddr>) -> Option<Duration> {
        held(&self.counts).wait(address.map(Peer::new), Instant::now())
    }

    /// Returns whether a token was valid a moment ago. It may have been revoked since.
    pub(super) fn was_valid(&self, token: &Fingerprint) -> bool {
        held(&self.valid).holds(token, Instant::now())
    }

    /// Returns whether a token was refused a moment ago.
    pub(super) fn was_refused(&self, token: &Fingerprint) -> bool {
        held(&self.refused).holds(token, Instant::now())
    }

    /// Remembers a valid token.
    pub(super) fn accept(&self, token: Fingerprint) {
        held(&self.valid).add(token, Instant::now());
    }

    /// Counts a failed authentication. A token that can never become valid is remembered as refused.
    pub(super) fn refuse(&self, address: Option<IpAddr>, token: Fingerprint, is_final: bool) {
        let now = Instant::now();
        held(&self.counts).add(address.map(Peer::new), now);
        held(&self.valid).remove(&token);
        if is_final {
            held(&self.refused).add(token, now);
        }
    }
}

/// Returns the fingerprint of a token.
pub(super) fn fingerprint(token: &str) -> Fingerprint {
    Sha256::digest(token).into()
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counts {
    fn wait(&self, network: Network, now: Instant) -> Option<Duration> {
        let whole_at = match self.whole_at.get(&network) {
            Some(whole_at) => *whole_at,
            None if self.is_full() => *self.whole_at.get(&None)?,
            None => return None,
        };
        // One more failure must fit into the budget.
        let wait = (whole_at + STEP).saturating_duration_since(now + WHOLE);
        (!wait.is_zero()).then_some(wait)
    }

    fn add(&mut self, network: Network, now: Instant) {
        let is_known = self.whole_at.contains_key(&network);
        if !is_known && self.is_full() && self.tidied_at.is_none_or(|at| now - at >= TIDY_PAUSE) {
            self.whole_at.retain(|_, whole_at| *whole_at > now);
            self.tidied_at = Some(now);
        }
        let network = if is_known || !self.is_full() { network } else { None };
        let whole_at = self.whole_at.entry(network).or_insert(now);
        // Requests that were under way together may fail beyond the budget; they do not extend the wait.
        *whole_at = ((*whole_at).max(now) + STEP).min(now + WHOLE);
    }

    fn is_full(&self) -> bool {
        self.whole_at.len() >= limits::FAILING_NETWORKS_MAX
    }
}

impl Recent {
    fn new(period: Duration) -> Self {
        Self { period, begun_at: None, young: HashSet::new(), old: HashSet::new() }
    }

    fn holds(&mut self, token: &Fingerprint, now: Instant) -> bool {
        self.turn(now);
        self.young.contains(token) || self.old.contains(token)
    }

    fn add(&mut self, token: Fingerprint, now: Instant) {
        self.turn(now);
        self.young.insert(token);
    }

    fn remove(&mut self, token: &Fingerprint) {
        self.young.remove(token);
        self.old.remove(token);
    }

    /// Forgets the older half when the younger one is old or full.
    fn turn(&mut self, now: Instant) {
        let age = self.begun_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if age >= self.period || self.young.len() >= limits::TOKENS_REMEMBERED_MAX {
            self.old = if age >= 2 * self.period { HashSet::new() } else { std::mem::take(&mut self.young) };
            self.young.clear();
            self.begun_at = Some(now);
        } else if self.begun_at.is_none() {
            self.begun_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Some(Peer::new(text.parse().unwrap()))
    }

    #[test]
    fn a_network_has_one_budget_that_comes_back() {
        let (mut counts, now) = (Counts::default(), Instant::now());
        let ada = network("2001:db8:1:2::1");
        for _ in 0..limits::FAILURES_PER_MINUTE {
            assert_eq!(counts.wait(ada, now), None);
            counts.add(ada, now);
        }
        let same = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9"];
        assert!(same.iter().all(|text| counts.wait(network(text), now) == Some(STEP)), "{counts:?}");
        let others = ["2001:db8:1:3::1", "192.0.2.1"];
        assert!(others.iter().all(|text| counts.wait(network(text), now).is_none()), "{counts:?}");
        // What fails beyond the budget does not extend the wait.
        (0..1_000).for_each(|_| counts.add(ada, now));
        assert_eq!((counts.wait(ada, now), counts.wait(ada, now + STEP)), (Some(STEP), None));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }

    #[test]
    fn networks_beyond_the_table_share_a_budget() {
        let (mut counts, now) = (Counts::default(), Instant::now());
        for number in 0..u32::try_from(limits::FAILING_NETWORKS_MAX).unwrap() + limits::FAILURES_PER_MINUTE {
            counts.add(Some(Peer::V4(number.into())), now);
        }
        assert!(counts.whole_at.len() <= limits::FAILING_NETWORKS_MAX + 1, "{}", counts.whole_at.len());
        assert_eq!(counts.wait(network("192.0.2.1"), now), Some(STEP));
        assert_eq!(counts.wait(Some(Peer::V4(7.into())), now), None);
        // Later there is room again.
        let later = now + WHOLE + TIDY_PAUSE;
        counts.add(network("192.0.2.1"), later);
        assert_eq!((counts.whole_at.len(), counts.wait(network("192.0.2.1"), later)), (1, None));
    }

    #[test]
    fn tokens_are_forgotten_after_two_periods_and_never_fill_the_memory() {
        let (period, now) = (Duration::from_secs(10), Instant::now());
        let mut recent = Recent::new(period);
        let token = fingerprint("x");
        recent.add(token, now);
        assert!(recent.holds(&token, now + period) && !recent.holds(&token, now + 2 * period));
        recent.add(token, now);
        assert!(!recent.holds(&token, now + 5 * period), "both halves are old");
        for number in 0..3 * limits::TOKENS_REMEMBERED_MAX {
            recent.add(fingerprint(&number.to_string()), now);
        }
        assert!(recent.young.len() + recent.old.len() <= 2 * limits::TOKENS_REMEMBERED_MAX);
        recent.add(token, now);
        recent.remove(&token);
        assert!(!recent.holds(&token, now));
    }
}
