//! Good inputs, put where cargo-fuzz begins from: a run that starts from nothing finds little more than what
//! is no YAML. Owns the names of their files.

use std::path::Path;

/// Puts the inputs of an entry beside those that earlier runs have found.
pub(crate) fn sow(entry: &str, inputs: &[Vec<u8>]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(entry);
    std::fs::create_dir_all(&folder).expect("a folder for the corpus");
    for (number, input) in inputs.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), input).expect("room for the corpus");
    }
}
