//! Encodes a secret in every form in which the filter looks for it.

use super::view::{View, folded};
use crate::config::participant::{SECRET_BYTES_MIN, SECRET_ESCAPES_MAX};

/// Returns the spellings of a secret, in the bytes of a view. A view reads escapes, so a secret that looks as if it had
/// some is looked for as it is and as it is read.
pub(super) fn all(secret: &str) -> Vec<Vec<u8>> {
    let utf8 = secret.as_bytes().to_vec();
    let utf16: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin1: Option<Vec<u8>> = secret.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    let latin1 = latin1.filter(|_| !secret.is_ascii());
    let mut all: Vec<Vec<u8>> = latin1.iter().map(|bytes| bytes.iter().copied().map(folded).collect()).collect();
    for bytes in [Some(utf8), Some(utf16), latin1].into_iter().flatten() {
        for shift in 0..3 {
            all.push(base64_amid(&bytes, shift).into_bytes().into_iter().map(folded).collect());
        }
        for between in ["", ":", " "] {
            let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let digits = pairs.join(between);
            all.push(digits.to_ascii_uppercase().bytes().map(folded).collect());
            all.push(digits.bytes().map(folded).collect());
        }
    }
    let mut view = View::of_text(secret);
    for _ in 0..=SECRET_ESCAPES_MAX {
        all.extend(view.unbroken().map(|unbroken| unbroken.bytes));
        let next = view.unescaped(false);
        all.push(view.bytes);
        match next {
            Some(next) => view = next,
            None => break,
        }
    }
    all.retain(|spelling| spelling.len() >= SECRET_BYTES_MIN);
    all
}

/// Returns the base64 digits that depend on these bytes alone, if `shift` bytes (modulo 3) come before them and any
/// bytes may follow.
fn base64_amid(bytes: &[u8], shift: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = |index: usize| -> u8 {
        let byte = index / 8;
        let value = if byte < shift { 0 } else { bytes[byte - shift] };
        value >> (7 - index % 8) & 1
    };
    let (first, end) = ((shift * 8).div_ceil(6), (shift + bytes.len()) * 8 / 6);
    let digit = |at: usize| (0..6).fold(0_usize, |value, bit| value << 1 | usize::from(bits(at * 6 + bit)));
    (first..end).map(|at| char::from(DIGITS[digit(at)])).collect()
}
