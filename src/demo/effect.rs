//! The effects of the demo's participants, and which effect undoes which. Owns their words. `tool.rs` has the tools
//! that make them; `audit.rs` checks their sum.

/// Kind of an effect in a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Money was taken from a guest.
    Charge,
    /// Money was given back.
    Refund,
    /// A booking was closed, and its folio issued.
    BookingClosed,
    /// A closed booking was opened again, and its folio voided.
    BookingReopened,
    /// A room was released.
    RoomReleased,
    /// A released room was occupied again.
    RoomOccupied,
    /// A sales opportunity was advanced.
    OpportunityAdvanced,
    /// An advanced opportunity was reverted.
    OpportunityReverted,
    /// A receipt was mailed; nothing undoes that.
    ReceiptSent,
}

impl Kind {
    /// All kinds.
    pub(super) const ALL: [Self; 9] = [
        Self::Charge,
        Self::Refund,
        Self::BookingClosed,
        Self::BookingReopened,
        Self::RoomReleased,
        Self::RoomOccupied,
        Self::OpportunityAdvanced,
        Self::OpportunityReverted,
        Self::ReceiptSent,
    ];

    /// Effects of a completed checkout, in the order of its steps.
    pub(super) const DEEDS: [Self; 5] =
        [Self::Charge, Self::BookingClosed, Self::RoomReleased, Self::OpportunityAdvanced, Self::ReceiptSent];

    /// Returns the word used in the ledger.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::BookingClosed => "booking_closed",
            Self::BookingReopened => "booking_reopened",
            Self::RoomReleased => "room_released",
            Self::RoomOccupied => "room_occupied",
            Self::OpportunityAdvanced => "opportunity_advanced",
            Self::OpportunityReverted => "opportunity_reverted",
            Self::ReceiptSent => "receipt_sent",
        }
    }

    /// Returns the effect that undoes this one. None if nothing undoes it, or if it undoes another.
    pub(super) fn undone_by(self) -> Option<Self> {
        match self {
            Self::Charge => Some(Self::Refund),
            Self::BookingClosed => Some(Self::BookingReopened),
            Self::RoomReleased => Some(Self::RoomOccupied),
            Self::OpportunityAdvanced => Some(Self::OpportunityReverted),
            Self::Refund
            | Self::BookingReopened
            | Self::RoomOccupied
            | Self::OpportunityReverted
            | Self::ReceiptSent => None,
        }
    }

    /// Returns the effect that this one undoes, if any.
    pub(super) fn undoes(self) -> Option<Self> {
        Self::DEEDS.into_iter().find(|deed| deed.undone_by() == Some(self))
    }

    /// Returns the effect of the pair that is not an undo: this one, or the one it undoes.
    pub(super) fn deed(self) -> Self {
        self.undoes().unwrap_or(self)
    }

    /// Returns the status of the record after this effect, for answers.
    pub(super) fn status(self) -> &'static str {
        match self {
            Self::Charge => "charged",
            Self::Refund => "refunded",
            Self::BookingClosed => "closed",
            Self::BookingReopened => "reopened",
            Self::RoomReleased => "released",
            Self::RoomOccupied => "occupied",
            Self::OpportunityAdvanced => "advanced",
            Self::OpportunityReverted => "reverted",
            Self::ReceiptSent => "sent",
        }
    }

    /// Returns the public id of the effect at this position of its ledger.
    pub(super) fn id(self, seq: i64) -> String {
        format!("{}_{seq:06}", self.id_prefix())
    }

    fn id_prefix(self) -> &'static str {
        match self {
            Self::Charge => "ch",
            Self::Refund => "re",
            Self::BookingClosed => "folio",
            Self::BookingReopened => "void",
            Self::RoomReleased => "free",
            Self::RoomOccupied => "hold",
            Self::OpportunityAdvanced => "adv",
            Self::OpportunityReverted => "rev",
            Self::ReceiptSent => "mail",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("expected a kind of effect, found {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_a_deed_or_undoes_one() {
        for kind in Kind::ALL {
            assert!(Kind::DEEDS.contains(&kind) != kind.undoes().is_some(), "{kind}");
            assert!(Kind::DEEDS.contains(&kind.deed()), "{kind}");
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }
}
