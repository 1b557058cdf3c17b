//! Files with faults and files without: `catalog/*.yaml`, each with the faults that it must give beside it in
//! `*.faults`. After a change of words, `AMENDS_BLESS=1 cargo test --test it catalog` writes them anew; read
//! the difference.

use std::fs;
use std::path::{Path, PathBuf};

use amends::catalog::{Environment, check, load, parse_definitions, parse_settings};

fn of_package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn environment() -> Environment {
    [("TOKEN".to_owned(), "s3cr3t".to_owned())].into_iter().collect()
}

#[test]
fn the_examples_are_fine() {
    let report = check(&[of_package("examples")], &Environment::default());
    assert_eq!(report.faults.to_string(), "");
    assert_eq!((report.files, report.files_fine, report.definitions), (2, 2, 1));
    let catalog = load(&of_package("examples/amends.yaml"), &Environment::default()).unwrap();
    assert_eq!(catalog.definitions[0].name(), "hotel_checkout");
    assert_eq!(catalog.settings.participants.len(), 2);
    let demo = check(&[of_package("src/demo/hotel_checkout.yaml")], &Environment::default());
    assert_eq!(demo.faults.to_string(), "");
}

#[test]
fn every_fault_is_named_at_its_line() {
    let mut differing = Vec::new();
    let mut cases = 0;
    for entry in fs::read_dir(of_package("tests/it/catalog")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        cases += 1;
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let found = if name.starts_with("settings") {
            parse_settings(&name, &text, &environment()).err()
        } else {
            parse_definitions(&name, &text).err()
        };
        let found = found.map(|faults| format!("{faults}\n")).unwrap_or_default();
        assert!(!found.contains("s3cr3t"), "{name} shows a secret");
        let expected = path.with_extension("faults");
        if std::env::var_os("AMENDS_BLESS").is_some() {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            differing.push(format!("{name} gives\n{found}"));
        }
    }
    assert!(cases > 10, "found only {cases} cases");
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
