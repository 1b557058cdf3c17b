//! Finds and reads the files of a path: a file, a folder or a pattern. Enforces the limits on file size and number of
//! files.
//!
//! Leaves the content to the other files of this room.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::fault::{Faults, LocatedFault, Position};
use super::yaml::{self, Node};
use crate::config::catalog::{FILE_BYTES_MAX, FILES_MAX};

/// The YAML documents of a text, and the faults of its syntax.
pub(super) struct Source {
    pub(super) file: String,
    pub(super) documents: Vec<Node>,
    pub(super) faults: Faults,
}

impl Source {
    /// Parses a text.
    pub(super) fn of_text(file: &str, text: &str) -> Self {
        let mut source = Self { file: file.to_owned(), documents: Vec::new(), faults: Faults::default() };
        if text.len() > FILE_BYTES_MAX {
            source.faults.push_file(file, too_large());
            return source;
        }
        let (documents, faults) = yaml::parse(text);
        source.documents = documents;
        for fault in faults {
            let (at, path, message) = (Some(fault.at), fault.path, fault.message);
            source.faults.push(LocatedFault { file: file.to_owned(), at, path, message });
        }
        source
    }

    /// Reads and parses a file.
    pub(super) fn of_file(path: &Path) -> Self {
        let file = path.display().to_string();
        let fault = match text_of(path) {
            Ok(text) => return Self::of_text(&file, &text),
            Err(fault) => LocatedFault { file: file.clone(), at: fault.0, path: String::new(), message: fault.1 },
        };
        let mut faults = Faults::default();
        faults.push(fault);
        Self { file, documents: Vec::new(), faults }
    }

    /// Returns whether the text is a definition: a document has `saga` or `steps`, or no document is a mapping. Any
    /// other text is settings.
    pub(super) fn is_definition(&self) -> bool {
        let says = |key: &str| self.documents.iter().any(|document| document.field(key).is_some());
        says("saga") || says("steps") || !self.documents.iter().any(Node::is_mapping)
    }
}

fn text_of(path: &Path) -> Result<String, (Option<Position>, String)> {
    let unreadable = |error: std::io::Error| (None, format!("cannot be read: {error}"));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err((None, "expected a file, found something else".to_owned()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err((None, too_large()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let last = good.rsplit('\n').next().unwrap_or_default();
        let count = |number: usize| u32::try_from(number + 1).unwrap_or(u32::MAX);
        let at = Position { line: count(good.matches('\n').count()), column: count(last.chars().count()) };
        (Some(at), "expected UTF-8, found a byte that is not; save the file as UTF-8".to_owned())
    })
}

fn too_large() -> String {
    format!("is larger than {} KiB; split it", FILE_BYTES_MAX >> 10)
}

/// Returns the files of a path, sorted: the file itself, the `*.yaml` and `*.yml` of a folder, or the matches of a
/// pattern.
pub(super) fn files_of(path: &Path) -> Result<Vec<PathBuf>, String> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if path.is_dir() {
        return in_folder(path);
    }
    let text = path.to_str().ok_or("expected a path of Unicode characters")?;
    if !text.contains(['*', '?', '[']) {
        return Err(match std::fs::metadata(path) {
            Ok(_) => "expected a file or a folder, found something else".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        });
    }
    let matches = glob::glob(text).map_err(|error| format!("expected a pattern: {}", error.msg))?;
    let mut files = BTreeSet::new();
    for found in matches {
        let file = found.map_err(|error| format!("cannot be read: {}", error.error()))?;
        if file.is_file() {
            files.insert(file);
        }
        if files.len() > FILES_MAX {
            return Err(too_many());
        }
    }
    if files.is_empty() { Err("the pattern matches no file".to_owned()) } else { Ok(files.into_iter().collect()) }
}

fn in_folder(path: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(path).map_err(|error| format!("cannot be read: {error}"))? {
        let file = entry.map_err(|error| format!("cannot be read: {error}"))?.path();
        let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml && file.is_file() {
            files.insert(file);
        }
        if files.len() > FILES_MAX {
            return Err(too_many());
        }
    }
    if files.is_empty() {
        return Err("the folder holds no `*.yaml` or `*.yml`".to_owned());
    }
    Ok(files.into_iter().collect())
}

fn too_many() -> String {
    format!("names more than {FILES_MAX} files; name fewer")
}
