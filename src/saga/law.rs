//! The law of a journal: the version of the rules that fold it. A journal keeps the law under which it began, so its
//! fold gives the same states for ever. Each change of the fold that could affect an existing journal gets a new law.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Version of the rules that fold a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// Journals that begin with `started`. After a definite failure the next attempt takes a new key, a tool's error
    /// is a failure, and keys are paths.
    #[default]
    V1,
    /// Journals that begin with `begun`. A key is kept until it is known that a new one is safe, and a tool's error
    /// proves nothing by itself.
    V2,
}

impl Law {
    /// The law of new sagas.
    pub const NEWEST: Self = Self::V2;

    /// Returns the number that the journal holds.
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
