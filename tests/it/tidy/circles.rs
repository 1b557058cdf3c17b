//! Imports between files: which file names which, that no files name each other in a circle, and that the rooms of
//! actors stand on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{assert_none, is_test, read, sources};

/// Rooms below `src/actor`, the lowest first. A file names only its own room and those before it.
const ROOMS_OF_ACTORS: &[&str] = &["telemetry", "node", "commit", "residents", "dispatch", "maintenance"];

/// One fold, told in chapters: its files name each other.
const ONE_FOLD: &str = "saga";

/// Files by their path as a module, each with the modules that it names.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_files_name_each_other_in_a_circle() {
    let imports = imports();
    assert!(imports.len() > 200, "only {} files were read", imports.len());
    let circles = circles(&imports).into_iter().filter(|circle| {
        let at_home = |file: &String| file == ONE_FOLD || file.starts_with(&format!("{ONE_FOLD}::"));
        !circle.iter().all(at_home)
    });
    assert_none(circles.map(|circle| circle.join(", ")).collect(), "circles of files");
}

#[test]
fn rooms_of_actors_name_only_rooms_below_them() {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for (file, named) in imports() {
        let Some(floor) = floor(&file) else { continue };
        seen.insert(floor);
        for named in named {
            if self::floor(&named).is_some_and(|below| below > floor) {
                faults.push(format!("{file} names {named}"));
            }
        }
    }
    assert_eq!(seen.len(), ROOMS_OF_ACTORS.len(), "a room of actors has no file");
    assert_none(faults, "rooms of actors that name what is not below them");
}

#[test]
fn circles_are_found() {
    let text = "use super::b::{B, c::C};\nuse crate::x::Y as Z; // crate::nothing";
    let known = |file: &str| ["a", "b", "b::c", "x"].contains(&file);
    let named: Vec<String> = named(text, &["a".to_owned()], &known).into_iter().collect();
    assert_eq!(named, ["b", "b::c", "x"]);
    let imports = |arrows: &[(&str, &str)]| -> Imports {
        let mut imports = Imports::new();
        for (from, to) in arrows {
            imports.entry((*to).to_owned()).or_default();
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        imports
    };
    assert_eq!(circles(&imports(&[("a", "b"), ("b", "c"), ("c", "b")])), [["b", "c"]]);
    assert!(circles(&imports(&[("a", "b"), ("a", "c"), ("b", "c")])).is_empty());
}

fn floor(file: &str) -> Option<usize> {
    let room = file.strip_prefix("actor::")?.split("::").next()?;
    ROOMS_OF_ACTORS.iter().position(|known| *known == room)
}

fn imports() -> Imports {
    let files = sources("src").into_iter().filter(|file| !is_test(file));
    let files: BTreeMap<String, String> = files.map(|file| (module(&file).join("::"), code(&file))).collect();
    let known = |file: &str| files.contains_key(file);
    let named = |file: &String, text: &String| {
        let path: Vec<String> = file.split("::").map(str::to_owned).collect();
        let mut named = named(text, &path, &known);
        named.remove(file);
        named
    };
    files.iter().map(|(file, text)| (file.clone(), named(file, text))).collect()
}

/// The path of a file as a module: `src/actor/node/mod.rs` is `actor::node`.
fn module(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix("src").unwrap_or(file).with_extension("");
    let mut path: Vec<String> =
        inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    path
}

/// What a file says but for comments and for its tests.
fn code(file: &Path) -> String {
    let text = read(file);
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The files that a text names from the module `me`: by `crate::`, `super::` and `self::`, also within braces.
fn named(text: &str, me: &[String], known: &impl Fn(&str) -> bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(root) {
            let is_inside = text[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before));
            if !is_inside {
                paths(&text[at..], &mut Vec::new(), &mut |path| found.extend(file_of(path, me, known)));
            }
        }
    }
    found
}

/// Walks the tree of an import; returns where it ends.
fn paths<'a>(text: &'a str, before: &mut Vec<&'a str>, each: &mut impl FnMut(&[&'a str])) -> &'a str {
    let depth = before.len();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            while !rest.trim_start().starts_with('}') && !rest.trim_start().is_empty() {
                rest = paths(rest, before, each).trim_start();
                rest = rest.split_at(rest.find([',', '}']).unwrap_or(rest.len())).1;
                rest = rest.strip_prefix(',').unwrap_or(rest);
            }
            rest = rest.trim_start().strip_prefix('}').unwrap_or(rest);
            break;
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        before.push(word);
        rest = after;
        match rest.strip_prefix("::") {
            Some(deeper) if !word.is_empty() => rest = deeper,
            _ => {
                each(before);
                break;
            }
        }
    }
    before.truncate(depth);
    rest
}

/// The file in which a path ends.
fn file_of(path: &[&str], me: &[String], known: &impl Fn(&str) -> bool) -> Option<String> {
    let mut whole: Vec<String> = me.to_vec();
    for (index, word) in path.iter().enumerate() {
        match *word {
            "crate" if index == 0 => whole.clear(),
            "super" => {
                whole.pop();
            }
            "self" => {}
            word => whole.push(word.to_owned()),
        }
    }
    while !whole.is_empty() {
        let file = whole.join("::");
        if known(&file) {
            return Some(file);
        }
        whole.pop();
    }
    None
}

/// The circles, each in order of names.
fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let reach: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|file| (file, reached(imports, file))).collect();
    let mut circles: Vec<Vec<String>> = Vec::new();
    for (file, reached) in &reach {
        let circle: Vec<String> = reached
            .iter()
            .filter(|other| reach.get(*other).is_some_and(|back| back.contains(file)))
            .map(|other| (*other).clone())
            .collect();
        if circle.len() > 1 && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

/// Every file that one leads to.
fn reached<'a>(imports: &'a Imports, from: &'a String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in imports.get(file).into_iter().flatten() {
            if reached.insert(next) {
                open.push(next);
            }
        }
    }
    reached
}
