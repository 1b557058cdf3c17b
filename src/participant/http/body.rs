//! Reads the body of an answer and checks it against the headers: length, coding, charset and media type. `status.rs`
//! says what an answer means.
//!
//! A body without an announced length or chunks ends where the connection ends (RFC 9112, section 8). Such a body may
//! be cut, and no header shows it. JSON shows by itself whether it is whole, except for a number. A text does not
//! show it, so it counts as received.

use std::borrow::Cow;
use std::io::{ErrorKind, Read};

use encoding_rs::{DecoderResult, Encoding, UTF_8, WINDOWS_1252};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, TRANSFER_ENCODING};
use reqwest::{Response, StatusCode, Version};

use super::names::named_twice;
use crate::participant::default_rules::DefaultRule as Rule;
use crate::participant::reply::too_deep;
use crate::saga::Json;

/// An answer as received.
pub(in crate::participant) struct Arrived {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Whether the end of the body was announced: by a length, by chunks, by frames. Otherwise the body ends where
    /// the connection ends.
    framed: bool,
    bytes: Vec<u8>,
    end: End,
}

/// Where reading a body ended.
enum End {
    /// At the announced end, or at the end of the connection if none was announced.
    Announced,
    /// Before the announced end, by this cause.
    Early(String),
    /// At the size limit.
    Limit,
}

/// A body that is what its headers announce.
pub(in crate::participant) struct Content {
    /// The body as text; none if it is neither text nor JSON.
    pub(in crate::participant) text: Option<String>,
    /// The body as JSON: null if it is empty or no text, a string if it is text and not JSON.
    pub(super) result: Json,
    /// Whether the body is JSON.
    pub(super) is_json: bool,
}

/// What is wrong with a body.
pub(in crate::participant) struct Flaw {
    pub(in crate::participant) rule: Rule,
    /// The fault in words.
    pub(in crate::participant) what: String,
    /// The part of the body that was read, for people.
    pub(super) text: String,
}

impl Flaw {
    fn invalid(what: impl Into<String>) -> Self {
        Self { rule: Rule::Invalid, what: what.into(), text: String::new() }
    }

    fn incomplete(what: impl Into<String>) -> Self {
        Self { rule: Rule::Incomplete, what: what.into(), text: String::new() }
    }
}

impl Arrived {
    /// Reads an answer, with at most `bytes_max` bytes of its body.
    pub(in crate::participant) async fn read(mut response: Response, bytes_max: usize) -> Self {
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let chunked = codings(&headers, &TRANSFER_ENCODING).last().is_some_and(|last| last == "chunked");
        let framed = chunked || headers.contains_key(CONTENT_LENGTH) || response.version() >= Version::HTTP_2;
        let mut bytes = Vec::new();
        let end = loop {
            match response.chunk().await {
                Ok(None) => break End::Announced,
                Err(error) => break End::Early(super::connect::innermost(&error)),
                Ok(Some(chunk)) => {
                    let room = bytes_max - bytes.len();
                    bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break End::Limit;
                    }
                }
            }
        };
        Self { status, headers, framed, bytes, end }
    }

    /// Returns how many bytes of the body were read.
    pub(in crate::participant) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the body, or what is wrong with it. `in_part`: the request asked for a part of it.
    pub(in crate::participant) fn content(&self, bytes_max: usize, in_part: bool) -> Result<Content, Flaw> {
        self.arrived_whole(bytes_max, in_part)?;
        self.announced(bytes_max)
    }

    /// Returns the body as text, for callers that read JSON themselves; none if it is no text.
    pub(in crate::participant) fn text(&self, bytes_max: usize) -> Result<Option<String>, Flaw> {
        self.arrived_whole(bytes_max, false)?;
        Media::from_headers(&self.headers)?.decoded(&self.unpacked(bytes_max)?, self.framed)
    }

    fn arrived_whole(&self, bytes_max: usize, in_part: bool) -> Result<(), Flaw> {
        let flaw = match &self.end {
            End::Announced if self.status == StatusCode::PARTIAL_CONTENT && !in_part => {
                Flaw::incomplete("the answer is a part that the request did not ask for")
            }
            End::Announced => return Ok(()),
            End::Early(cause) => Flaw::incomplete(format!("the answer did not arrive whole: {cause}")),
            End::Limit => too_large(bytes_max),
        };
        Err(Flaw { text: String::from_utf8_lossy(&self.bytes).into_owned(), ..flaw })
    }

    fn announced(&self, bytes_max: usize) -> Result<Content, Flaw> {
        let bytes = self.unpacked(bytes_max)?;
        let media = Media::from_headers(&self.headers)?;
        let Some(text) = media.decoded(&bytes, self.framed)? else {
            return Ok(Content { text: None, result: Json::null(), is_json: false });
        };
        match self.json(&text, &media) {
            Ok(Some(result)) => Ok(Content { text: Some(text), result, is_json: true }),
            Ok(None) if text.trim().is_empty() => {
                Ok(Content { text: Some(text), result: Json::null(), is_json: false })
            }
            Ok(None) => {
                let result = Json::from(serde_json::Value::from(text.as_str()));
                Ok(Content { text: Some(text), result, is_json: false })
            }
            Err(flaw) => Err(Flaw { text, ..flaw }),
        }
    }

    /// Removes the content coding.
    fn unpacked(&self, bytes_max: usize) -> Result<Cow<'_, [u8]>, Flaw> {
        if let Some(other) = codings(&self.headers, &TRANSFER_ENCODING).find(|coding| coding != "chunked") {
            return Err(Flaw::invalid(format!("the answer has the transfer coding {other:?}")));
        }
        let codings: Vec<String> = codings(&self.headers, &CONTENT_ENCODING).collect();
        let bytes = self.bytes.as_slice();
        match codings.as_slice() {
            [] => Ok(Cow::Borrowed(bytes)),
            _ if bytes.is_empty() => Ok(Cow::Borrowed(bytes)),
            [one] if one == "gzip" || one == "x-gzip" => unpacked(MultiGzDecoder::new(bytes), bytes_max, |_| true),
            [one] if one == "deflate" => match bytes {
                // In the standard, `deflate` is a zlib stream. Some servers send the deflate data without the zlib
                // wrapper.
                [first, second, ..] if first & 15 == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0 => {
                    unpacked(ZlibDecoder::new(bytes), bytes_max, |decoder| decoder.get_ref().is_empty())
                }
                _ => unpacked(DeflateDecoder::new(bytes), bytes_max, |decoder| decoder.get_ref().is_empty()),
            },
            others => Err(Flaw::invalid(format!(
                "the answer has the content coding {:?}, which is not supported",
                others.join(", ")
            ))),
        }
    }

    /// Reads a text as JSON, whether or not its media type announces JSON. None if it is not JSON.
    fn json(&self, text: &str, media: &Media) -> Result<Option<Json>, Flaw> {
        let json = text.trim_matches([' ', '\t', '\r', '\n']);
        let announced = media.kind == Kind::Json;
        if json.is_empty() {
            // The connection may have ended before the first byte.
            return if announced && !self.framed && !bodiless(self.status) {
                Err(Flaw::incomplete("the answer is announced as JSON but is empty"))
            } else {
                Ok(None)
            };
        }
        match Json::parse(json) {
            Ok(_) if too_deep(json) => Err(Flaw::invalid("the answer nests deeper than expressions can read")),
            // Without an announced end, `12` may be the beginning of `123`.
            Ok(_) if announced && !self.framed && ends_open(json) => {
                Err(Flaw::incomplete("the answer is a number whose end was not announced"))
            }
            Ok(result) => match named_twice(json) {
                Some(name) => Err(Flaw::invalid(format!("the answer has the member {name:?} twice"))),
                None => Ok(Some(result)),
            },
            Err(error) => {
                let begins = json.starts_with(['{', '[']) && (media.kind == Kind::Unsaid || !self.framed);
                let quotes = json.starts_with('"') && !self.framed;
                if error.is_eof() && (announced || begins || quotes) {
                    // An announced length changes nothing: a gateway may announce its own length for a body that it
                    // received cut.
                    Err(Flaw::incomplete(format!("the answer ends inside its JSON: {error}")))
                } else if announced {
                    Err(Flaw::invalid(format!("the answer is announced as JSON but is not JSON: {error}")))
                } else if begins {
                    Err(Flaw::invalid(format!("the answer begins like JSON but is not JSON: {error}")))
                } else {
                    Ok(None)
                }
            }
        }
    }
}

/// Whether the only fault of a text is an incomplete last character.
fn ends_amid_character(encoding: &'static Encoding, bytes: &[u8]) -> bool {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(0);
    let (result, read) = decoder.decode_to_string_without_replacement(bytes, &mut String::with_capacity(room), false);
    result == DecoderResult::InputEmpty && read == bytes.len()
}

/// Whether JSON text is a number, so that more digits could have followed.
fn ends_open(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

fn bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

fn too_large(bytes_max: usize) -> Flaw {
    let what = format!("the answer is larger than the limit of {bytes_max} bytes (`answer_bytes_max`)");
    Flaw { rule: Rule::TooLarge, what, text: String::new() }
}

/// Returns why a stream of events cannot be read; none if it can. Such a stream is plain UTF-8, whatever its headers
/// announce.
pub(in crate::participant) fn flaw_of_stream(headers: &HeaderMap) -> Option<Flaw> {
    let mut codings = codings(headers, &CONTENT_ENCODING)
        .chain(codings(headers, &TRANSFER_ENCODING).filter(|coding| coding != "chunked"));
    if let Some(coding) = codings.next() {
        return Some(Flaw::invalid(format!("the stream has the coding {coding:?}, which is not supported")));
    }
    match Media::from_headers(headers) {
        Ok(Media { charset: Some(other), .. }) if other != UTF_8 => {
            Some(Flaw::invalid(format!("the stream is announced in {}, not in UTF-8", other.name())))
        }
        Ok(_) => None,
        Err(flaw) => Some(flaw),
    }
}

/// Returns the codings that a header names, in lower case, without `identity`.
fn codings<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> + 'a {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let names =
        values.flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()).collect::<Vec<_>>());
    names.filter(|name| !name.is_empty() && name != "identity")
}

/// Decompresses a body up to a limit. Refuses bytes after the end of the coding.
fn unpacked<Decoder: Read>(
    decoder: Decoder,
    bytes_max: usize,
    ended: impl FnOnce(&Decoder) -> bool,
) -> Result<Cow<'static, [u8]>, Flaw> {
    let mut bytes = Vec::new();
    let mut limited = decoder.take(bytes_max as u64 + 1);
    match limited.read_to_end(&mut bytes) {
        Ok(_) if bytes.len() > bytes_max => Err(too_large(bytes_max)),
        Ok(_) if ended(limited.get_ref()) => Ok(Cow::Owned(bytes)),
        Ok(_) => Err(Flaw::invalid("the answer has bytes after the end of its content coding")),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(Flaw::incomplete(format!("the answer's content coding ends early: {error}")))
        }
        Err(error) => Err(Flaw::invalid(format!("the answer's content coding cannot be read: {error}"))),
    }
}

/// The media type and charset that an answer announces.
struct Media {
    kind: Kind,
    charset: Option<&'static Encoding>,
}

/// Kinds of media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `application/json`, `text/json`, `application/problem+json` and the like.
    Json,
    /// Another `text/...`, XML, forms.
    Text,
    /// Anything else.
    Other,
    /// Not announced.
    Unsaid,
}

impl Media {
    fn from_headers(headers: &HeaderMap) -> Result<Self, Flaw> {
        let mut values = headers.get_all(CONTENT_TYPE).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let Some(said) = values.next() else { return Ok(Self { kind: Kind::Unsaid, charset: None }) };
        if values.any(|other| other != said) {
            return Err(Flaw::invalid("the answer has two media types"));
        }
        let mut parts = said.split(';');
        let name = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let kind = match name.as_str() {
            "" => Kind::Unsaid,
            "text/json" => Kind::Json,
            name if name.ends_with("/json") || name.ends_with("+json") => Kind::Json,
            name if name.starts_with("text/") || name.ends_with("/xml") || name.ends_with("+xml") => Kind::Text,
            "application/x-www-form-urlencoded" | "application/javascript" | "application/yaml" => Kind::Text,
            _ => Kind::Other,
        };
        let charset = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
        });
        let unknown = |label| Flaw::invalid(format!("the answer has the charset {label:?}, which is not known"));
        let charset = charset
            .filter(|label| !label.is_empty())
            .map(|label| Encoding::for_label(label.as_bytes()).ok_or_else(|| unknown(label)))
            .transpose()?;
        Ok(Self { kind, charset })
    }

    /// Returns the body as text, without its byte order mark. None for a body of `Kind::Other` that names no charset
    /// and cannot be decoded. `framed`: the end of the body was announced.
    fn decoded(&self, bytes: &[u8], framed: bool) -> Result<Option<String>, Flaw> {
        let (marked, bytes) = match Encoding::for_bom(bytes) {
            Some((encoding, length)) => (Some(encoding), &bytes[length..]),
            None => (None, bytes),
        };
        let encoding = marked.or(self.charset).unwrap_or(UTF_8);
        if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(bytes) {
            return Ok(Some(text.into_owned()));
        }
        match (self.kind, marked.or(self.charset)) {
            // The default charset of text in HTTP before UTF-8. Every byte can be decoded in it.
            (Kind::Text, None) => Ok(Some(WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned())),
            // The first bytes of an image can look like a byte order mark.
            (Kind::Other, _) if self.charset.is_none() => Ok(None),
            _ if (!framed || self.kind == Kind::Json) && ends_amid_character(encoding, bytes) => {
                Err(Flaw::incomplete(format!("the answer ends inside a character of {}", encoding.name())))
            }
            _ => Err(Flaw::invalid(format!("the answer is not valid {}", encoding.name()))),
        }
    }
}
