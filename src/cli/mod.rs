//! One verb per file, and the demo. Owns what a person types and sees.

pub mod demo;
