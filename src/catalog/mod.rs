//! Reads files: definitions and settings in YAML, every fault named with file, line and path.
