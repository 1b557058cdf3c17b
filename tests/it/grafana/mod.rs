//! What people look at: dashboards, rules and the files around them. Owns that every metric is used and every
//! metric that is used exists, and that each alert fires in a case of its own; whether queries return
//! anything is asked of a real Prometheus in `live.rs`.

mod demo;
mod live;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use amends::metrics::{ALL, Kind};
use serde_json::Value;

/// One query of a panel, by dashboard and title.
pub(super) struct Query {
    pub(super) place: String,
    pub(super) text: String,
    pub(super) is_sql: bool,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("grafana")
}

pub(super) fn read(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap()
}

fn dashboards() -> Vec<(String, Value)> {
    let mut found: Vec<(String, Value)> = std::fs::read_dir(folder().join("dashboards"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            (path.file_name().unwrap().to_string_lossy().into_owned(), serde_json::from_str(&text).unwrap())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found.len(), 4);
    found
}

/// Every query of every panel.
pub(super) fn queries() -> Vec<Query> {
    let mut found = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap_or(&Vec::new()) {
                let is_sql = target["expr"].is_null();
                let text = if is_sql { &target["rawSql"] } else { &target["expr"] };
                let place = format!("{file}: {}", panel["title"].as_str().unwrap());
                found.push(Query { place, text: text.as_str().unwrap().to_owned(), is_sql });
            }
        }
    }
    assert!(found.len() > 70, "{} queries only", found.len());
    found
}

/// Words of a text that look like metrics of ours, without the suffixes of a histogram's series.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '.'));
    words
        .filter(|word| word.starts_with("amends_") && !word.contains('.'))
        .map(|word| {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            base.unwrap_or(word).to_owned()
        })
        .collect()
}

#[test]
fn every_metric_is_used_and_every_metric_that_is_used_exists() {
    let known: BTreeSet<String> = ALL.iter().map(|metric| metric.name.to_owned()).collect();
    let mut used: BTreeSet<String> =
        queries().iter().filter(|query| !query.is_sql).flat_map(|query| metrics_in(&query.text)).collect();
    let rules = read("alerts.yaml");
    let exprs = rules.split("expr: >-").skip(1).filter_map(|rest| rest.split("labels:").next());
    let in_rules: BTreeSet<String> = exprs.flat_map(|expr| metrics_in(expr.split("- ").next().unwrap())).collect();
    assert!(in_rules.len() > 15, "{in_rules:?}");
    used.extend(in_rules);
    assert_eq!(used.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "used and unknown");
    assert_eq!(known.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "known and used nowhere");
}

#[test]
fn the_readme_has_every_metric_in_its_table() {
    let readme = include_str!("../../../README.md");
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Seconds | Kind::Count => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format!("| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help);
        assert!(readme.contains(&row), "README lacks\n{row}");
    }
}

#[test]
fn dashboards_can_be_provisioned_anywhere() {
    let mut ids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert!(ids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{file}: uid twice");
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let datasource = variables.iter().find(|variable| variable["type"] == "datasource").unwrap();
        let by_variable = format!("${{{}}}", datasource["name"].as_str().unwrap());
        let mut panels = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(panels.insert(panel["id"].as_i64().unwrap()), "{file}: panel id twice");
            if panel["type"] != "row" {
                assert_eq!(panel["datasource"]["uid"], by_variable, "{file}: {}", panel["title"]);
                assert!(!panel["description"].as_str().unwrap().is_empty(), "{file}: {}", panel["title"]);
            }
        }
    }
}

/// Whether Prometheus' tools are here; CI installs them.
pub(super) fn prometheus_is_here() -> bool {
    let here = Command::new("promtool").arg("--version").output().is_ok();
    assert!(here || std::env::var_os("CI").is_none(), "expected promtool and prometheus in CI");
    if !here {
        eprintln!("left out: no prometheus here");
    }
    here
}

fn promtool(args: &[&str]) {
    let output = Command::new("promtool").args(args).current_dir(folder()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {}\n{text}", args.join(" "));
}

#[test]
fn the_rules_are_good_and_each_alert_fires_in_its_case() {
    if !prometheus_is_here() {
        return;
    }
    promtool(&["check", "rules", "alerts.yaml"]);
    promtool(&["check", "config", "prometheus.yaml"]);
    promtool(&["test", "rules", "alerts_test.yaml"]);
    let (rules, cases) = (read("alerts.yaml"), read("alerts_test.yaml"));
    let mut alerts = 0;
    for line in rules.lines() {
        if let Some(name) = line.trim().strip_prefix("- alert: ") {
            alerts += 1;
            let case = cases.split("\n  - name: ").find(|case| case.starts_with(&format!("{name}\n")));
            let case = case.unwrap_or_else(|| panic!("{name} has no case"));
            assert!(case.contains("exp_alerts: []") && case.contains("exp_labels:"), "{name}");
        }
    }
    assert_eq!(rules.matches("runbook:").count(), alerts);
    assert!(alerts >= 15, "{alerts} alerts");
}

#[test]
fn the_files_around_them_name_what_exists() {
    let compose = read("docker-compose.yaml");
    for file in ["prometheus.yaml", "alerts.yaml", "provisioning", "dashboards", "example"] {
        assert!(compose.contains(&format!("./{file}:")), "compose does not mount {file}");
        assert!(folder().join(file).exists(), "{file}");
    }
    assert!(folder().join("Dockerfile").exists());
    let definitions = amends::catalog::parse_definitions("nap.yaml", &read("example/nap.yaml")).unwrap();
    amends::saga::Definition::build(definitions[0].clone()).unwrap();
    let sources = read("provisioning/datasources/amends.yaml");
    for name in ["URL", "HOST", "USER", "PASSWORD", "NAME", "SSLMODE"] {
        let named = compose.matches("AMENDS_").count() > 0
            && (compose.contains(&format!("AMENDS_DATABASE_{name}:"))
                || compose.contains(&format!("AMENDS_PROMETHEUS_{name}:")));
        assert!(named && sources.contains(&format!("_{name}}}")), "{name} is not handed to Grafana");
    }
}
