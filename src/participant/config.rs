//! Participants as the settings describe them. Owns the shapes and what is wrong with them, all faults at
//! once; reading a settings file and its secrets is the catalog's business.

use std::collections::BTreeMap;

use super::secret::Secret;
use crate::config::participant::{ANSWER_BYTES_MAX, ARGUMENTS_BYTES_MAX, CONCURRENCY_MAX, LIMIT_BYTES_MAX};
use crate::saga::definition::Errors;

/// Secrets by name: headers, or variables of an environment.
pub(super) type Secrets = BTreeMap<String, Secret>;

/// One participant of the settings.
#[derive(Clone, Debug)]
pub struct ParticipantConfig {
    /// Name by which definitions call it.
    pub name: String,
    /// How it is reached.
    pub transport: Transport,
    /// Limits of its calls.
    pub limits: Limits,
    /// What its answers mean, as far as they do not say so themselves.
    pub answers: Answers,
}

/// What the settings vouch for about a participant's answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Whether its errors prove that there was no effect. Default: those of tools do not, HTTP's 4xx do.
    pub errors: Option<Errors>,
    /// HTTP statuses from 400 to 599 by which it turns a request away before it works on it, besides 425, 429, and 403
    /// or 413 with `Retry-After`.
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
        /// Its environment, on top of `PATH`, `HOME`, `USER`, `LOGNAME`, `SHELL` and `TERM`; nothing else is
        /// inherited.
        env: BTreeMap<String, Secret>,
        /// Its working directory. Default: ours.
        cwd: Option<Secret>,
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
        /// The base URL; no request leaves it.
        url: Secret,
        /// Headers of every request.
        headers: BTreeMap<String, Secret>,
    },
}

/// Limits of a participant's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest arguments or body, in bytes, 1 to 16 MiB; beyond it a call fails before it is made. Default 1 MiB.
    pub arguments_bytes_max: usize,
    /// Largest answer, in bytes, 1 to 16 MiB; beyond it the outcome is unknown. Default 1 MiB.
    pub answer_bytes_max: usize,
    /// Calls in flight at once; further ones wait. Default 256.
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
    /// Returns what is wrong with them: the field, and what was expected.
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
    /// Returns every text of it that may hold a secret.
    pub fn secrets(&self) -> Vec<&Secret> {
        match self {
            Self::Stdio { command, args, env, cwd } => {
                std::iter::once(command).chain(args).chain(env.values()).chain(cwd).collect()
            }
            Self::McpHttp { url, headers } | Self::Http { url, headers } => {
                std::iter::once(url).chain(headers.values()).collect()
            }
        }
    }
}

/// Installs the process's default for TLS, unless the program has chosen one.
pub(super) fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing the race to another thread leaves a default as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
