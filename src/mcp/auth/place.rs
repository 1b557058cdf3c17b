//! Under which names the server is called, and by which web pages. Reads the headers Host and Origin in full: a text
//! that only begins like an allowed one is another.

use std::net::IpAddr;

use actix_web::http::header::{HOST, HeaderMap, ORIGIN};

use crate::peer::is_loopback;

/// Names of a server on loopback.
pub(in crate::mcp) const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Names and origins that are allowed.
#[derive(Debug)]
pub(in crate::mcp) struct Places {
    hosts: Vec<Host>,
    origins: Vec<Origins>,
}

/// A host name or address, in lower case and without brackets, with its port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    name: String,
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Origins {
    /// Pages of this machine, on any port.
    Loopback,
    /// Pages of one origin, as browsers write it.
    One(String),
    /// Pages of this scheme and host, on any port: `https://app.example.com:*` in the settings.
    AnyPort(String),
}

impl Places {
    /// Allows names besides those of loopback, and origins. `pages_of_loopback`: also pages of this machine.
    pub(in crate::mcp) fn new(hosts: &[String], origins: &[String], pages_of_loopback: bool) -> Self {
        let loopback = LOOPBACK.map(|name| Host { name: name.to_owned(), port: None });
        let hosts = loopback.into_iter().chain(hosts.iter().filter_map(|text| Host::read(text))).collect();
        let own = origins.iter().filter_map(|text| match text.strip_suffix(":*") {
            Some(base) => origin(base).map(Origins::AnyPort),
            None => origin(text).map(Origins::One),
        });
        Self { hosts, origins: pages_of_loopback.then_some(Origins::Loopback).into_iter().chain(own).collect() }
    }

    /// Returns whether the server has a name by which other machines may call it.
    pub(in crate::mcp) fn expect_others(&self) -> bool {
        let is_own = |host: &Host| host.name == "localhost" || host.name.parse::<IpAddr>().is_ok_and(is_loopback);
        !self.hosts.iter().all(is_own)
    }

    /// Checks the headers of a request. The error says what is wrong with them.
    pub(in crate::mcp) fn check(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        for host in headers.get_all(HOST) {
            let host =
                host.to_str().ok().and_then(Host::read).ok_or("expected a host and a port in the header Host")?;
            let is_allowed =
                |allowed: &Host| allowed.name == host.name && (allowed.port.is_none() || allowed.port == host.port);
            if !self.hosts.iter().any(is_allowed) {
                return Err("this server is not called by this Host; see mcp.hosts");
            }
        }
        for page in headers.get_all(ORIGIN) {
            let page = page.to_str().ok().and_then(origin).ok_or("expected the origin of a web page in Origin")?;
            let is_allowed = |allowed: &Origins| match allowed {
                Origins::Loopback => is_of_loopback(&page),
                Origins::One(allowed) => *allowed == page,
                Origins::AnyPort(base) => {
                    page.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
                }
            };
            if !self.origins.iter().any(is_allowed) {
                return Err("web pages of this Origin may not call; see mcp.origins");
            }
        }
        Ok(())
    }
}

impl Host {
    fn read(text: &str) -> Option<Self> {
        let (name, rest) = match text.strip_prefix('[') {
            Some(text) => {
                let (name, rest) = text.split_once(']')?;
                name.parse::<std::net::Ipv6Addr>().ok()?;
                (name, rest)
            }
            // An address of IPv6 without brackets has no port.
            None if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, ""),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match rest.strip_prefix(':') {
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
            None if rest.is_empty() => None,
            None => return None,
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        let fits = !name.is_empty() && name.chars().all(fits);
        fits.then(|| Self { name: name.to_ascii_lowercase(), port })
    }
}

/// Returns an origin in the form of browsers: scheme, host, and the port unless it is the scheme's own. None if the
/// text is not the origin of a web page.
fn origin(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let origin = url.origin().ascii_serialization();
    // Anything besides the origin, such as a user or a path, is not written by a browser.
    let port = url.port_or_known_default()?;
    let plain = text.trim_end_matches('/').to_ascii_lowercase();
    (plain == origin || plain == format!("{origin}:{port}")).then_some(origin)
}

fn is_of_loopback(origin: &str) -> bool {
    let host = origin.split_once("://").and_then(|(_, host)| Host::read(host));
    host.is_some_and(|host| LOOPBACK.contains(&host.name.as_str()))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn check(places: &Places, name: HeaderName, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        places.check(&headers).is_ok()
    }

    #[test]
    fn an_origin_is_read_in_full() {
        let own = ["https://app.example.com", "http://[2001:db8::1]:8080", "http://dev.example:*"].map(str::to_owned);
        let places = Places::new(&[], &own, true);
        for good in [
            "http://localhost",
            "http://localhost:6274",
            "https://localhost:1",
            "http://127.0.0.1:80",
            "http://[::1]:6274",
            "https://app.example.com",
            "https://app.example.com:443",
            "HTTPS://APP.example.com",
            "http://[2001:db8::1]:8080",
            "http://dev.example",
            "http://dev.example:3000",
        ] {
            assert!(check(&places, ORIGIN, good), "{good}");
        }
        for bad in [
            "null",
            "",
            "localhost",
            "http://localhost:80.evil.example",
            "http://localhost.evil.example",
            "http://localhost:80@evil.example",
            "http://localhost@evil.example",
            "http://evil.example#http://localhost",
            "http://evil.example/localhost",
            "http://localhost\\@evil.example",
            "http://localhost:99999",
            "http://127.0.0.1.evil.example",
            "http://[::1].evil.example",
            "http://[::1]evil.example",
            "http://[::1%25evil]",
            "ftp://localhost",
            "file://",
            "https://app.example.com:444",
            "http://app.example.com",
            "https://app.example.com.evil.example",
            "http://[2001:db8::1]",
            "http://[2001:db8::2]:8080",
            "http://dev.example.evil.example",
            "http://dev.example:80.evil.example",
            "https://dev.example:3000",
            "http://localhost.",
            "http://localhost.:6274",
            "http://0.0.0.0",
            "http://[::]",
            "http://[::ffff:127.0.0.1]",
            "http://127.0.0.2",
            "http://LOCALHOST.evil.example",
            "http://xn--localhost-x",
            "http://localhost%2eevil.example",
            "http://localhost%00.evil.example",
            "http://localhost:80, http://evil.example",
            "http://localhost http://evil.example",
            "http://evil.example, http://localhost",
            "ws://localhost",
            "chrome-extension://localhost",
            "blob:http://localhost",
            "http:localhost",
            "http:///localhost",
            "//localhost",
        ] {
            assert!(!check(&places, ORIGIN, bad), "{bad}");
        }
        let closed = Places::new(&[], &[], false);
        assert!(!check(&closed, ORIGIN, "http://localhost") && closed.check(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn a_host_is_read_in_full() {
        let places = Places::new(&["agents.example.com".to_owned(), "other.example:8443".to_owned()], &[], false);
        let good =
            ["localhost", "LOCALHOST:7171", "127.0.0.1:7171", "[::1]:7171", "[::1]", "::1", "other.example:8443"];
        for good in good.into_iter().chain(["agents.example.com", "agents.example.com:443"]) {
            assert!(check(&places, HOST, good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost:80.evil.example",
            "localhost:",
            "localhost:+80",
            "localhost:99999",
            "localhost.evil.example",
            "user@localhost",
            "[::1].evil.example",
            "[::1]evil.example:80",
            "[localhost]",
            "other.example",
            "other.example:80",
            // Other spellings of this machine, which no client writes that was given one of its names.
            "localhost.",
            "localhost.:7171",
            "127.0.0.1.",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.0.0.2",
            "0.0.0.0:7171",
            "[::]:7171",
            "[::ffff:127.0.0.1]:7171",
            "[0:0:0:0:0:0:0:1]",
            "[::1%25lo]",
            "localhost,evil.example",
            "localhost evil.example",
            "localhost\tevil",
            "http://localhost",
            "localhost/",
            "localhost#evil",
            "agents.example.com.",
        ] {
            assert!(!check(&places, HOST, bad), "{bad}");
        }
        let expects = |host: &str| Places::new(&[host.to_owned()], &[], false).expect_others();
        assert!(
            ["agents.example.com", "192.0.2.1:80", "[2001:db8::1]", "localhost.example", "0.0.0.0", "[::]:80"]
                .iter()
                .all(|host| expects(host))
        );
        let own = ["localhost:80", "LOCALHOST", "127.0.0.1", "127.0.0.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80"];
        assert!(!own.iter().any(|host| expects(host)));
        // Two of them are two questions.
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("localhost"));
        headers.append(HOST, HeaderValue::from_static("evil.example"));
        assert!(places.check(&headers).is_err());
    }
}
