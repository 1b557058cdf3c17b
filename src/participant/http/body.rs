//! Bodies of answers: checks that the length, the coding, the charset and the media type are what the headers
//! announce. `status.rs` says what an answer means.
//!
//! Where neither a length nor chunks announce the end of a body, the end of the connection is its end, as HTTP has it
//! (RFC 9112, section 8). So such a body may be cut, and no header tells. JSON tells by itself whether it is whole, but
//! for a number. A text does not, and counts as it came.

use std::borrow::Cow;
use std::io::{ErrorKind, Read};

use encoding_rs::{DecoderResult, Encoding, UTF_8, WINDOWS_1252};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, TRANSFER_ENCODING};
use reqwest::{Response, StatusCode, Version};

use super::names::named_twice;
use crate::participant::reply::too_deep;
use crate::participant::rule::DefaultRule as Rule;
use crate::saga::Json;

/// An answer as it arrived.
pub(in crate::participant) struct Arrived {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Whether its end was announced: by a length, by chunks, by frames. Else it ends where the connection
    /// does.
    framed: bool,
    bytes: Vec<u8>,
    end: End,
}

/// Where reading a body ended.
enum End {
    /// Where it was announced, as far as it was.
    Announced,
    /// Before that, by this cause.
    Early(String),
    /// At our own limit.
    Limit,
}

/// A body that is what was announced.
pub(in crate::participant) struct Content {
    /// It as text; none where it is neither text nor JSON.
    pub(in crate::participant) text: Option<String>,
    /// It as JSON: null if it is empty, a string if it is no JSON.
    pub(super) result: Json,
    /// Whether it is JSON.
    pub(super) is_json: bool,
}

/// What is wrong with a body.
pub(in crate::participant) struct Flaw {
    pub(in crate::participant) rule: Rule,
    /// In words.
    pub(in crate::participant) what: String,
    /// What was read of it, for people.
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
    /// Reads an answer up to a limit.
    pub(in crate::participant) async fn of(mut response: Response, bytes_max: usize) -> Self {
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

    /// How much of the body was read, in bytes.
    pub(in crate::participant) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the body, or what is wrong with it. `in_part`: the request asked for a part of it.
    pub(in crate::participant) fn content(&self, bytes_max: usize, in_part: bool) -> Result<Content, Flaw> {
        self.arrived_whole(bytes_max, in_part)?;
        self.announced(bytes_max)
    }

    /// Returns the body as text for those who read JSON by themselves; none where it is no text.
    pub(in crate::participant) fn text(&self, bytes_max: usize) -> Result<Option<String>, Flaw> {
        self.arrived_whole(bytes_max, false)?;
        Media::of(&self.headers)?.decoded(&self.unpacked(bytes_max)?, self.framed)
    }

    fn arrived_whole(&self, bytes_max: usize, in_part: bool) -> Result<(), Flaw> {
        let flaw = match &self.end {
            End::Announced if self.status == StatusCode::PARTIAL_CONTENT && !in_part => {
                Flaw::incomplete("the answer is a part, which was not asked for")
            }
            End::Announced => return Ok(()),
            End::Early(cause) => Flaw::incomplete(format!("the answer did not arrive whole: {cause}")),
            End::Limit => too_large(bytes_max),
        };
        Err(Flaw { text: String::from_utf8_lossy(&self.bytes).into_owned(), ..flaw })
    }

    fn announced(&self, bytes_max: usize) -> Result<Content, Flaw> {
        let bytes = self.unpacked(bytes_max)?;
        let media = Media::of(&self.headers)?;
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

    /// Takes the coding off.
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
                // The standard means zlib by `deflate`, and some servers mean what is in it.
                [first, second, ..] if first & 15 == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0 => {
                    unpacked(ZlibDecoder::new(bytes), bytes_max, |decoder| decoder.get_ref().is_empty())
                }
                _ => unpacked(DeflateDecoder::new(bytes), bytes_max, |decoder| decoder.get_ref().is_empty()),
            },
            others => Err(Flaw::invalid(format!(
                "the answer has the content coding {:?}, which is not read",
                others.join(", ")
            ))),
        }
    }

    /// Reads a text as JSON: where its type announces it, and where it happens to be. None if it is no JSON.
    fn json(&self, text: &str, media: &Media) -> Result<Option<Json>, Flaw> {
        let json = text.trim_matches([' ', '\t', '\r', '\n']);
        let announced = media.kind == Kind::Json;
        if json.is_empty() {
            // The connection may have ended before the first byte.
            return if announced && !self.framed && !bodiless(self.status) {
                Err(Flaw::incomplete("the answer is announced as JSON and is empty"))
            } else {
                Ok(None)
            };
        }
        match Json::parse(json) {
            Ok(_) if too_deep(json) => Err(Flaw::invalid("the answer nests deeper than expressions can read")),
            // Where the connection's end is the answer's end, `12` may have been `123`.
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
                    // Whatever length was announced: a gateway may announce its own for a body that reached it cut.
                    Err(Flaw::incomplete(format!("the answer ends amid its JSON: {error}")))
                } else if announced {
                    Err(Flaw::invalid(format!("the answer is announced as JSON and is none: {error}")))
                } else if begins {
                    Err(Flaw::invalid(format!("the answer begins as JSON and is none: {error}")))
                } else {
                    Ok(None)
                }
            }
        }
    }
}

/// Whether all that is wrong with a text is that its last character is not whole.
fn ends_amid_character(encoding: &'static Encoding, bytes: &[u8]) -> bool {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(0);
    let (result, read) = decoder.decode_to_string_without_replacement(bytes, &mut String::with_capacity(room), false);
    result == DecoderResult::InputEmpty && read == bytes.len()
}

/// Whether more digits could have followed.
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

/// Says what keeps a stream of events from being read: it is plain UTF-8, whatever its headers announce.
pub(in crate::participant) fn flaw_of_stream(headers: &HeaderMap) -> Option<Flaw> {
    let mut codings = codings(headers, &CONTENT_ENCODING)
        .chain(codings(headers, &TRANSFER_ENCODING).filter(|coding| coding != "chunked"));
    if let Some(coding) = codings.next() {
        return Some(Flaw::invalid(format!("the stream has the coding {coding:?}, which is not read")));
    }
    match Media::of(headers) {
        Ok(Media { charset: Some(other), .. }) if other != UTF_8 => {
            Some(Flaw::invalid(format!("the stream is announced in {}, not in UTF-8", other.name())))
        }
        Ok(_) => None,
        Err(flaw) => Some(flaw),
    }
}

/// Returns the codings that a header names, in lower case; `identity` is none.
fn codings<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> + 'a {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let names =
        values.flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()).collect::<Vec<_>>());
    names.filter(|name| !name.is_empty() && name != "identity")
}

/// Unpacks a body up to a limit, and nothing after it.
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
        Ok(_) => Err(Flaw::invalid("the answer goes on after its content coding ends")),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(Flaw::incomplete(format!("the answer's content coding ends early: {error}")))
        }
        Err(error) => Err(Flaw::invalid(format!("the answer's content coding cannot be read: {error}"))),
    }
}

/// What an answer says that it is.
struct Media {
    kind: Kind,
    charset: Option<&'static Encoding>,
}

/// The kinds that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `application/json`, `text/json`, `application/problem+json` and the like.
    Json,
    /// Another `text/...`, XML, forms.
    Text,
    /// Anything else.
    Other,
    /// It does not say.
    Unsaid,
}

impl Media {
    fn of(headers: &HeaderMap) -> Result<Self, Flaw> {
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

    /// Returns the text without its byte order mark; none if it does not say that it is a text, and is none. `framed`:
    /// its end was announced.
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
            // What a text was to HTTP before UTF-8 was. Every byte means something in it.
            (Kind::Text, None) => Ok(Some(WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned())),
            // Two bytes at the beginning of an image mark no text.
            (Kind::Other, _) if self.charset.is_none() => Ok(None),
            _ if (!framed || self.kind == Kind::Json) && ends_amid_character(encoding, bytes) => {
                Err(Flaw::incomplete(format!("the answer ends amid a character of {}", encoding.name())))
            }
            _ => Err(Flaw::invalid(format!("the answer is not written in {}", encoding.name()))),
        }
    }
}
