//! Settings of participants, and the checks of their limits. The catalog reads the settings file and its secrets.

use std::collections::BTreeMap;

use super::secret::Secret;
use crate::config::participant::{ANSWER_BYTES_MAX, ARGUMENTS_BYTES_MAX, CONCURRENCY_MAX, LIMIT_BYTES_MAX};
use crate::saga::definition::Errors;

/// Secrets by the name of a header or an environment variable.
pub(super) type Secrets = BTreeMap<String, Secret>;

/// Settings of one participant.
#[derive(Clone, Debug)]
pub struct ParticipantConfig {
    /// Name by which definitions call it.
    pub name: String,
    /// How it is reached.
    pub transport: Transport,
    /// Limits on its calls.
    pub limits: Limits,
    /// What its answers mean, where they do not say it themselves.
    pub answers: Answers,
}

/// What the settings say about the meaning of a participant's answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Whether an error proves that there was no effect. Default: an error of a tool does not, an HTTP 4xx does.
    pub errors: Option<Errors>,
    /// HTTP statuses from 400 to 599 by which the participant turns a request away before it works on it, in addition
    /// to 425, 429, and 403 or 413 with `Retry-After`.
    pub busy: Vec<u16>,
}

/// How a participant is reached.
#[derive(Clone, Debug)]
pub enum Transport {
    /// An MCP server as a child process, over its standard input and output.
    Stdio {
        /// The program; found through `PATH`.
        command: Secret,
        /// Its arguments.
        args: Vec<Secret>,
        /// Its environment variables. The child also inherits `PATH`, `HOME`, `USER`, `LOGNAME`, `SHELL` and `TERM`,
        /// and nothing else.
        env: BTreeMap<String, Secret>,
        /// Its working directory. Default: that of the node.
        cwd: Option<Secret>,
        /// The user that runs it. Default: that of the node. Another one needs a node that runs as root.
        user: Option<String>,
    },
    /// An MCP server over streamable HTTP.
    McpHttp {
        /// Its endpoint.
        url: Secret,
        /// Headers of every request.
        headers: BTreeMap<String, Secret>,
    },
    /// A plain HTTP API.
    Http {
        /// The base URL; every request stays below it.
        url: Secret,
        /// Headers of every request.
        headers: BTreeMap<String, Secret>,
    },
}

/// Limits on a participant's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest arguments or body, in bytes, from 1 byte to 16 MiB. A larger call fails before it is sent. Default 1
    /// MiB.
    pub arguments_bytes_max: usize,
    /// Largest answer, in bytes, from 1 byte to 16 MiB. The outcome of a call with a larger answer is unknown.
    /// Default 1 MiB.
    pub answer_bytes_max: usize,
    /// Calls in flight at once, at least 1. Further calls wait. Default 256.
    pub concurrency_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            arguments_bytes_max: ARGUMENTS_BYTES_MAX,
            answer_bytes_max: ANSWER_BYTES_MAX,
            concurrency_max: CONCURRENCY_MAX,
        }
    }
}

impl Limits {
    /// Returns each field that is out of range, and what was expected.
    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let sizes = [("arguments_bytes_max", self.arguments_bytes_max), ("answer_bytes_max", self.answer_bytes_max)];
        let sizes = sizes.into_iter().filter(|(_, bytes)| !(1..=LIMIT_BYTES_MAX).contains(bytes));
        let none = (self.concurrency_max == 0).then(|| "expected at least 1, found 0".to_owned());
        sizes
            .map(|(field, bytes)| (field, format!("expected 1 to {LIMIT_BYTES_MAX} bytes, found {bytes}")))
            .chain(none.map(|message| ("concurrency_max", message)))
            .collect()
    }
}

impl Transport {
    /// Returns every text that may hold a secret.
    pub fn secrets(&self) -> Vec<&Secret> {
        match self {
            Self::Stdio { command, args, env, cwd, user: _ } => {
                std::iter::once(command).chain(args).chain(env.values()).chain(cwd).collect()
            }
            Self::McpHttp { url, headers } | Self::Http { url, headers } => {
                std::iter::once(url).chain(headers.values()).collect()
            }
        }
    }
}

/// Installs the process's default TLS provider, unless the program has installed one.
pub(super) fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // If another thread installs one first, the process has a default, too.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
