//! Idempotency keys: the text by which a participant recognises a call. Owns both forms of the key, and the way back
//! from text to key. All attempts of a call share one key until it is known that a new one is safe. Each new key is a
//! new generation.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::event::Direction;
use super::law::Law;

/// Longest key under law V2, in characters. All characters are of `A-Za-z0-9_-`.
pub const KEY_CHARS_MAX: usize = 64;

/// Length of the digest of a shortened name, in characters.
const DIGEST_CHARS: usize = 10;
/// Marks the digest of a shortened name. No step name has a capital letter.
const CUT: char = 'X';

/// Parts of an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// The saga that calls.
    pub saga: Uuid,
    /// Name of the step.
    pub step: &'a str,
    /// Whether the action or the compensation is called.
    pub direction: Direction,
    /// Number of keys that the call had before.
    pub generation: u32,
}

impl Key<'_> {
    /// Returns the text of the key under a law: `SAGA-STEP-a0`, or `SAGA/STEP/action/0` under law V1. Equal keys
    /// always give equal texts.
    pub fn text(&self, law: Law) -> String {
        let Self { saga, step, direction, generation } = self;
        match law {
            Law::V1 => format!("{saga}/{step}/{}/{generation}", direction.as_str()),
            Law::V2 => {
                let digits = generation.checked_ilog10().map_or(1, |tens| tens as usize + 1);
                let room = KEY_CHARS_MAX - Hyphenated::LENGTH - "--a".len() - digits;
                format!("{saga}-{}-{}{generation}", cut(step, room), letter(*direction))
            }
        }
    }

    /// Returns the key as a UUID (version 5 in the URL namespace), for participants that accept only UUIDs.
    pub fn uuid(text: &str) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes())
    }

    /// Parses a key of any law. The name of its step may be shortened: see [`Key::is_step`].
    pub fn read(text: &str) -> Option<Key<'_>> {
        let saga = Uuid::try_parse(text.get(..36)?).ok()?;
        let rest = text.get(36..)?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        if let Some(rest) = rest.strip_prefix('/') {
            let mut parts = rest.split('/');
            let (step, direction, generation) = (parts.next()?, parts.next()?, number(parts.next()?)?);
            let direction = DIRECTIONS.into_iter().find(|one| one.as_str() == direction)?;
            return parts.next().is_none().then_some(Key { saga, step, direction, generation });
        }
        let (step, end) = rest.strip_prefix('-')?.rsplit_once('-')?;
        let direction = DIRECTIONS.into_iter().find(|one| end.starts_with(letter(*one)))?;
        Some(Key { saga, step, direction, generation: number(end.get(1..)?)? })
    }

    /// Returns whether the step of a parsed key is the step of this name.
    pub fn is_step(&self, name: &str) -> bool {
        self.step == name || self.step.contains(CUT) && cut(name, self.step.len()) == self.step
    }
}

/// Returns the key of a notice about an event (`on_stuck`, `on_end`) that a row of a saga's journal caused.
pub fn notice_key(saga: Uuid, event: &str, row: i32, law: Law) -> String {
    match law {
        Law::V1 => format!("{saga}/{event}/{row}"),
        Law::V2 => format!("{saga}-{event}-n{row}"),
    }
}

const DIRECTIONS: [Direction; 2] = [Direction::Action, Direction::Compensation];

fn letter(direction: Direction) -> char {
    match direction {
        Direction::Action => 'a',
        Direction::Compensation => 'c',
    }
}

/// Shortens a name to the available room. A name that does not fit ends with a digest of the whole name.
fn cut(name: &str, room: usize) -> Cow<'_, str> {
    if name.len() <= room {
        return name.into();
    }
    let digest: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    // Step names are plain ASCII. That is checked when a definition is built.
    let kept: String = name.chars().take(room.saturating_sub(DIGEST_CHARS + 1)).collect();
    format!("{kept}{CUT}{}", &digest[..DIGEST_CHARS]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(step: &str, generation: u32) -> Key<'_> {
        let saga = Uuid::try_parse("01a2b3c4-d5e6-7f80-9192-a3b4c5d6e7f8").unwrap();
        Key { saga, step, direction: Direction::Action, generation }
    }

    #[test]
    fn keys_are_short_plain_and_readable_back() {
        let long = "a_name_of_a_step_that_is_as_long_as_names_of_steps_may_ever_be_x";
        for (step, generation) in [("charge", 0), ("charge", 7), (long, 0), (long, u32::MAX), ("a", u32::MAX)] {
            for direction in DIRECTIONS {
                let key = Key { direction, ..key(step, generation) };
                let text = key.text(Law::V2);
                assert!(text.len() <= KEY_CHARS_MAX, "{text}");
                assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{text}");
                for law in [Law::V1, Law::V2] {
                    let text = key.text(law);
                    let read = Key::read(&text).unwrap_or_else(|| panic!("{text} is not read"));
                    assert_eq!((read.saga, read.direction, read.generation), (key.saga, direction, generation));
                    assert!(read.is_step(step), "{text}");
                    assert!(!read.is_step("another"), "{text}");
                }
            }
        }
        assert_eq!(key("charge", 0).text(Law::V2), "01a2b3c4-d5e6-7f80-9192-a3b4c5d6e7f8-charge-a0");
        assert_eq!(key("charge", 1).text(Law::V1), "01a2b3c4-d5e6-7f80-9192-a3b4c5d6e7f8/charge/action/1");
    }

    /// Participants have stored these UUIDs. The expected values come from another program (Python's
    /// `uuid.uuid5(NAMESPACE_URL, KEY)`).
    #[test]
    fn the_uuid_of_a_key_is_the_same_for_ever() {
        let [action, compensation] = DIRECTIONS.map(|direction| Key { direction, ..key("charge", 0) });
        for (text, uuid) in [
            (action.text(Law::V2), "e3a03431-a63f-5a86-9b9b-9a4fa0774fa0"),
            (compensation.text(Law::V2), "2e4d9191-d471-557e-90aa-eae23a67d6cf"),
            (action.text(Law::V1), "7a0cdeac-e101-56a8-b4bf-b31b847319a4"),
        ] {
            assert_eq!(Key::uuid(&text).to_string(), uuid, "{text}");
            assert_eq!(Key::uuid(&text).as_simple().to_string(), uuid.replace('-', ""), "{text}");
        }
    }

    #[test]
    fn names_that_differ_at_their_end_have_different_keys() {
        let [one, other] = ["x", "y"].map(|end| format!("a_long_name_that_does_not_fit_into_a_key_{end}"));
        assert_ne!(key(&one, 0).text(Law::V2), key(&other, 0).text(Law::V2));
    }

    #[test]
    fn what_is_no_key_is_not_read() {
        let saga = "01a2b3c4-d5e6-7f80-9192-a3b4c5d6e7f8";
        for end in
            ["", "-", "-charge", "-charge-x0", "-charge-a", "-charge-a+1", "/charge/action", "/c/a/0", "/c/action/0/0"]
        {
            assert_eq!(Key::read(&format!("{saga}{end}")), None, "{end}");
        }
        assert_eq!(Key::read("charge-a0"), None);
        assert_eq!(Key::read("é".repeat(40).as_str()), None);
    }
}
