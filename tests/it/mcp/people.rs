//! People in front of clients that nobody here wrote: the SDKs of Python and TypeScript show them what a saga
//! asks.

use serde_json::json;
use tokio::process::Command;

use super::clients::{installed, node, run, script};
use super::home::Home;

#[tokio::test]
async fn the_python_sdk_asks_its_person_in_both_eras() {
    let Some(place) = installed() else { return };
    let home = Home::with_approvals("python-person", "").await;
    let server = home.node(&[]);
    for reach in [vec![server.url.as_str()], vec![env!("CARGO_BIN_EXE_amends"), "mcp", "--no-node"]] {
        let mut command = Command::new(place.join("python/bin/python"));
        command.arg(script("person.py")).args(&reach).current_dir(&home.folder).kill_on_drop(true);
        command.env("DATABASE_URL", &home.database.url).env("AMENDS_CONFIG", home.folder.join("amends.yaml"));
        let (code, told, said) = run(command).await;
        assert_eq!(code, 0, "{said}");
        for (era, version) in [(0, "2025-11-25"), (1, "2026-07-28")] {
            let told = &told[era];
            assert_eq!(told["version"], version, "{told}");
            let statuses = ["yes", "no", "aside"].map(|answer| &told[answer]["status"]);
            assert_eq!(statuses, [&json!("completed"), &json!("compensated"), &json!("in_progress")], "{told}");
            assert_eq!(told["yes"]["output"]["reason"], "python", "{told}");
            assert_eq!(told["asked"].as_array().map(Vec::len), Some(3), "{told}");
            assert!(told["asked"][0].as_str().unwrap().starts_with("Close the folio of yes"), "{told}");
        }
    }
}

#[tokio::test]
async fn the_typescript_sdk_asks_its_person_over_http_and_stdio() {
    let Some(place) = installed() else { return };
    let home = Home::with_approvals("typescript-person", "").await;
    let server = home.node(&[]);
    // Modules are looked for beside the script.
    let person = place.join(format!("person-{}.mjs", std::process::id()));
    std::fs::copy(script("person.mjs"), &person).unwrap();
    let program = person.to_str().unwrap();
    for reach in [&[server.url.as_str()][..], &[env!("CARGO_BIN_EXE_amends"), "mcp", "--no-node"]] {
        let (code, told, said) = run(node(&place, &home, &[&[program], reach].concat())).await;
        assert_eq!(code, 0, "{said}");
        assert_eq!((&told["yes"]["status"], &told["no"]["status"]), (&json!("completed"), &json!("compensated")));
        assert_eq!(told["asked"].as_array().map(Vec::len), Some(2), "{told}");
    }
    std::fs::remove_file(person).unwrap();
}
