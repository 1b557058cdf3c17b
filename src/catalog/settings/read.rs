//! Reads a document that satisfies the schema into [`Settings`]: puts in values from the environment, parses units,
//! checks bounds on the result, and refuses secrets in plain text.
//!
//! No message shows a value from the environment. A message may quote the file itself.

mod mcp;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    DatabaseSettings, HttpSettings, JournalSettings, LogFormat, LogSettings, MetricsSettings, NodeSettings, Settings,
    TracesSettings,
};
use crate::catalog::definition::duration_ms;
use crate::catalog::environment::{Environment, Resolved, has_reference};
use crate::catalog::fault::quoted;
use crate::catalog::schema;
use crate::catalog::yaml::{Node, Path as FieldPath, PathFault, Segment};
use crate::config::actor::{Idle, Wake};
use crate::config::catalog::CHAIN_KEY_BYTES_MIN;
use crate::config::participant::LIMIT_BYTES_MAX;
use crate::participant::{Answers, Limits, ParticipantConfig, Secret, Transport};
use crate::saga::definition::{Errors, Millis};
use crate::store::PostgresConfig;

/// Reads a document. Returns the valid settings together with the faults, because checks across files need the
/// settings.
pub(super) fn settings(node: &Node, folder: &Path, environment: &Environment) -> (Settings, Vec<PathFault>) {
    let value = node.to_json();
    if value.is_null() {
        // The file holds only comments: all fields have their defaults.
        return (Settings::default(), Vec::new());
    }
    let shape = schema::SETTINGS.faults(&value);
    let value = schema::without(value, &shape);
    let mut reading = Reading { folder, environment, faults: shape };
    let settings = reading.settings(&value);
    (settings, reading.faults)
}

struct Reading<'a> {
    folder: &'a Path,
    environment: &'a Environment,
    faults: Vec<PathFault>,
}

/// One field: its path, and its value if it is set.
struct Field<'a> {
    value: Option<&'a Value>,
    path: FieldPath,
}

impl<'a> Field<'a> {
    fn root(value: &'a Value) -> Self {
        Self { value: Some(value), path: FieldPath::new() }
    }

    fn at(&self, key: &str) -> Self {
        let path = self.path.iter().cloned().chain([key.into()]).collect();
        Self { value: self.value.and_then(|value| value.get(key)), path }
    }

    fn items(&self) -> impl Iterator<Item = Field<'a>> {
        let items = self.value.and_then(Value::as_array).into_iter().flatten().enumerate();
        items.map(|(index, value)| {
            let path = self.path.iter().cloned().chain([Segment::Index(index)]).collect();
            Field { value: Some(value), path }
        })
    }

    fn entries(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        let entries = self.value.and_then(Value::as_object).into_iter().flatten();
        entries.map(|(key, _)| (key.as_str(), self.at(key)))
    }

    fn text(&self) -> Option<&'a str> {
        self.value.and_then(Value::as_str)
    }
}

impl Reading<'_> {
    fn settings(&mut self, value: &Value) -> Settings {
        let root = Field::root(value);
        let definitions = root.at("definitions").items().collect::<Vec<_>>();
        let http = self.http(&root.at("http"));
        Settings {
            participants: (root.at("participants").entries().collect::<Vec<_>>().into_iter())
                .filter_map(|(name, field)| self.participant(name, &field))
                .collect(),
            definitions: definitions.iter().filter_map(|field| self.file_path(field)).collect(),
            database: self.database(&root.at("database")),
            node: self.node(&root.at("node")),
            mcp: self.mcp(&root.at("mcp"), http.address),
            http,
            metrics: self.metrics(&root.at("metrics")),
            log: self.log(&root.at("log")),
            traces: self.traces(&root.at("traces")),
            journal: self.journal(&root.at("journal")),
        }
    }

    fn database(&mut self, field: &Field<'_>) -> DatabaseSettings {
        let default = DatabaseSettings::default();
        let url = field.at("url");
        if url.text().is_some_and(holds_password) {
            self.plain_secret(&url);
        }
        DatabaseSettings {
            url: self.database_url(&url),
            pool: self.number(&field.at("pool"), 1..=1_000).unwrap_or(default.pool),
            data_dir: self.file_path(&field.at("data_dir")),
        }
    }

    /// Reads the database URL with the parser of the store. Its errors never repeat a password. Values from the
    /// environment are cut out of them too.
    fn database_url(&mut self, field: &Field<'_>) -> Option<Secret> {
        let resolved = self.resolved(field)?;
        if let Err(error) = PostgresConfig::parse(&resolved.text) {
            let mut why = error.to_string();
            for part in &resolved.parts {
                why = why.replace(part.as_str(), "…");
            }
            let message = format!("expected a URL such as `postgres://user@host:5432/database`: {why}");
            self.faults.push(PathFault::value(&field.path, message));
        }
        Some(resolved.into_secret())
    }

    fn node(&mut self, field: &Field<'_>) -> NodeSettings {
        let default = NodeSettings::default();
        NodeSettings {
            name: self.name(&field.at("name")),
            lanes: self.number(&field.at("lanes"), 1..=64).unwrap_or(default.lanes),
            actors_max: self.number(&field.at("actors"), 1..=1_000_000).unwrap_or(default.actors_max),
            lease_ms: self.duration(&field.at("lease"), "2s to 10m", 2_000..=600_000).unwrap_or(default.lease_ms),
            wake: match field.at("wake").text() {
                Some("listen") => Wake::Listen,
                Some(_) | None => Wake::Poll,
            },
            idle: match field.at("idle").text() {
                Some("sleep") => Idle::Sleep,
                Some(_) | None => Idle::Poll,
            },
            idle_after_ms: (self.duration(&field.at("idle_after"), "1s to 1h", 1_000..=3_600_000))
                .unwrap_or(default.idle_after_ms),
            idle_ms_max: (self.duration(&field.at("idle_max"), "10s to 1d", 10_000..=86_400_000))
                .unwrap_or(default.idle_ms_max),
            grace_period_ms: (self.duration(&field.at("grace_period"), "0s to 1h", 0..=3_600_000))
                .unwrap_or(default.grace_period_ms),
        }
    }

    fn name(&mut self, field: &Field<'_>) -> Option<String> {
        const NAME_CHARS_MAX: usize = 128;
        let fits = |text: &str| {
            !text.trim().is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.chars().any(char::is_control)
        };
        self.checked(field, "a name of 1 to 128 characters", fits).map(|name| name.expose().to_owned())
    }

    fn http(&mut self, field: &Field<'_>) -> HttpSettings {
        let enabled = field.at("enabled").value.and_then(Value::as_bool).unwrap_or(true);
        let address = self.address(&field.at("address")).or(HttpSettings::default().address);
        HttpSettings { address: address.filter(|_| enabled) }
    }

    fn metrics(&mut self, field: &Field<'_>) -> MetricsSettings {
        let address = self.address(&field.at("address"));
        MetricsSettings { address, names: field.at("names").value.and_then(Value::as_bool) }
    }

    fn address(&mut self, field: &Field<'_>) -> Option<SocketAddr> {
        let text = self.checked(field, "`IP:PORT`, such as `0.0.0.0:7171`", |text| text.parse::<SocketAddr>().is_ok());
        text?.expose().parse().ok()
    }

    fn log(&mut self, field: &Field<'_>) -> LogSettings {
        let is_filter = |text: &str| text.parse::<tracing_subscriber::filter::Targets>().is_ok();
        let level = self.checked(&field.at("level"), "a level such as `info`, or directives", is_filter);
        let format = match field.at("format").text() {
            Some("json") => LogFormat::Json,
            Some(_) | None => LogFormat::Text,
        };
        LogSettings { level: level.map_or(LogSettings::default().level, |text| text.expose().to_owned()), format }
    }

    fn traces(&mut self, field: &Field<'_>) -> TracesSettings {
        let at = field.at("otlp");
        if at.text().is_some_and(holds_password) {
            self.plain_secret(&at);
        }
        let otlp = self.checked(&at, "a URL such as `http://localhost:4318/v1/traces`", is_http_url);
        TracesSettings { otlp }
    }

    fn journal(&mut self, field: &Field<'_>) -> JournalSettings {
        let former = field.at("former_chain_keys").items().collect::<Vec<_>>();
        JournalSettings {
            chain: field.at("chain").value.and_then(Value::as_bool).unwrap_or(false),
            chain_key: self.chain_key(&field.at("chain_key")),
            former_chain_keys: former.iter().filter_map(|field| self.chain_key(field)).collect(),
        }
    }

    fn chain_key(&mut self, field: &Field<'_>) -> Option<Secret> {
        if !has_reference(field.text()?) {
            self.plain_secret(field);
            return None;
        }
        let expected = format!("a key of at least {CHAIN_KEY_BYTES_MIN} bytes");
        self.checked(field, &expected, |text| text.len() >= CHAIN_KEY_BYTES_MIN)
    }

    fn participant(&mut self, name: &str, field: &Field<'_>) -> Option<ParticipantConfig> {
        let limits = self.limits(field);
        if field.at("busy").value.is_some() && field.at("protocol").text() != Some("http") {
            let message = "only an HTTP service answers with statuses; set `protocol: http`, or remove `busy`";
            self.faults.push(PathFault::value(&field.at("busy").path, message));
        }
        let transport = if field.at("command").value.is_some() {
            let fits = |text: &str| !text.trim().is_empty() && !text.contains('\0');
            let command = self.checked(&field.at("command"), "a program", fits);
            let args = field.at("args").items().collect::<Vec<_>>();
            let args = args.iter().filter_map(|field| self.argument(field)).collect();
            let env = self.by_name(&field.at("env"), is_secret_variable, "no NUL", |text| !text.contains('\0'));
            let cwd = self.child_folder(&field.at("cwd"));
            let user = self.checked(&field.at("user"), "the name of a user", fits).map(|user| user.expose().to_owned());
            Transport::Stdio { command: command?, args, env, cwd, user }
        } else {
            let at = field.at("url");
            if at.text().is_some_and(holds_password) {
                self.plain_secret(&at);
            }
            let url = self.checked(&at, "a URL such as `https://crm.example.com/mcp`", is_http_url);
            let fits = |text: &str| !text.chars().any(|character| character.is_control() && character != '\t');
            let headers = self.by_name(&field.at("headers"), is_secret_header, "a header without line ends", fits);
            match field.at("protocol").text() {
                Some("http") => Transport::Http { url: url?, headers },
                Some(_) | None => Transport::McpHttp { url: url?, headers },
            }
        };
        Some(ParticipantConfig { name: name.to_owned(), transport, limits, answers: answers(field) })
    }

    fn limits(&mut self, field: &Field<'_>) -> Limits {
        let default = Limits::default();
        Limits {
            arguments_bytes_max: self.size(&field.at("arguments_max")).unwrap_or(default.arguments_bytes_max),
            answer_bytes_max: self.size(&field.at("answer_max")).unwrap_or(default.answer_bytes_max),
            concurrency_max: self.number(&field.at("concurrency"), 1..=100_000).unwrap_or(default.concurrency_max),
        }
    }

    fn argument(&mut self, field: &Field<'_>) -> Option<Secret> {
        if field.text().is_some_and(holds_password) {
            self.plain_secret(field);
        }
        self.checked(field, "an argument without NUL", |text| !text.contains('\0'))
    }

    /// Parses a size. The schema has checked its form, so only its value can be wrong.
    fn size(&mut self, field: &Field<'_>) -> Option<usize> {
        let text = field.text()?;
        let size = bytes(text).filter(|bytes| (1..=LIMIT_BYTES_MAX).contains(bytes));
        if size.is_none() {
            let most = LIMIT_BYTES_MAX >> 20;
            let message = format!("expected a size of at most {most}MiB, found {}", quoted(text));
            self.faults.push(PathFault::value(&field.path, message));
        }
        size
    }

    /// Reads the values of `env` or `headers`.
    fn by_name(
        &mut self,
        field: &Field<'_>,
        is_secret: fn(&str) -> bool,
        expected: &str,
        fits: impl Fn(&str) -> bool,
    ) -> BTreeMap<String, Secret> {
        let mut out = BTreeMap::new();
        for (name, value) in field.entries() {
            let text = value.text().unwrap_or_default();
            if (is_secret(name) && !text.is_empty() && !has_reference(text)) || holds_password(text) {
                self.plain_secret(&value);
            }
            if let Some(secret) = self.checked(&value, expected, &fits) {
                out.insert(name.to_owned(), secret);
            }
        }
        out
    }

    /// Puts the environment into a text and checks the result with `fits`. No message shows a result that holds a
    /// value from the environment.
    fn checked(&mut self, field: &Field<'_>, expected: &str, fits: impl Fn(&str) -> bool) -> Option<Secret> {
        let resolved = self.resolved(field)?;
        if fits(&resolved.text) {
            return Some(resolved.into_secret());
        }
        let message = if !resolved.parts.is_empty() {
            format!("expected {expected}, found another value; check the environment variables")
        } else if may_be_shown(&field.path, &resolved.text) {
            format!("expected {expected}, found {}", quoted(&resolved.text))
        } else {
            format!("expected {expected}, found something else")
        };
        self.faults.push(PathFault::value(&field.path, message));
        None
    }

    fn resolved(&mut self, field: &Field<'_>) -> Option<Resolved> {
        match self.environment.resolve(field.text()?) {
            Ok(resolved) => Some(resolved),
            Err(messages) => {
                self.faults.extend(messages.into_iter().map(|message| PathFault::value(&field.path, message)));
                None
            }
        }
    }

    fn number(&mut self, field: &Field<'_>, bounds: RangeInclusive<usize>) -> Option<usize> {
        // The schema has checked the bounds of a number that is written in the file.
        if let Some(number) = field.value.and_then(Value::as_u64) {
            return usize::try_from(number).ok();
        }
        let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let read = |text: &str| text.trim().parse::<usize>().ok().filter(|number| bounds.contains(number));
        let text = self.checked(field, &expected, |text| read(text).is_some())?;
        read(text.expose())
    }

    fn duration(&mut self, field: &Field<'_>, range: &str, bounds: RangeInclusive<Millis>) -> Option<Millis> {
        let expected = format!("a duration from {}", range.replace(" to ", " up to "));
        let read = |text: &str| duration_ms(text).filter(|ms| bounds.contains(ms));
        let text = self.checked(field, &expected, |text| read(text).is_some())?;
        read(text.expose())
    }

    /// Reads a path. A relative path starts at the folder of the settings file.
    fn file_path(&mut self, field: &Field<'_>) -> Option<PathBuf> {
        let fits = |text: &str| !text.is_empty() && !text.contains('\0');
        self.checked(field, "a path", fits).map(|text| self.folder.join(text.expose()))
    }

    /// Reads the working folder of a child process as a path. Values from the environment in it stay secret.
    fn child_folder(&mut self, field: &Field<'_>) -> Option<Secret> {
        let fits = |text: &str| !text.is_empty() && !text.contains('\0');
        let path = self.checked(field, "a path", fits)?;
        match self.folder.join(path.expose()).into_os_string().into_string() {
            Ok(text) => Some(path.with_text(text)),
            Err(_) => {
                let message = "expected a Unicode name of the settings folder, found another; write an absolute path";
                self.faults.push(PathFault::value(&field.path, message));
                None
            }
        }
    }

    fn plain_secret(&mut self, field: &Field<'_>) {
        let message = "a secret in plain text; write `${env.NAME}` and set the variable in the environment";
        self.faults.push(PathFault::value(&field.path, message));
    }
}

/// Returns whether a text holds a password that is written in the file: `scheme://user:password@`, or a word
/// `password=…` in a text without `://`.
fn holds_password(raw: &str) -> bool {
    let Some((_, rest)) = raw.split_once("://") else {
        let mut words = raw.split_whitespace();
        return words.any(|word| word.strip_prefix("password=").is_some_and(|value| !has_reference(value)));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user).unwrap_or_default();
    let password = user.split_once(':').map(|(_, password)| password).unwrap_or_default();
    !password.is_empty() && !has_reference(password)
}

/// Returns whether a header carries credentials: its name ends in `Authorization` or `Cookie`, or its last words name
/// a secret, as in `X-Api-Key`.
fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    ["AUTHORIZATION", "COOKIE"].iter().any(|word| name.ends_with(word)) || is_secret_variable(&name)
}

/// Returns whether a variable carries a secret, by the last words of its name. `MAX_TOKENS` and `TOKEN_URL` do not.
fn is_secret_variable(name: &str) -> bool {
    const WORDS: [&str; 8] =
        ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY"];
    let name = name.to_ascii_uppercase();
    WORDS.iter().any(|word| name.strip_suffix(word).is_some_and(|rest| rest.is_empty() || rest.ends_with('_')))
}

/// Returns whether a message may show a text of the file. It hides a text with an `@` and a text in `env`, `headers`
/// or `args`: secrets are often put there, even by mistake.
fn may_be_shown(path: &[Segment], text: &str) -> bool {
    let secretive = |key: &&str| path.contains(&Segment::from(*key));
    !text.contains('@') && !["env", "headers", "args"].iter().any(secretive)
}

fn is_http_url(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Parses a size such as `64KiB` and returns bytes.
fn bytes(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

/// Reads what the settings declare about the answers of a participant. The schema has checked the words and numbers.
fn answers(field: &Field<'_>) -> Answers {
    let errors = match field.at("errors").text() {
        Some("definite") => Some(Errors::Definite),
        Some("unknown") => Some(Errors::Unknown),
        Some(_) | None => None,
    };
    let busy = field.at("busy").items().collect::<Vec<_>>();
    let status = |field: &Field<'_>| field.value.and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
    Answers { errors, busy: busy.iter().filter_map(status).collect() }
}
