//! Reads one escape at the beginning of some bytes: of JSON and programming languages, of URLs, of HTML.

/// One escape, read.
pub(super) struct Unit {
    /// What it stands for: the first `count` of these bytes.
    bytes: [u8; 4],
    count: usize,
    /// Its own length in bytes.
    pub(super) length: usize,
}

impl Unit {
    fn of_byte(byte: u8, length: usize) -> Self {
        Self { bytes: [byte, 0, 0, 0], count: 1, length }
    }

    fn of_char(code: u32, length: usize) -> Option<Self> {
        let mut bytes = [0; 4];
        let count = char::from_u32(code)?.encode_utf8(&mut bytes).len();
        Some(Self { bytes, count, length })
    }

    /// Returns what the escape stands for.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.count]
    }
}

/// Longest escape, in bytes: two halves of a surrogate pair.
const LENGTH_MAX: usize = 12;

/// Whether an escape can begin with this byte.
pub(super) fn may_begin(byte: u8) -> bool {
    matches!(byte, b'\\' | b'%' | b'&')
}

/// Reads the escape at the beginning; none if there is none.
pub(super) fn read(text: &[u8]) -> Option<Unit> {
    match text {
        [b'\\', rest @ ..] => backslash(text, rest),
        [b'%', b'u' | b'U', ..] => utf16(text, b"%u"),
        [b'%', rest @ ..] => Some(Unit::of_byte(u8::try_from(hex(rest, 2)?).ok()?, 3)),
        [b'&', rest @ ..] => entity(rest),
        _ => None,
    }
}

/// Whether a text that was cut off ends in the beginning of an escape.
pub(super) fn is_begun(text: &[u8]) -> bool {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'\\' | b'{' | b'#');
    text.len() < LENGTH_MAX && may_begin(text[0]) && text[1..].iter().all(inside)
}

fn backslash(text: &[u8], rest: &[u8]) -> Option<Unit> {
    match *rest.first()? {
        b'u' | b'x' if rest.get(1) == Some(&b'{') => {
            let digits = rest[2..].iter().take(9).position(|byte| *byte == b'}')?;
            Unit::of_char(hex(&rest[2..], digits)?, digits + 4)
        }
        b'u' => utf16(text, b"\\u"),
        b'U' => Unit::of_char(hex(&rest[1..], 8)?, 10),
        // `\xc3`: a byte. The filter also looks for a secret in Latin-1, where the byte is a character.
        b'x' => Some(Unit::of_byte(u8::try_from(hex(&rest[1..], 2)?).ok()?, 4)),
        first @ b'0'..=b'3' => {
            let digit = |at: usize| rest.get(at).filter(|byte| matches!(byte, b'0'..=b'7')).map(|byte| byte - b'0');
            Some(Unit::of_byte((first - b'0') << 6 | digit(1)? << 3 | digit(2)?, 4))
        }
        b'n' => Some(Unit::of_byte(b'\n', 2)),
        b'r' => Some(Unit::of_byte(b'\r', 2)),
        b't' => Some(Unit::of_byte(b'\t', 2)),
        b'b' => Some(Unit::of_byte(8, 2)),
        b'f' => Some(Unit::of_byte(12, 2)),
        b'v' => Some(Unit::of_byte(11, 2)),
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => Some(Unit::of_byte(other, 2)),
        _ => None,
    }
}

/// Reads four digits after `mark`; or twice that, if the first is the first half of a surrogate pair.
fn utf16(text: &[u8], mark: &[u8; 2]) -> Option<Unit> {
    let first = hex(&text[2..], 4)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Unit::of_char(first, 6);
    }
    let rest = text.get(6..8).filter(|found| found.eq_ignore_ascii_case(mark)).map(|_| &text[8..])?;
    let second = hex(rest, 4).filter(|second| (0xdc00..0xe000).contains(second))?;
    Unit::of_char(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), 12)
}

fn hex(text: &[u8], digits: usize) -> Option<u32> {
    let value = |byte: &u8| char::from(*byte).to_digit(16);
    text.get(..digits)
        .filter(|text| (1..=8).contains(&text.len()))?
        .iter()
        .try_fold(0_u32, |sum, byte| sum.checked_mul(16)?.checked_add(value(byte)?))
}

/// Reads an entity of HTML after its `&`. Of the names it knows those of the marks in ASCII.
fn entity(rest: &[u8]) -> Option<Unit> {
    let length = rest.iter().take(LENGTH_MAX).position(|byte| *byte == b';')?;
    let whole = length + 2;
    match &rest[..length] {
        [b'#', b'x' | b'X', digits @ ..] => Unit::of_char(hex(digits, digits.len())?, whole),
        [b'#', digits @ ..] => Unit::of_char(std::str::from_utf8(digits).ok()?.parse().ok()?, whole),
        name => {
            let (_, byte) = NAMES.iter().find(|(known, _)| known.as_bytes() == name)?;
            Some(Unit::of_byte(*byte, whole))
        }
    }
}

const NAMES: [(&str, u8); 36] = [
    ("Tab", b'\t'),
    ("NewLine", b'\n'),
    ("excl", b'!'),
    ("quot", b'"'),
    ("QUOT", b'"'),
    ("num", b'#'),
    ("dollar", b'$'),
    ("percnt", b'%'),
    ("amp", b'&'),
    ("AMP", b'&'),
    ("apos", b'\''),
    ("lpar", b'('),
    ("rpar", b')'),
    ("ast", b'*'),
    ("plus", b'+'),
    ("comma", b','),
    ("period", b'.'),
    ("sol", b'/'),
    ("colon", b':'),
    ("semi", b';'),
    ("lt", b'<'),
    ("LT", b'<'),
    ("equals", b'='),
    ("gt", b'>'),
    ("GT", b'>'),
    ("quest", b'?'),
    ("commat", b'@'),
    ("lsqb", b'['),
    ("bsol", b'\\'),
    ("rsqb", b']'),
    ("Hat", b'^'),
    ("lowbar", b'_'),
    ("grave", b'`'),
    ("lcub", b'{'),
    ("verbar", b'|'),
    ("rcub", b'}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_kind_of_escape_and_nothing_else() {
        for (text, bytes, length) in [
            (r"\/x", "/", 2),
            (r"\\u002B", "\\", 2),
            (r"\u002Bx", "+", 6),
            (r"\ud83d\uDE00x", "\u{1f600}", 12),
            (r"\u{1f600}x", "\u{1f600}", 9),
            (r"\U0001F600", "\u{1f600}", 10),
            (r"\x2fx", "/", 4),
            (r"\x{2f}", "/", 6),
            (r"\057", "/", 4),
            (r"\n", "\n", 2),
            ("%2f", "/", 3),
            ("%u00e9", "é", 6),
            ("%uD83D%uDE00", "\u{1f600}", 12),
            ("&#47;", "/", 5),
            ("&#x2F;", "/", 6),
            ("&sol;", "/", 5),
        ] {
            let unit = read(text.as_bytes()).expect(text);
            assert_eq!((unit.bytes(), unit.length), (bytes.as_bytes(), length), "{text}");
        }
        for text in [
            "a",
            "\\",
            r"\u00",
            r"\ud83d",
            r"\ud83dxx\uDE00",
            r"\udE00",
            r"\u{}",
            r"\u{110000}",
            r"\xg0",
            r"\08",
            r"\d",
            "%",
            "%2",
            "%zz",
            "%u12",
            "&",
            "&x",
            "&nothing;",
            "&#;",
            "&#x;",
            "&#x110000;",
            "&#99999999999;",
            r"\é",
        ] {
            assert!(read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
