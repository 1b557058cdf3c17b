//! Where our dependencies come from, under which licences, and which we have twice: the lists of `deny.toml`
//! against what cargo resolves. What needs the network is `.ci/dependencies`: known vulnerabilities, and versions that
//! were withdrawn.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const LISTS: &str = include_str!("../../deny.toml");

/// The texts of a list in `deny.toml`.
fn list(name: &str) -> BTreeSet<&'static str> {
    let start = LISTS.find(&format!("\n{name} = [")).unwrap_or_else(|| panic!("deny.toml has no {name}"));
    let body = &LISTS[start..];
    let body = &body[..body.find("]\n").expect("the end of the list")];
    let lines = body.lines().map(|line| line.split('#').next().unwrap_or(line));
    lines.flat_map(|line| line.split('"').skip(1).step_by(2)).collect()
}

/// Everything that cargo resolves, for any platform.
pub(crate) fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked", "--offline", "--all-features"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether a licence expression can be met by what is allowed; `/` is the old word for `OR`.
fn is_met(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let text = expression.replace('/', " OR ").replace(['(', ')'], " ");
    // Without nesting, which none of our dependencies has: an `AND` binds the alternatives on its sides.
    if expression.contains('(') {
        return text.split(" AND ").all(|side| side.split(" OR ").any(|one| allowed.contains(one.trim())));
    }
    text.split(" OR ").any(|side| side.split(" AND ").all(|one| allowed.contains(one.trim())))
}

#[test]
fn every_dependency_has_a_licence_that_we_take_and_comes_from_the_registry() {
    let (allowed, sources) = (list("allow"), list("allow-registry"));
    let mut faults = Vec::new();
    for package in packages() {
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        let Some(source) = package["source"].as_str() else {
            assert_eq!(name, "amends", "a dependency that lies beside us");
            continue;
        };
        if !sources.iter().any(|known| source == format!("registry+{known}")) {
            faults.push(format!("{name} {version} comes from {source}"));
        }
        let licence = package["license"].as_str().unwrap_or("no licence at all");
        if !is_met(licence, &allowed) {
            faults.push(format!("{name} {version} has {licence}"));
        }
    }
    assert!(faults.is_empty(), "not what deny.toml allows:\n{}", faults.join("\n"));
}

#[test]
fn what_we_have_twice_is_listed_and_nothing_else_is() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let text = |field: &str| package[field].as_str().unwrap().to_owned();
        versions.entry(text("name")).or_default().insert(text("version"));
    }
    let twice: BTreeSet<&str> =
        versions.iter().filter(|(_, found)| found.len() > 1).map(|(name, _)| name.as_str()).collect();
    let listed = list("skip");
    let unlisted: Vec<_> = twice.difference(&listed).map(|name| (name, &versions[*name])).collect();
    assert!(unlisted.is_empty(), "two versions at once; say so in deny.toml or bring them together: {unlisted:?}");
    let gone: Vec<_> = listed.difference(&twice).collect();
    assert!(gone.is_empty(), "only one version is left; take them out of deny.toml: {gone:?}");
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from(["MIT", "ISC"]);
    for good in ["MIT", "GPL-3.0 OR MIT", "Unlicense/MIT", "MIT AND ISC", "(GPL-3.0 OR MIT) AND ISC"] {
        assert!(is_met(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR MIT) AND BSD-3-Clause", "no licence at all"] {
        assert!(!is_met(bad, &allowed), "{bad}");
    }
}
