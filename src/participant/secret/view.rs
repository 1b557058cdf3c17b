//! Views of a text: some of its bytes, decoded, and where each of them stands in the text.

use std::ops::Range;

use super::escape;

/// Bytes of a text as they are compared, after some decoding.
pub(super) struct View {
    pub(super) bytes: Vec<u8>,
    pub(super) map: Map,
}

/// Where the bytes of a view stand in what it was made of. In order.
#[derive(Default)]
pub(super) struct Map {
    parts: Vec<Part>,
    /// Number of bytes in the view.
    length: usize,
}

/// Bytes of a view from `at` to the next part. They stand for `from..to`: one for one if there are as many, else as a
/// whole.
struct Part {
    at: usize,
    from: usize,
    to: usize,
}

/// A byte that no text has. It parts strings that do not belong together.
const BETWEEN: u8 = 0xff;

/// Makes bytes equal that some encoders exchange: forms write `+` for a space, and base64 has two alphabets.
pub(super) fn folded(byte: u8) -> u8 {
    match byte {
        b' ' | b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}

impl View {
    /// Returns a text as it is.
    pub(super) fn of_text(text: &str) -> Self {
        Self::of_pieces(text, std::iter::once(0..text.len()), true)
    }

    /// Returns some pieces of a text, apart or joined.
    pub(super) fn of_pieces(text: &str, pieces: impl IntoIterator<Item = Range<usize>>, apart: bool) -> Self {
        let mut view = Self { bytes: Vec::with_capacity(text.len()), map: Map::default() };
        for piece in pieces {
            if apart && !view.bytes.is_empty() {
                view.push([BETWEEN], piece.start..piece.start);
            }
            view.push(text.as_bytes()[piece.clone()].iter().copied(), piece);
        }
        view
    }

    fn push(&mut self, bytes: impl IntoIterator<Item = u8>, of: Range<usize>) {
        let at = self.bytes.len();
        self.bytes.extend(bytes.into_iter().map(folded));
        if self.bytes.len() > at {
            self.map.parts.push(Part { at, from: of.start, to: of.end });
            self.map.length = self.bytes.len();
        }
    }

    /// Adds bytes of another view, unchanged.
    fn keep(&mut self, of: &Self, range: Range<usize>) {
        self.push(of.bytes[range.clone()].iter().copied(), range);
    }

    /// Returns this view with its escapes read once; none if it has none. `cut_off`: leaves out the beginning of an
    /// escape at its end.
    pub(super) fn unescaped(&self, cut_off: bool) -> Option<Self> {
        let bytes = &self.bytes;
        let mut view = Self { bytes: Vec::new(), map: Map::default() };
        let (mut kept, mut at) = (0, 0);
        while let Some(ahead) = bytes[at..].iter().position(|byte| escape::may_begin(*byte)) {
            at += ahead;
            if let Some(unit) = escape::read(&bytes[at..]) {
                view.keep(self, kept..at);
                view.push(unit.bytes().iter().copied(), at..at + unit.length);
                at += unit.length;
                kept = at;
            } else if cut_off && escape::is_begun(&bytes[at..]) {
                view.keep(self, kept..at);
                return Some(view);
            } else {
                at += 1;
            }
        }
        if kept == 0 {
            return None;
        }
        view.keep(self, kept..bytes.len());
        Some(view)
    }

    /// Returns this view without its line breaks; none if it has none.
    pub(super) fn unbroken(&self) -> Option<Self> {
        let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
        self.bytes.iter().position(is_break)?;
        let mut view = Self { bytes: Vec::with_capacity(self.bytes.len()), map: Map::default() };
        let mut at = 0;
        for line in self.bytes.split(is_break) {
            view.keep(self, at..at + line.len());
            at += line.len() + 1;
        }
        Some(view)
    }
}

impl Map {
    /// Returns what a range of the view stands for. What touches is one range.
    fn origins(&self, range: &Range<usize>, into: &mut Vec<Range<usize>>) {
        let parts = &self.parts;
        let first = parts.partition_point(|part| part.at <= range.start).saturating_sub(1);
        for (index, part) in parts.iter().enumerate().skip(first).take_while(|(_, part)| part.at < range.end) {
            let end = parts.get(index + 1).map_or(self.length, |next| next.at);
            let origin = if end - part.at == part.to - part.from {
                let start = part.from + (range.start.max(part.at) - part.at);
                start..part.from + (range.end.min(end) - part.at)
            } else {
                part.from..part.to
            };
            match into.last_mut() {
                _ if origin.is_empty() => {}
                Some(last) if last.end == origin.start => last.end = origin.end,
                Some(_) | None => into.push(origin),
            }
        }
    }
}

/// Follows a range of the last view down through all maps; adds the ranges of the text.
pub(super) fn follow(maps: &[&Map], range: Range<usize>, into: &mut Vec<Range<usize>>) {
    let mut ranges = vec![range];
    for map in maps.iter().rev() {
        let mut below = Vec::new();
        ranges.iter().for_each(|range| map.origins(range, &mut below));
        ranges = below;
    }
    into.extend(ranges);
}
