//! A statement by the name of its file. Owns that the places before and after its sending are named as it is: whoever
//! sends one passes them, and the tests find them in `sql/queries`.

use crate::boundary;

/// A text that is sent, and where a process can die before and after that.
#[derive(Clone, Copy)]
pub(super) struct Sql {
    pub(super) text: &'static str,
    places: [&'static str; 2],
}

impl Sql {
    pub(super) const fn new(text: &'static str, places: [&'static str; 2]) -> Self {
        Self { text, places }
    }

    /// It is sent next.
    pub(super) fn sending(self) {
        boundary::pass_statement(self.places[0]);
    }

    /// It was answered.
    pub(super) fn answered(self) {
        boundary::pass_statement(self.places[1]);
    }
}

/// The statement of a file: `sql!("node", "beat")`.
macro_rules! sql {
    ($noun:literal, $verb:literal) => {
        $crate::store::statement::Sql::new(
            include_str!(concat!("../../sql/queries/", $noun, "/", $verb, ".sql")),
            [concat!($noun, "/", $verb, ": sending"), concat!($noun, "/", $verb, ": answered")],
        )
    };
}
