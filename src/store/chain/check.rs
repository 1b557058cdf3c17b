//! Checks a journal against its links, row by row: which rows were changed, removed, inserted or moved, and whether a
//! payload that is gone was erased. Keeps one row in memory.
//!
//! Each link is checked against the link that the row before it has, so one change is one fault. Not found: rows that
//! were removed from the end of a saga that has not ended; and without a key, a chain that was made again.

use uuid::Uuid;

use super::{ChainKey, Entry, Hash, Link, Rest, link};
use crate::config::store::CHAIN_FAULTS_MAX;
use crate::saga::state::Status;
use crate::store::read::JournalRow;

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainFault {
    /// Rows are missing.
    Missing {
        /// First of them.
        from: i32,
        /// Last of them.
        to: i32,
    },
    /// A row, or one of several rows under one link, does not fit its link.
    Changed {
        /// First row under the link.
        from: i32,
        /// The row with the link.
        to: i32,
    },
    /// A row without a link follows a row with one.
    Unlinked {
        /// The row.
        row: i32,
    },
    /// A row that was linked without the key follows a row that was linked with it.
    Unkeyed {
        /// The row.
        row: i32,
    },
    /// A row was linked with a key that is not given; further rows with such a link are not told.
    OtherKey {
        /// The row.
        row: i32,
    },
    /// The saga has ended, but the last row is not the row of its end.
    CutOff {
        /// The last row.
        row: i32,
    },
    /// The last row does not fit its link, or the saga's status or result does not fit the row.
    EndChanged {
        /// The last row.
        row: i32,
    },
    /// The payload of a row is gone, but no erasure of the saga is recorded.
    Unrecorded {
        /// The row.
        row: i32,
    },
    /// The saga was erased, but this row has its payload.
    Unerased {
        /// The row.
        row: i32,
    },
    /// The saga has ended, but has no journal.
    NoJournal,
    /// There is a journal, but no saga.
    NoSaga,
}

impl ChainFault {
    /// Returns the fault as a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Changed { .. } => "changed",
            Self::Unlinked { .. } => "unlinked",
            Self::Unkeyed { .. } => "unkeyed",
            Self::OtherKey { .. } => "other_key",
            Self::CutOff { .. } => "cut_off",
            Self::EndChanged { .. } => "end_changed",
            Self::Unrecorded { .. } => "unrecorded",
            Self::Unerased { .. } => "unerased",
            Self::NoJournal => "no_journal",
            Self::NoSaga => "no_saga",
        }
    }

    /// Returns the first row that it is about.
    pub fn row(&self) -> Option<i32> {
        match self {
            Self::Missing { from: row, .. }
            | Self::Changed { from: row, .. }
            | Self::Unlinked { row }
            | Self::Unkeyed { row }
            | Self::OtherKey { row }
            | Self::CutOff { row }
            | Self::EndChanged { row }
            | Self::Unrecorded { row }
            | Self::Unerased { row } => Some(*row),
            Self::NoJournal | Self::NoSaga => None,
        }
    }
}

impl std::fmt::Display for ChainFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { from, to } if from == to => write!(f, "row {from} is missing: it was removed"),
            Self::Missing { from, to } => write!(f, "rows {from} to {to} are missing: they were removed"),
            Self::Changed { from, to } if from == to => {
                write!(f, "row {to} does not fit its link: it was changed, moved or inserted")
            }
            Self::Changed { from, to } => {
                write!(f, "rows {from} to {to} do not fit their link: one of them was changed, moved or inserted")
            }
            Self::Unlinked { row } => {
                write!(f, "row {row} has no link: it was inserted, or a node wrote it that did not chain")
            }
            Self::Unkeyed { row } => {
                write!(f, "row {row} was linked without the key: it was inserted, or a node without the key wrote it")
            }
            Self::OtherKey { row } => {
                write!(
                    f,
                    "row {row} was linked with a key that is not given: set AMENDS_CHAIN_KEY, or name it in the \
                           settings (journal.chain_key, journal.former_chain_keys)"
                )
            }
            Self::CutOff { row } => {
                write!(f, "row {row} is the last, but did not end the saga: the rows after it were removed")
            }
            Self::EndChanged { row } => {
                write!(
                    f,
                    "row {row}, the last, does not fit its link: the row, the saga's status or its result was \
                           changed, or the row was inserted or moved"
                )
            }
            Self::Unrecorded { row } => {
                write!(f, "row {row} has lost its payload, but no erasure of the saga is recorded: it was removed")
            }
            Self::Unerased { row } => write!(f, "row {row} has a payload, although the saga was erased"),
            Self::NoJournal => f.write_str("the saga has ended, but has no journal: its rows were removed"),
            Self::NoSaga => f.write_str("there is a journal without a saga: the saga's row was removed"),
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Number of rows.
    pub rows: u64,
    /// Number of rows with a link that counts: made with a key, if a key is given.
    pub linked: u64,
    /// Number of rows whose payload was erased.
    pub erased: u64,
    /// What does not fit; the first `CHAIN_FAULTS_MAX`.
    pub faults: Vec<ChainFault>,
    /// Number of all faults.
    pub found: u64,
    /// The last link, as hexadecimal digits. A copy in another place shows later whether the chain was made again.
    pub head: Option<String>,
}

/// What the database says of the saga, besides its journal.
pub(in crate::store) enum End {
    /// There is no such saga.
    NoSaga,
    /// It has not ended.
    Live,
    /// It has ended.
    Ended { status: Status, result: Option<String>, is_erased: bool },
}

/// A check under way.
pub(in crate::store) struct Check<'a> {
    id: Uuid,
    /// The keys that are given. None: only an open chain can be checked.
    keys: &'a [ChainKey],
    head: Hash,
    /// The rows since the last link, and the number of the first.
    span: Vec<Entry>,
    /// The row that may be the last.
    held: Option<JournalRow>,
    next: i32,
    /// Rows are missing before the next link, so it cannot be checked.
    has_gap: bool,
    has_link: bool,
    has_keyed_link: bool,
    has_other_key: bool,
    /// The first row whose payload is gone, and the first that has one.
    erased: Option<i32>,
    whole: Option<i32>,
    verified: Verified,
}

impl<'a> Check<'a> {
    pub(in crate::store) fn new(id: Uuid, keys: &'a [ChainKey]) -> Self {
        Self {
            id,
            keys,
            head: [0; super::DIGEST],
            span: Vec::new(),
            held: None,
            next: 1,
            has_gap: false,
            has_link: false,
            has_keyed_link: false,
            has_other_key: false,
            erased: None,
            whole: None,
            verified: Verified::default(),
        }
    }

    /// Checks the next row, in the order of the journal.
    pub(in crate::store) fn push(&mut self, row: JournalRow) {
        if let Some(before) = self.held.replace(row) {
            self.check(&before, None);
        }
    }

    /// Checks the last row.
    pub(in crate::store) fn finish(mut self, end: &End) -> Verified {
        let Some(last) = self.held.take() else {
            if matches!(end, End::Ended { .. }) {
                self.fault(ChainFault::NoJournal);
            }
            return self.verified;
        };
        match end {
            End::NoSaga => self.fault(ChainFault::NoSaga),
            End::Live | End::Ended { .. } => {}
        }
        self.check(&last, Some(end));
        // An erasure is one transaction. Rows without a link tell nothing of one.
        let is_erased = matches!(end, End::Ended { is_erased: true, .. });
        match (is_erased, self.erased, self.whole) {
            (false, Some(row), _) => self.fault(ChainFault::Unrecorded { row }),
            (true, _, Some(row)) => self.fault(ChainFault::Unerased { row }),
            (true, _, None) | (false, None, _) => {}
        }
        self.verified
    }

    fn fault(&mut self, fault: ChainFault) {
        self.verified.found += 1;
        if self.verified.faults.len() < CHAIN_FAULTS_MAX {
            self.verified.faults.push(fault);
        }
    }

    /// Checks one row. `end`: it is the last row, and this became of the saga.
    fn check(&mut self, row: &JournalRow, end: Option<&End>) {
        self.verified.rows += 1;
        if row.seq != self.next {
            self.fault(ChainFault::Missing { from: self.next, to: row.seq - 1 });
            self.has_gap = true;
        }
        self.next = row.seq.saturating_add(1);
        let ended = match end {
            Some(End::Ended { status, result, .. }) => Some((status.as_str(), result.as_deref())),
            Some(End::Live | End::NoSaga) | None => None,
        };
        let stored = row.link.as_deref();
        let Some(found) = stored.and_then(Link::read) else {
            match stored.map(<[u8]>::len) {
                Some(super::DIGEST) => self.gone(row.seq),
                Some(_) => self.fault(ChainFault::Changed { from: row.seq, to: row.seq }),
                None => {}
            }
            if self.has_link {
                self.fault(ChainFault::Unlinked { row: row.seq });
            }
            return self.span.push(Entry::stored(self.id, row, ended));
        };
        self.has_link = true;
        self.verified.head = Some(found.hash.iter().map(|byte| format!("{byte:02x}")).collect());
        let salt: &[u8] = match &found.rest {
            Rest::Salt(salt) => {
                self.whole = self.whole.or(Some(row.seq));
                salt
            }
            Rest::Erased(_) => {
                self.gone(row.seq);
                &[]
            }
        };
        let from = row.seq - i32::try_from(self.span.len()).unwrap_or_default();
        let span = std::mem::take(&mut self.span);
        let before = std::mem::replace(&mut self.head, found.hash);
        let has_gap = std::mem::replace(&mut self.has_gap, false);
        let Some(key) = self.key(found.mark) else {
            if !std::mem::replace(&mut self.has_other_key, true) {
                self.fault(ChainFault::OtherKey { row: row.seq });
            }
            return;
        };
        let fits = |ended| {
            let entry = Entry::stored(self.id, row, ended);
            link(&key, &before, span.iter().chain([&entry]), salt) == found.hash
        };
        let does_fit = has_gap || fits(ended);
        let is_cut_off = !does_fit && ended.is_some() && fits(None);
        if key.is_open() && self.has_keyed_link {
            self.fault(ChainFault::Unkeyed { row: row.seq });
        }
        if !key.is_open() || self.keys.is_empty() {
            self.verified.linked += 1;
        }
        self.has_keyed_link |= !key.is_open();
        match (does_fit, is_cut_off, end) {
            (true, _, _) => {}
            (false, true, _) => self.fault(ChainFault::CutOff { row: row.seq }),
            (false, false, Some(_)) if from == row.seq => self.fault(ChainFault::EndChanged { row: row.seq }),
            (false, false, _) => self.fault(ChainFault::Changed { from, to: row.seq }),
        }
    }

    fn gone(&mut self, row: i32) {
        self.verified.erased += 1;
        self.erased = self.erased.or(Some(row));
    }

    /// Returns the key of a mark, if it is given.
    fn key(&self, mark: u8) -> Option<ChainKey> {
        match mark {
            0 => Some(ChainKey::open()),
            mark => self.keys.iter().find(|key| key.mark == mark).cloned(),
        }
    }
}
