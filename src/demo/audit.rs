//! The audit: what the participants' ledgers say against what the sagas promised. Owns the judgement, which
//! is pure; the ledgers are read in `evidence.rs`, the sagas' ends come from amends.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::chaos::Troubles;
use super::effect::Kind;
use super::fault::Fault;
use crate::saga::state::{Status, StuckReason};

/// What amends says of one checkout.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// The saga.
    pub(super) saga: Uuid,
    /// The booking that it is about.
    pub(super) booking: String,
    /// The cents that it was to charge.
    pub(super) amount_cents: i64,
    /// Where it stands.
    pub(super) status: Status,
    /// The charge that its output names.
    pub(super) charge: Option<String>,
    /// Why it is stuck, if it is.
    pub(super) stuck: Option<StuckReason>,
}

/// One row of a ledger.
#[derive(Clone, Debug)]
pub(super) struct Entered {
    /// What was done.
    pub(super) kind: Kind,
    /// The id that the participant gave it.
    pub(super) id: String,
    /// For which booking.
    pub(super) booking: String,
    /// What it touched.
    pub(super) subject: String,
    /// Cents that moved.
    pub(super) amount_cents: i64,
}

/// One fault that was injected.
#[derive(Clone, Debug)]
pub(super) struct Injected {
    /// What went wrong.
    pub(super) fault: Fault,
    /// The booking of the call.
    pub(super) booking: String,
}

/// Everything that the participants know.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// All effects, of both ledgers.
    pub(super) effects: Vec<Entered>,
    /// All faults, of both participants.
    pub(super) faults: Vec<Injected>,
}

/// In which way a promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Breach {
    /// A completed checkout lacks an effect, or a checkout has no saga at all.
    Lost,
    /// An effect was made, or undone, more often than once.
    Doubled,
    /// An effect is left that no saga answers for.
    Orphaned,
    /// A saga has not ended, though it had the time.
    Unfinished,
    /// A saga is stuck without any fault that would explain it.
    Unexplained,
}

impl Breach {
    /// Returns the word for people.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Orphaned => "orphaned",
            Self::Unfinished => "unfinished",
            Self::Unexplained => "unexplained",
        }
    }
}

/// One broken promise.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Violation {
    /// In which way.
    pub(super) breach: Breach,
    /// The saga, where there is one.
    pub(super) saga: Option<Uuid>,
    /// The booking.
    pub(super) booking: String,
    /// What was expected, and what the ledger has.
    pub(super) text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.breach.as_str(), self.booking, self.text)?;
        match self.saga {
            Some(saga) => write!(f, " (saga {saga})"),
            None => Ok(()),
        }
    }
}

/// Judges the ledgers: `asked` are the bookings for which a checkout was asked for, `claims` what amends says
/// of its sagas. Returns every broken promise; an empty list is the proof.
pub(super) fn audit(asked: &[String], claims: &[Claim], evidence: &Evidence, troubles: Troubles) -> Vec<Violation> {
    let mut ledgers: BTreeMap<&str, Vec<&Entered>> = BTreeMap::new();
    for effect in &evidence.effects {
        ledgers.entry(&effect.booking).or_default().push(effect);
    }
    let mut violations = Vec::new();
    let mut answered = BTreeSet::new();
    for claim in claims {
        let mut against = |breach, text| {
            let (saga, booking) = (Some(claim.saga), claim.booking.clone());
            violations.push(Violation { breach, saga, booking, text });
        };
        if !answered.insert(claim.booking.as_str()) {
            against(Breach::Doubled, "a second saga for the same booking".to_owned());
            continue;
        }
        let ledger = ledgers.remove(claim.booking.as_str()).unwrap_or_default();
        check_claim(claim, &ledger, &mut against);
        if !is_explained(claim, evidence, troubles) {
            against(Breach::Unexplained, "stuck, and no fault explains it".to_owned());
        }
    }
    let without_saga =
        |breach, booking: &str, text: String| Violation { breach, saga: None, booking: booking.to_owned(), text };
    for booking in asked.iter().filter(|booking| !answered.contains(booking.as_str())) {
        violations.push(without_saga(
            Breach::Lost,
            booking,
            "a checkout was asked for, and there is no saga".to_owned(),
        ));
    }
    for (booking, ledger) in ledgers {
        for effect in ledger {
            let text = format!("the {} {} belongs to no saga", effect.kind, effect.id);
            violations.push(without_saga(Breach::Orphaned, booking, text));
        }
    }
    violations
}

/// Checks what one saga says against the rows of its booking.
fn check_claim(claim: &Claim, ledger: &[&Entered], against: &mut impl FnMut(Breach, String)) {
    match claim.status {
        Status::Completed => {
            for deed in Kind::DEEDS {
                check_net(deed, net(ledger, deed), 1..=1, Breach::Lost, against);
            }
            check_money(claim, ledger, claim.amount_cents, against);
            check_charge(claim, ledger, against);
        }
        Status::Compensated => {
            for deed in Kind::DEEDS {
                check_net(deed, net(ledger, deed), 0..=0, Breach::Doubled, against);
            }
            check_money(claim, ledger, 0, against);
        }
        // The rest is nobody's promise; but nothing may ever be there twice.
        Status::Stuck | Status::Abandoned => {
            for deed in Kind::DEEDS {
                check_net(deed, net(ledger, deed), 0..=1, Breach::Doubled, against);
            }
        }
        Status::Queued | Status::Running | Status::Compensating | Status::Paused => {
            against(Breach::Unfinished, format!("still {}", claim.status));
        }
    }
}

/// How often a deed was done, less how often it was undone.
fn net(ledger: &[&Entered], deed: Kind) -> i64 {
    let count = |kind| ledger.iter().filter(|effect| effect.kind == kind).count() as i64;
    count(deed) - deed.undone_by().map_or(0, count)
}

/// Checks that a net count is within its range; `under` is the breach if it is below.
fn check_net(
    deed: Kind,
    net: i64,
    range: std::ops::RangeInclusive<i64>,
    under: Breach,
    against: &mut impl FnMut(Breach, String),
) {
    let text = || format!("expected a net {deed} of {range:?}, found {net}");
    for _ in net..*range.start() {
        against(under, text());
    }
    // One too many is a double where one belongs, and an orphan where none does.
    for extra in *range.end()..net {
        against(if extra == 0 { Breach::Orphaned } else { Breach::Doubled }, text());
    }
}

/// Checks the cents, once the counts are right.
fn check_money(claim: &Claim, ledger: &[&Entered], expected: i64, against: &mut impl FnMut(Breach, String)) {
    if net(ledger, Kind::Charge) != i64::from(expected != 0) {
        return;
    }
    let sum = |kind| ledger.iter().filter(|effect| effect.kind == kind).map(|effect| effect.amount_cents).sum::<i64>();
    let found = sum(Kind::Charge) - sum(Kind::Refund);
    let text = || format!("expected {expected} cents of {} to be kept, found {found}", claim.amount_cents);
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => against(Breach::Lost, text()),
        std::cmp::Ordering::Equal => {}
        std::cmp::Ordering::Greater => against(Breach::Orphaned, text()),
    }
}

/// Checks that output, charge and receipt of a completed checkout speak of the same charge.
fn check_charge(claim: &Claim, ledger: &[&Entered], against: &mut impl FnMut(Breach, String)) {
    let refunded = |id: &str| ledger.iter().any(|effect| effect.kind == Kind::Refund && effect.subject == id);
    let Some(charge) = ledger.iter().find(|effect| effect.kind == Kind::Charge && !refunded(&effect.id)) else {
        return;
    };
    if claim.charge.as_deref() != Some(charge.id.as_str()) {
        let named = claim.charge.as_deref().unwrap_or("none");
        against(Breach::Orphaned, format!("the saga's output names the charge {named}, the ledger has {}", charge.id));
    }
    for receipt in ledger.iter().filter(|effect| effect.kind == Kind::ReceiptSent) {
        if receipt.subject != charge.id {
            let text = format!("the receipt {} is for {}, the charge is {}", receipt.id, receipt.subject, charge.id);
            against(Breach::Orphaned, text);
        }
    }
}

/// Whether a saga that is stuck has a true reason to be: something that befell it, or one of the processes it
/// ran on.
fn is_explained(claim: &Claim, evidence: &Evidence, troubles: Troubles) -> bool {
    let Some(reason) = claim.stuck else {
        return claim.status != Status::Stuck;
    };
    let crashed = evidence.faults.iter().any(|injected| injected.fault == Fault::Crash);
    let befell = |hides: fn(Fault) -> bool| {
        evidence.faults.iter().any(|injected| injected.booking == claim.booking && hides(injected.fault))
    };
    match reason {
        StuckReason::InDoubt => befell(hides_outcome) || crashed || troubles.any(),
        // A participant whose ledger is away refuses, or is not there.
        StuckReason::Failed => befell(|_| true) || crashed || troubles.postgres_killed > 0,
        // Whoever is stopped for longer than its lease counts as dead.
        StuckReason::ProcessDied => troubles.nodes_killed + troubles.nodes_stopped > 0,
    }
}

/// Whether a fault leaves its caller in doubt.
fn hides_outcome(fault: Fault) -> bool {
    match fault {
        Fault::LostAnswer
        | Fault::Crash
        | Fault::Slow
        | Fault::ErrorAfter
        | Fault::UnavailableAfter
        | Fault::ConflictCut
        | Fault::Accepted => true,
        Fault::Refused | Fault::Busy | Fault::CachedError | Fault::FailureAsText | Fault::FailsTwice => false,
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
