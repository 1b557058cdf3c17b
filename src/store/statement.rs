//! A statement with the name of its file. Owns the crash places before and after a statement is sent: they bear the
//! file's name, every sender passes them, and the crash tests find them in `sql/queries`.

use crate::boundary;

/// The text of a statement, and the places before and after it where a process can die.
#[derive(Clone, Copy)]
pub(super) struct Sql {
    pub(super) text: &'static str,
    places: [&'static str; 2],
}

impl Sql {
    pub(super) const fn new(text: &'static str, places: [&'static str; 2]) -> Self {
        Self { text, places }
    }

    /// Passes the place before the statement is sent.
    pub(super) fn sending(self) {
        boundary::pass_statement(self.places[0]);
    }

    /// Passes the place after the statement was answered.
    pub(super) fn answered(self) {
        boundary::pass_statement(self.places[1]);
    }
}

/// The statement in a file: `sql!("node", "beat")`.
macro_rules! sql {
    ($noun:literal, $verb:literal) => {
        $crate::store::statement::Sql::new(
            include_str!(concat!("../../sql/queries/", $noun, "/", $verb, ".sql")),
            [concat!($noun, "/", $verb, ": sending"), concat!($noun, "/", $verb, ": answered")],
        )
    };
}
