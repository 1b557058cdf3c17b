//! Where our dependencies come from, under which licences, and which we have twice: the lists of `deny.toml`
//! against what cargo resolves; and whether CI installs packages of other registries by their hashes. What needs the
//! network is `.ci/dependencies`: known vulnerabilities, and versions that were withdrawn. Of that script, these tests
//! check what it asks, and what it says when it cannot ask.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
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

/// The lines of the scripts of CI, without comments, by script. `.ci/lock` is none of them: a person runs it to make
/// the lock files, and reads what has changed.
fn lines_of_ci() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci");
    let mut lines = Vec::new();
    for entry in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if name == "lock" || name.ends_with(".tsv") {
            continue;
        }
        let text = fs::read_to_string(&entry).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        lines.extend(code.map(|line| (name.clone(), line.to_owned())));
    }
    assert!(lines.len() > 50, "the scripts of CI are not where this test looks");
    lines
}

#[test]
fn ci_installs_packages_of_other_registries_by_their_hashes() {
    let all = lines_of_ci();
    let checks = |script: &str| all.iter().any(|(of, line)| of == script && line.contains("sha512sum --check"));
    let mut faults = Vec::new();
    for (script, line) in &all {
        let has = |words: &str| line.contains(words);
        let is_fine = if has("pip") && has("install") {
            has("--require-hashes") && has("--no-deps") && has("-r ")
        } else if ["npm install", "npm i ", "npm add", "npm exec", "npx ", "pipx", "uvx ", "yarn ", "pnpm "]
            .iter()
            .any(|unlocked| has(unlocked))
        {
            false
        } else if has("npm ci") {
            has("--ignore-scripts")
        } else if has("npm pack") {
            has("--ignore-scripts") && checks(script)
        } else if has("cargo install") {
            has("--locked")
        } else {
            !(has("curl ") || has("wget "))
        };
        if !is_fine {
            faults.push(format!("{script}: {line}"));
        }
    }
    assert!(faults.is_empty(), "installs without hashes:\n{}", faults.join("\n"));
}

#[test]
fn every_locked_package_has_its_hash() {
    let locks = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/locks");
    let (mut packages, mut faults) = (0, Vec::new());
    for place in fs::read_dir(locks).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()) {
            let text = fs::read_to_string(&file).unwrap();
            match file.file_name().unwrap().to_str().unwrap() {
                "package-lock.json" => {
                    let lock: Value = serde_json::from_str(&text).unwrap();
                    for (name, package) in lock["packages"].as_object().unwrap() {
                        packages += 1;
                        let has_hash = package["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-"));
                        // The root is the list itself, and what is bundled comes with the package around it.
                        if !has_hash && !name.is_empty() && package["inBundle"] != true {
                            faults.push(format!("{}: {name}", file.display()));
                        }
                    }
                }
                name if name.ends_with(".txt") => {
                    for (requirement, rest) in requirements(&text) {
                        packages += 1;
                        if !requirement.contains("==") || !rest.contains("--hash=sha256:") {
                            faults.push(format!("{}: {requirement}", file.display()));
                        }
                    }
                }
                _ => {}
            }
        }
    }
    assert!(packages > 100, "{packages} packages are locked");
    assert!(faults.is_empty(), "without a hash:\n{}", faults.join("\n"));
}

/// The requirements of a file for pip, each with what follows it.
fn requirements(text: &str) -> Vec<(String, String)> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap_or((line, ""))).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

/// What stands in for cargo and its tools: it notes how it is called. Its database of advisories is what the script
/// has laid out, and `github.com` is what the test says.
const TOOL: &str = r#"#!/bin/sh
name=$(basename "$0")
echo "$name $*" >>calls
case "$name $*" in
    *--version) grep -o "^installed $name .*" .ci/dependencies | cut -d ' ' -f 2-3 ;;
    "cargo-deny fetch db") exit "$FETCHES" ;;
    cargo-audit*target/advisories*) [ "$HEARS" = 1 ] || exit 0; ! grep -rq RUSTSEC-2099 target/advisories ;;
    cargo-audit*target/advisory-db*) exit "$FINDS" ;;
esac
"#;

/// Runs `.ci/dependencies` with such tools; returns whether it is content, what it called, and what it said.
fn asked(place: &Path, fetches: &str, hears: &str, finds: &str) -> (bool, String, String) {
    let _ = fs::remove_file(place.join("calls"));
    let path = format!("{}:{}", place.join("bin").display(), std::env::var("PATH").unwrap());
    let mut script = Command::new("sh");
    script.arg(".ci/dependencies").current_dir(place).env("PATH", path);
    let ran = script.env("FETCHES", fetches).env("HEARS", hears).env("FINDS", finds).output().unwrap();
    let calls = fs::read_to_string(place.join("calls")).unwrap();
    (ran.status.success(), calls, String::from_utf8_lossy(&ran.stderr).into_owned())
}

#[test]
fn advisories_are_asked_for_where_they_can_be_reached_and_their_absence_is_loud() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = std::env::temp_dir().join(format!("amends-it-{}-advisories", std::process::id()));
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci");
    for folder in [".ci", "bin", "target/cargo-tools/bin"] {
        fs::create_dir_all(place.join(folder)).unwrap();
    }
    for file in ["dependencies", "advisories.tsv"] {
        fs::copy(own.join(file), place.join(".ci").join(file)).unwrap();
    }
    for tool in ["bin/cargo", "target/cargo-tools/bin/cargo-deny", "target/cargo-tools/bin/cargo-audit"] {
        fs::write(place.join(tool), TOOL).unwrap();
        fs::set_permissions(place.join(tool), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let online = "cargo-audit audit --deny warnings --db target/advisory-db";
    let (content, calls, said) = asked(&place, "0", "1", "0");
    assert!(content && calls.contains(online) && !said.contains("CANNOT BE FETCHED"), "{calls} {said}");
    assert!(calls.contains("cargo-deny --locked --offline check advisories"), "{calls}");
    assert!(!asked(&place, "0", "1", "1").0, "an advisory was found, and nobody was told");
    let (content, calls, said) = asked(&place, "1", "1", "0");
    assert!(content && said.contains("CANNOT BE FETCHED") && !calls.contains(online), "{calls} {said}");
    assert!(calls.contains("cargo-audit audit --deny warnings --no-fetch --stale"), "{calls}");
    let (content, _, said) = asked(&place, "1", "0", "0");
    assert!(!content && said.contains("that .ci/dependencies made up"), "{said}");
    fs::remove_dir_all(&place).unwrap();
}
