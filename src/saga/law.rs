//! The number of the law by which a journal is folded. A journal keeps the law under which it began to its end, so that
//! what it led to once it leads to always; each change of the fold that an old journal could notice is a new number.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The law of a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// Journals that begin with `started`. A definite failure gets the next attempt a new key, a tool's error is a
    /// failure, and keys are paths.
    #[default]
    V1,
    /// Journals that begin with `begun`. A key is kept until a probe has proved absence, and a tool's error proves
    /// nothing by itself.
    V2,
}

impl Law {
    /// The law of sagas that begin now.
    pub const NEWEST: Self = Self::V2;

    /// Returns the number, as the journal has it.
    pub fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    pub(super) fn is_first(&self) -> bool {
        *self == Self::V1
    }
}

impl Serialize for Law {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.number())
    }
}

impl<'de> Deserialize<'de> for Law {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        [Self::V1, Self::V2].into_iter().find(|law| law.number() == number).ok_or_else(|| {
            let newest = Self::NEWEST.number();
            serde::de::Error::custom(format!(
                "expected a law from 1 to {newest}, found {number}: a newer version of amends has begun this saga"
            ))
        })
    }
}
