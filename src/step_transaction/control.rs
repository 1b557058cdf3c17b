//! Finds statements in SQL text that end a transaction. Knows only those lexical rules of Postgres that can hide a
//! word: comments, strings, quoted names, dollar quotes, parentheses and bodies of routines.

/// Returns whether a statement in the text ends the transaction: `COMMIT`, `END`, `ABORT`, `PREPARE TRANSACTION`, or
/// a `ROLLBACK` that is not to a savepoint.
pub(super) fn ends_transaction(sql: &str) -> bool {
    let mut statement = Statement::default();
    let mut rest = sql;
    loop {
        let (token, after) = next(rest);
        rest = after;
        match token {
            Token::Word(word) => statement.word(word),
            Token::Open => statement.parens += 1,
            Token::Close => statement.parens = statement.parens.saturating_sub(1),
            Token::Semicolon if statement.parens == 0 && statement.bodies == 0 => {
                if statement.ends_transaction() {
                    return true;
                }
                statement = Statement::default();
            }
            Token::Semicolon | Token::Other => {}
            Token::End => return statement.ends_transaction(),
        }
    }
}

/// Number of leading words that are kept of a statement: enough for `create or replace function`.
const WORDS: usize = 4;

/// The part of a statement that was read so far.
#[derive(Default)]
struct Statement {
    /// The first words, in lower case.
    words: Vec<String>,
    parens: u32,
    /// Open bodies of a routine, plus each open `case` in them. A semicolon in a body ends no statement.
    bodies: u32,
}

impl Statement {
    fn word(&mut self, word: &str) {
        if self.parens > 0 {
            return;
        }
        if self.words.len() < WORDS {
            self.words.push(word.to_ascii_lowercase());
        }
        if !self.creates_routine() {
            return;
        }
        if word.eq_ignore_ascii_case("begin") || (self.bodies > 0 && word.eq_ignore_ascii_case("case")) {
            self.bodies += 1;
        } else if word.eq_ignore_ascii_case("end") {
            self.bodies = self.bodies.saturating_sub(1);
        }
    }

    fn creates_routine(&self) -> bool {
        let is_routine = |word: &String| word == "function" || word == "procedure";
        self.words.first().is_some_and(|word| word == "create") && self.words.iter().any(is_routine)
    }

    fn ends_transaction(&self) -> bool {
        let word = |place: usize| self.words.get(place).map_or("", String::as_str);
        match word(0) {
            "commit" | "end" | "abort" => true,
            "rollback" if matches!(word(1), "work" | "transaction") => word(2) != "to",
            "rollback" => word(1) != "to",
            "prepare" => word(1) == "transaction",
            _ => false,
        }
    }
}

enum Token<'a> {
    Word(&'a str),
    Semicolon,
    Open,
    Close,
    Other,
    End,
}

/// Cuts the next token off a text. Returns the token and the rest of the text.
fn next(sql: &str) -> (Token<'_>, &str) {
    let Some(first) = sql.chars().next() else { return (Token::End, sql) };
    let after = &sql[first.len_utf8()..];
    match first {
        ';' => (Token::Semicolon, after),
        '(' => (Token::Open, after),
        ')' => (Token::Close, after),
        '\'' => (Token::Other, after_quote(after, '\'', false)),
        '"' => (Token::Other, after_quote(after, '"', false)),
        '-' if after.starts_with('-') => (Token::Other, after.split_once('\n').map_or("", |(_, rest)| rest)),
        '/' if after.starts_with('*') => (Token::Other, after_comment(&after[1..])),
        '$' => (Token::Other, after_dollars(after)),
        _ if begins_word(first) => {
            let end = sql.find(|c: char| !goes_on(c)).unwrap_or(sql.len());
            let (word, after) = sql.split_at(end);
            // `E` belongs to the string: it allows backslash escapes.
            match after.strip_prefix('\'') {
                Some(string) if word.eq_ignore_ascii_case("e") => (Token::Other, after_quote(string, '\'', true)),
                _ => (Token::Word(word), after),
            }
        }
        _ => (Token::Other, after),
    }
}

fn begins_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn goes_on(c: char) -> bool {
    begins_word(c) || c.is_ascii_digit() || c == '$'
}

/// Returns the text after a string or a quoted name. Without escapes, a doubled quote is read as two strings in a
/// row, which gives the same result. With escapes, the doubled quote is skipped.
fn after_quote(inside: &str, quote: char, escapes: bool) -> &str {
    let mut places = inside.char_indices();
    while let Some((place, c)) = places.next() {
        if escapes && c == '\\' {
            places.next();
        } else if c == quote {
            let after = &inside[place + 1..];
            if !(escapes && after.starts_with(quote)) {
                return after;
            }
            places.next();
        }
    }
    ""
}

/// Returns the text after a comment. Comments nest.
fn after_comment(mut inside: &str) -> &str {
    let mut depth = 1_u32;
    while depth > 0 {
        let Some(place) = inside.find(['*', '/']) else { return "" };
        inside = &inside[place..];
        if let Some(rest) = inside.strip_prefix("/*") {
            (depth, inside) = (depth + 1, rest);
        } else if let Some(rest) = inside.strip_prefix("*/") {
            (depth, inside) = (depth - 1, rest);
        } else {
            inside = &inside[1..];
        }
    }
    inside
}

/// Returns the text after a dollar sign. If the dollar sign opens a dollar-quoted string, returns the text after that
/// string.
fn after_dollars(after: &str) -> &str {
    let Some((tag, inside)) = after.split_once('$') else { return after };
    let is_tag = tag.chars().next().is_none_or(begins_word) && tag.chars().all(|c| goes_on(c) && c != '$');
    if !is_tag {
        return after;
    }
    let close = format!("${tag}$");
    inside.split_once(&close).map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::ends_transaction;

    #[test]
    fn finds_what_ends_a_transaction_wherever_it_stands() {
        for sql in [
            "commit",
            " CoMMit ;",
            "COMMIT AND CHAIN",
            "end",
            "END TRANSACTION",
            "abort",
            "rollback",
            "ROLLBACK WORK",
            "rollback and chain",
            "prepare transaction 'x'",
            "select 1; commit; begin",
            "/* a /* b */ c */ -- d\ncommit",
            "insert into t values ('it''s'); rollback",
            r"select E'\''; commit --'",
            "select $a$ $b$ $a$; commit",
            "select $1; commit",
            "create function f() returns int begin atomic select case when true then 1 end; end; commit",
            "create table a (b int); commit prepared 'x'",
        ] {
            assert!(ends_transaction(sql), "{sql}");
        }
    }

    #[test]
    fn leaves_everything_else_alone() {
        for sql in [
            "",
            ";;",
            "begin",
            "savepoint a; rollback to a; release a",
            "rollback work to savepoint a",
            "ROLLBACK TRANSACTION TO a",
            "prepare a as select 1",
            "select 'x; commit'",
            r"select 'x\'; select 1 as commit",
            "select \"; commit\" from t",
            "select 1 -- ; commit",
            "select $$; commit$$; select 2",
            "do $do$ begin perform 1; end $do$",
            "/* ; commit */ select case when true then 1 end",
            "create or replace procedure p() begin atomic select 1; select 2; end",
            "create rule r as on insert to t do also (select 1; select 2)",
            "insert into commit values (1)",
            "/* never closed; commit",
            "select 'never closed; commit",
            "select $1, $2",
        ] {
            assert!(!ends_transaction(sql), "{sql}");
        }
    }
}
