//! The README is true: its YAML is accepted as it stands, the files and verbs that it names exist, and its tables of
//! what an answer means are the program's own. Its Rust is a doctest.

use amends::catalog::{Environment, parse_definitions, parse_settings};

const README: &str = include_str!("../../README.md");

fn blocks(language: &str) -> Vec<&'static str> {
    let open = format!("```{language}\n");
    README.match_indices(&open).filter_map(|(at, _)| README[at + open.len()..].split("\n```").next()).collect()
}

#[test]
fn its_yaml_is_accepted() {
    let blocks = blocks("yaml");
    let (sagas, settings): (Vec<&str>, Vec<&str>) = blocks.into_iter().partition(|block| block.starts_with("saga:"));
    assert!(!sagas.is_empty() && !settings.is_empty());
    for saga in sagas {
        let drafts = parse_definitions("checkout.yaml", saga).unwrap_or_else(|faults| panic!("{faults}"));
        amends::saga::Definition::build(drafts[0].clone()).unwrap_or_else(|faults| panic!("{faults:?}"));
    }
    let environment: Environment = [("PAYMENTS_KEY".to_owned(), "s3cr3t".to_owned())].into_iter().collect();
    for one in settings {
        parse_settings("amends.yaml", one, &environment).unwrap_or_else(|faults| panic!("{faults}"));
    }
}

#[test]
fn the_files_that_it_links_exist() {
    let links = README.match_indices("](").filter_map(|(at, _)| README[at + 2..].split(')').next());
    let files: Vec<&str> = links.filter(|link| !link.contains("://") && !link.starts_with('#')).collect();
    assert!(!files.is_empty());
    for file in files {
        assert!(std::path::Path::new(file).exists(), "{file} is linked and does not exist");
    }
}

/// Runs the program, and returns what it writes.
fn written_by(arguments: &[&str]) -> String {
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_amends")).args(arguments).output().expect("it runs");
    assert!(ran.status.success(), "amends {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("UTF-8")
}

#[test]
fn what_an_answer_means_is_what_the_program_says() {
    let (open, close) = ("<!-- amends explain -->\n", "<!-- end -->");
    let block = README.split(open).nth(1).and_then(|rest| rest.split(close).next());
    let block = block.unwrap_or_else(|| panic!("no block between {open:?} and {close:?}"));
    let said = written_by(&["explain"]);
    assert!(said.contains("| `tool_error` | errored |"), "{said}");
    let differing = block.lines().zip(said.lines()).find(|(in_readme, said)| in_readme != said);
    assert_eq!(differing, None, "the README's line, and what `amends explain` prints");
    assert_eq!(block, said, "put the output of `amends explain` between the marks");
}

#[test]
fn every_metric_and_verb_that_it_names_exists() {
    let help = written_by(&["--help"]);
    let table = README.split("## The command line").nth(1).and_then(|rest| rest.split("## ").next());
    let rows = table.expect("a section on the command line").lines().filter(|line| line.starts_with("| `amends "));
    let mut verbs = 0;
    for row in rows {
        let words = row.trim_start_matches("| `amends ").split(['`', ' ']).next().unwrap_or_default();
        for verb in words.split("\\|") {
            assert!(help.contains(&format!("  {verb} ")), "{verb} is in the README and not in --help");
            verbs += 1;
        }
    }
    assert!(verbs >= 9, "found {verbs} verbs only");
}

/// Names of all properties of a JSON Schema, wherever they are.
fn properties(schema: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(object) => {
            if let Some(serde_json::Value::Object(properties)) = object.get("properties") {
                found.extend(properties.keys().cloned());
            }
            object.values().for_each(|inner| properties(inner, found));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|inner| properties(inner, found)),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

/// The defaults of the settings' fields, by section and field, as far as the schema gives them as words.
fn defaults() -> Vec<(String, String)> {
    let schema = include_str!("../../src/catalog/settings.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).expect("JSON");
    let mut found = Vec::new();
    for (section, inner) in schema["properties"].as_object().expect("sections") {
        for (field, said) in inner["properties"].as_object().into_iter().flatten() {
            let said = said["description"].as_str().unwrap_or_default();
            let default = said.split("Default: ").nth(1).unwrap_or_default().trim_end_matches('.');
            let word = default.trim_matches('`');
            if !word.is_empty() && !word.contains([' ', '`', ';']) && word != "none" {
                found.push((format!("{section}.{field}"), word.to_owned()));
            }
        }
    }
    found
}

#[test]
fn each_default_is_the_same_in_it_in_the_schema_and_in_the_program() {
    let settings = |text: &str| {
        let parsed = parse_settings("amends.yaml", text, &Environment::default());
        format!("{:?}", parsed.unwrap_or_else(|faults| panic!("{faults}")))
    };
    let defaults = defaults();
    assert!(defaults.len() > 10, "{defaults:?}");
    for (path, default) in defaults {
        let (section, field) = path.split_once('.').expect("two words");
        let said = format!("{section}: {{ {field}: \"{default}\" }}\n");
        let bare = said.replace('"', "");
        let said =
            if default.parse::<u64>().is_ok() || ["true", "false"].contains(&default.as_str()) { bare } else { said };
        assert_eq!(settings(&said), settings("{}\n"), "{path} is {default} in the schema");
        let row = README.lines().find(|line| line.starts_with(&format!("| `{path}` |")));
        let cell = row.unwrap_or_else(|| panic!("no row for {path}")).trim_end_matches(" |");
        let cell = cell.rsplit(" | ").next().expect("a cell").trim_matches('`');
        assert_eq!(cell, default, "{path}");
    }
}

#[test]
fn every_field_of_definitions_and_settings_is_in_it() {
    let code: String = README.split('`').skip(1).step_by(2).collect::<Vec<_>>().join(" ");
    let said: std::collections::BTreeSet<&str> =
        code.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
    let schemas = [
        include_str!("../../src/catalog/definition.schema.json"),
        include_str!("../../src/catalog/settings.schema.json"),
    ];
    for schema in schemas {
        let mut fields = std::collections::BTreeSet::new();
        properties(&serde_json::from_str(schema).expect("JSON"), &mut fields);
        assert!(fields.len() > 10, "found {} fields only", fields.len());
        let missing: Vec<_> = fields.iter().filter(|field| !said.contains(field.as_str())).collect();
        assert!(missing.is_empty(), "the README does not tell of {missing:?}");
    }
}
