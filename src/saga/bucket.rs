//! Buckets: ten bits of each saga's id. All sagas of one concurrency key share a bucket, and so do all repeats of one
//! start key. Owns the place of the bucket in an id, and the bucket of a key. SQL follows the same rules
//! (`amends.bucket`, `amends.bucket_of_key`).
//!
//! Nothing routes by the bucket yet. A later map may give each range of buckets a database of its own; an id then
//! tells where its saga is. The idea of a fixed number of buckets comes from Redis Cluster.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Bucket of a saga, from 0 to 1023.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(u16);

impl Bucket {
    /// Number of buckets.
    pub const COUNT: u16 = 1 << 10;

    /// Returns the bucket in an id: the ten bits after the version of a UUIDv7.
    pub fn from_id(id: Uuid) -> Self {
        let bytes = id.as_bytes();
        Self((u16::from(bytes[6] & 0x0f) << 6) | u16::from(bytes[7] >> 2))
    }

    /// Returns the bucket of a key: the first ten bits of its SHA-256.
    pub fn from_key(key: &str) -> Self {
        let digest = Sha256::digest(key.as_bytes());
        Self((u16::from(digest[0]) << 2) | u16::from(digest[1] >> 6))
    }

    /// Puts an id into this bucket. Its time and its other random bits stay.
    pub fn put_into(self, id: Uuid) -> Uuid {
        let mut bytes = id.into_bytes();
        bytes[6] = (bytes[6] & 0xf0) | u8::try_from(self.0 >> 6).unwrap_or_default();
        bytes[7] = (bytes[7] & 0x03) | u8::try_from((self.0 & 0x3f) << 2).unwrap_or_default();
        Uuid::from_bytes(bytes)
    }

    /// Returns the number of the bucket.
    pub fn number(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_keeps_its_time_and_its_version(random: u128, number in 0..Bucket::COUNT) {
            let bits: [u8; 10] = random.to_be_bytes()[..10].try_into().unwrap();
            let id = uuid::Builder::from_unix_timestamp_millis(1_790_000_000_000, &bits).into_uuid();
            let put = Bucket(number).put_into(id);
            prop_assert_eq!(Bucket::from_id(put).number(), number);
            prop_assert_eq!(put.get_version_num(), 7);
            prop_assert_eq!(put.get_timestamp(), id.get_timestamp());
            prop_assert_eq!(&put.as_bytes()[8..], &id.as_bytes()[8..]);
            prop_assert_eq!(Bucket::from_id(id).put_into(put), id);
        }
    }

    #[test]
    fn buckets_of_keys_never_change() {
        // The first ten bits of e3b0..., ba78... and 2cf2...
        for (key, number) in [("", 0xe3b0 >> 6), ("abc", 0xba78 >> 6), ("hello", 0x2cf2 >> 6)] {
            assert_eq!(Bucket::from_key(key).number(), number, "{key:?}");
        }
    }
}
