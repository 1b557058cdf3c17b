//! Stands in for the participants' room until it lands: the names of its API.
#![allow(missing_docs, unreachable_pub, dead_code)]
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    text: String,
    parts: Vec<String>,
}
impl Secret {
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), parts: Vec::new() }
    }
    pub fn sensitive(text: impl Into<String>, parts: Vec<String>) -> Self {
        Self { text: text.into(), parts }
    }
    pub fn expose(&self) -> &str {
        &self.text
    }
}
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
#[derive(Clone, Debug)]
pub struct ParticipantConfig {
    pub name: String,
    pub transport: Transport,
    pub limits: Limits,
}
#[derive(Clone, Debug)]
pub enum Transport {
    Stdio { command: String, args: Vec<Secret>, env: BTreeMap<String, Secret>, cwd: Option<PathBuf> },
    McpHttp { url: Secret, headers: BTreeMap<String, Secret> },
    Http { url: Secret, headers: BTreeMap<String, Secret> },
}
#[derive(Clone, Debug)]
pub struct Limits {
    pub arguments_bytes_max: usize,
    pub answer_bytes_max: usize,
    pub concurrency_max: usize,
}
impl Default for Limits {
    fn default() -> Self {
        Self { arguments_bytes_max: 1 << 20, answer_bytes_max: 1 << 20, concurrency_max: 256 }
    }
}
pub mod expr {
    pub fn unwrap(text: &str) -> &str {
        let inner = text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        inner.filter(|inner| !inner.contains("${")).map_or(text, str::trim)
    }
    pub fn check_draft(_: &crate::saga::definition::Draft) -> Vec<(String, String)> {
        Vec::new()
    }
}
