//! Words that others have in their files and programs: fields of YAML, verbs and options, metrics, tables, views and
//! functions.

use serde_json::Value;

use super::check;
use crate::admin::ask;
use crate::harness::Database;

fn program(args: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_amends")).args(args).output().unwrap();
    assert!(output.status.success(), "amends {}", args.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// A schema without the sentences for people.
fn without_descriptions(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["description", "title"] {
                // A property of that name is a schema, not a text.
                if fields.get(name).is_some_and(Value::is_string) {
                    fields.remove(name);
                }
            }
            fields.values_mut().for_each(without_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(without_descriptions),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn fields_of_definitions_and_settings() {
    for format in ["definition", "settings"] {
        let mut schema: Value = serde_json::from_str(&program(&["check", "--schema", format])).unwrap();
        without_descriptions(&mut schema);
        check(&format!("{format}.schema.json"), &serde_json::to_string_pretty(&schema).unwrap());
    }
}

/// Verbs, arguments and options, from the help of each.
#[test]
fn verbs_and_options() {
    let mut found = String::new();
    of_command(&mut Vec::new(), &mut found);
    check("verbs.txt", &found);
}

fn of_command(path: &mut Vec<String>, found: &mut String) {
    let mut args: Vec<&str> = path.iter().map(String::as_str).collect();
    args.push("--help");
    let help = program(&args);
    let usage = help.lines().find(|line| line.starts_with("Usage: ")).unwrap_or_default();
    found.push_str(&format!("{}\n", usage.trim_start_matches("Usage: ")));
    let (mut section, mut commands) = ("", Vec::new());
    for line in help.lines() {
        if line.ends_with(':') && !line.starts_with(' ') {
            section = line;
            continue;
        }
        let words = line.trim_start();
        match section {
            "Commands:" if line.starts_with("  ") => {
                let name = words.split(' ').next().unwrap_or_default();
                if name != "help" && !line.starts_with("   ") {
                    commands.push(name.to_owned());
                }
            }
            "Options:" | "Arguments:" if words.starts_with(['-', '[', '<']) && !words.starts_with("[env") => {
                let head = words.split("  ").next().unwrap_or_default();
                found.push_str(&format!("    {head}\n"));
            }
            _ => {}
        }
    }
    for command in commands {
        path.push(command);
        of_command(path, found);
        path.pop();
    }
}

#[test]
fn metrics_and_their_labels() {
    let lines = amends::metrics::ALL.iter().map(|one| format!("{:?} {} {:?}\n", one.kind, one.name, one.labels));
    check("metrics.txt", &lines.collect::<String>());
}

/// Tables, views and functions, with columns and arguments, and who may use them.
#[tokio::test]
async fn tables_views_and_functions() {
    let database = Database::create().await;
    let relations = "select c.relname || ' ('
                            || string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', '
                                          order by a.attnum) || ')' || coalesce(' ' || c.relacl::text, '')
                     from pg_class c join pg_attribute a on a.attrelid = c.oid
                         and a.attnum > 0 and not a.attisdropped
                     where c.relnamespace = 'amends'::regnamespace and c.relkind in ('r', 'v', 'p')
                       and not c.relispartition
                     group by c.oid order by c.relname";
    let functions = "select p.proname || ' (' || pg_get_function_arguments(p.oid) || ') returns '
                            || pg_get_function_result(p.oid) || coalesce(' ' || p.proacl::text, '')
                     from pg_proc p where p.pronamespace = 'amends'::regnamespace order by 1";
    let [relations, functions] = [ask(&database.url, relations).await, ask(&database.url, functions).await];
    check("sql.txt", &format!("{relations}\n\n{functions}\n"));
}
