//! What files say together: folders and patterns, settings that name definitions, names that clash, participants that
//! nobody configured, and files that are none.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage shall stop at once")]

use std::fs;
use std::path::{Path, PathBuf};

use amends::catalog::{
    DEFINITION_SCHEMA, Environment, LogFormat, SETTINGS_SCHEMA, check, load, load_definitions, parse_definitions,
    parse_settings, to_yaml,
};
use amends::participant::Transport;
use serde_json::Value;

/// A folder of files that goes away with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("amends-catalog-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            let file = path.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Self(path)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// Checks some files, and returns the faults without the folder's name.
    fn faults(&self, files: &[&str]) -> String {
        let paths: Vec<_> = files.iter().map(|file| self.path(file)).collect();
        let faults = check(&paths, &Environment::default()).faults.to_string();
        faults.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn saga(name: &str, action: &str) -> String {
    // A Rust handler says by itself what an error of it proves.
    let errors = if action.starts_with("tool") { ", errors: definite" } else { "" };
    format!("saga: {name}\nsteps:\n  - {{ step: a, kind: pivot, action: {{ {action} }}{errors} }}\n")
}

#[test]
fn settings_bring_their_definitions() {
    let folder = Folder::new(
        "brings",
        &[
            (
                "conf/amends.yaml",
                "participants: { p: { command: x, cwd: work, errors: definite } }\n\
                 definitions: [../sagas, '../more/**/*.yml']\n",
            ),
            ("sagas/a.yaml", &saga("a", "tool: p/t")),
            ("sagas/b.yml", &saga("b", "tool: p/t")),
            ("sagas/notes.txt", "not: [a definition"),
            ("more/deep/er/c.yml", &saga("c", "handler: h")),
        ],
    );
    let catalog = load(&folder.path("conf/amends.yaml"), &Environment::default()).unwrap();
    let names: Vec<_> = catalog.definitions.iter().map(|definition| definition.name()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let report = check(&[folder.path("conf"), folder.path("sagas/a.yaml")], &Environment::default());
    assert_eq!((report.files, report.files_fine, report.definitions), (4, 4, 3), "{}", report.faults);
    let same = load_definitions(&[folder.path("sagas"), folder.path("sagas/*")]).unwrap_err();
    assert!(same.to_string().contains("notes.txt:2:1:"), "a pattern takes what it names: {same}");
}

#[test]
fn finds_what_no_file_can_know_alone() {
    let folder = Folder::new(
        "alone",
        &[
            (
                "amends.yaml",
                "participants:\n  payments: { command: x, errors: definite }\n  \
                 shop: { url: 'http://h', protocol: http }\n",
            ),
            ("a.yaml", &saga("a", "tool: paymens/charge")),
            ("b.yaml", &saga("b", "tool: shop/charge")),
            ("c.yaml", &saga("a", "http: payments, path: /x")),
        ],
    );
    assert_eq!(
        folder.faults(&["a.yaml", "b.yaml", "c.yaml", "amends.yaml"]),
        "a.yaml:3:45: steps.a.action.tool: the settings have no participant `paymens`; did you mean `payments`?\n\
         b.yaml:3:45: steps.a.action.tool: expected `http` calls to participant `shop`, found `tool`; see its \
         settings\n\
         c.yaml:1:7: saga: the definition `a` is also in a.yaml:1; rename one\n\
         c.yaml:3:45: steps.a.action.http: expected `tool` calls to participant `payments`, found `http`; see its \
         settings"
    );
    // Without settings nobody knows the participants.
    assert_eq!(folder.faults(&["a.yaml"]), "");
}

#[test]
fn a_definition_does_not_override_what_the_settings_send() {
    let settings = "participants:\n  shop:\n    url: 'http://h'\n    protocol: http\n    \
                    headers: { Authorization: '${env.T}' }\n";
    let definition = "saga: a\nsteps:\n  - step: a\n    irreversible: true\n    action:\n      http: shop\n      \
                      path: /x\n      headers: { authorization: '${ input.auth }', X-Fine: x }\n";
    let folder = Folder::new("headers", &[("amends.yaml", settings), ("a.yaml", definition)]);
    let environment = [("T".to_owned(), "s3cr3t".to_owned())].into_iter().collect();
    let report = check(&[folder.path("a.yaml"), folder.path("amends.yaml")], &environment);
    let said = report.faults.to_string();
    let expected = "a.yaml:8:33: steps.a.action.headers.authorization: the settings of participant `shop` set \
                    the header `authorization`, which a definition cannot override; remove it";
    assert!(said.ends_with(expected), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// What the environment names of a program is not told by a settings object, nor by what it makes.
#[test]
fn programs_and_their_folders_may_be_secret() {
    let environment = [("CMD".to_owned(), "s3cr3t".to_owned())].into_iter().collect();
    let text = "participants: { a: { command: 'x/${env.CMD}', cwd: 'y/${env.CMD}' } }\n";
    let settings = parse_settings("conf/amends.yaml", text, &environment).unwrap();
    assert!(!format!("{settings:?}").contains("s3cr3t"), "{settings:?}");
    let Transport::Stdio { command, cwd, .. } = &settings.participants[0].transport else { panic!() };
    let cwd = cwd.as_ref().unwrap();
    assert_eq!((command.expose(), cwd.expose()), ("x/s3cr3t", "conf/y/s3cr3t"));
    assert_eq!((command.shown().as_str(), cwd.shown().as_str()), ("x/[secret]", "conf/y/[secret]"));
}

#[test]
fn names_what_is_no_file() {
    let folder = Folder::new(
        "none",
        &[
            ("amends.yaml", "definitions: [gone.yaml, empty, 'x/*.yaml', '***', a.yaml]\n"),
            ("a.yaml", "saga: a\nsteps: [\n"),
            ("latin.yaml", ""),
            ("large.yaml", &"#".repeat((1 << 20) + 1)),
            ("empty/.keep", ""),
        ],
    );
    fs::write(folder.path("latin.yaml"), b"saga: a\n# \xfcber\n").unwrap();
    assert_eq!(
        folder.faults(&["amends.yaml", "latin.yaml", "large.yaml", "gone", "a.yaml"]),
        "a.yaml:3:1: steps[0]: expected YAML: while parsing a node, did not find expected node content\n\
         amends.yaml:1:15: definitions[0]: `gone.yaml`: cannot be read: No such file or directory (os error 2)\n\
         amends.yaml:1:26: definitions[1]: `empty`: the folder holds no `*.yaml` or `*.yml`\n\
         amends.yaml:1:33: definitions[2]: `x/*.yaml`: the pattern matches no file\n\
         amends.yaml:1:45: definitions[3]: `***`: expected a pattern: \
         wildcards are either regular `*` or recursive `**`\n\
         gone: cannot be read: No such file or directory (os error 2)\n\
         large.yaml: is larger than 1024 KiB; split it\n\
         latin.yaml:2:3: expected UTF-8, found a byte that is not; save the file as UTF-8"
    );
}

#[test]
fn a_special_file_is_not_waited_for() {
    let report = check(&[PathBuf::from("/dev/zero")], &Environment::default());
    assert_eq!(report.faults.to_string(), "/dev/zero: expected a file or a folder, found something else");
}

#[test]
fn settings_take_values_from_the_environment() {
    let variables = [("TOKEN", "s3cr3t"), ("LANES", "4"), ("GRACE", "1m"), ("URL", "postgres://u:pw@h/db")];
    let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    let text = "participants:\n\
        \x20 crm: { url: 'https://crm/mcp', headers: { Authorization: 'Bearer ${env.TOKEN}' }, answer_max: 64KiB }\n\
        database: { url: '${env.URL}' }\n\
        node: { lanes: '${env.LANES}', grace_period: '${env.GRACE}', actors: 7 }\n\
        http: { enabled: false }\n\
        log: { format: json, level: 'warn,amends::store=debug' }\n";
    let settings = parse_settings("conf/amends.yaml", text, &environment).unwrap();
    assert_eq!((settings.node.lanes, settings.node.grace_period_ms, settings.node.actors_max), (4, 60_000, 7));
    assert_eq!(settings.database.url.as_ref().map(|url| url.expose()), Some("postgres://u:pw@h/db"));
    assert_eq!(settings.participants[0].limits.answer_bytes_max, 65_536);
    assert_eq!((settings.http.address, settings.log.format), (None, LogFormat::Json));
    let printed = format!("{settings:?}");
    assert!(!printed.contains("s3cr3t") && !printed.contains("pw@"), "{printed}");
}

#[test]
fn the_hotel_reads_the_same_once_written() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hotel_checkout.yaml");
    let read = parse_definitions("hotel", &fs::read_to_string(file).unwrap()).unwrap();
    let written = to_yaml(&read[0]);
    assert_eq!(parse_definitions("written", &written).unwrap(), read, "\n{written}");
}

/// Follows a `$ref` into the schema's own definitions.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn without_description(root: &Value, schema: &Value, path: &str, missing: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                let below = format!("{path}/{key}");
                // Rules after `then` only narrow properties that are described elsewhere.
                if key == "properties" && !path.contains("/then") && !path.contains("/if") {
                    for (name, property) in value.as_object().unwrap() {
                        let own = property["description"].as_str();
                        let described = own.or_else(|| resolved(root, property)["description"].as_str());
                        if !described.is_some_and(|text| text.len() > 10 && text.ends_with('.')) {
                            missing.push(format!("{below}/{name}"));
                        }
                    }
                }
                without_description(root, value, &below, missing);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| without_description(root, item, path, missing)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_field_is_described() {
    for text in [DEFINITION_SCHEMA, SETTINGS_SCHEMA] {
        let schema: Value = serde_json::from_str(text).unwrap();
        assert!(jsonschema::meta::is_valid(&schema));
        let mut missing = Vec::new();
        without_description(&schema, &schema, "", &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }
    let bare = serde_json::json!({ "properties": { "a": { "type": "string" } } });
    let mut missing = Vec::new();
    without_description(&bare, &bare, "", &mut missing);
    assert_eq!(missing, ["/properties/a"], "this check must be able to fail");
}
