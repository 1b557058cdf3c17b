//! Reaches out: calls participants and says what became of it. Owns Rust handlers, MCP tools, HTTP requests,
//! expressions and the classification of answers; when to call is the core's decision.
