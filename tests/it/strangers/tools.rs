//! MCP servers in FastMCP and in the official SDKs of Python (both generations) and TypeScript, whose errors come
//! after the effect (case P1): exceptions, results of the wrong shape, output validation.

use std::fs;
use std::path::PathBuf;

use super::stage::{Case, End, Stage, case};
use super::{installed, node, script};

const BANKS: [&str; 4] = ["fast", "official", "first", "typescript"];

/// A node with the four servers; the folder beside the installed packages is the TypeScript SDK's.
struct Banks {
    stage: Stage,
    beside: PathBuf,
}

impl Banks {
    async fn new(name: &str, sagas: &str) -> Self {
        let place = installed();
        let sagas: Vec<String> = BANKS.iter().map(|bank| sagas.replace("BANK", bank)).collect();
        let stage = Stage::new(name, &sagas.join("---\n")).await;
        // Node.js looks for packages in the folders above a script.
        let beside = place.join(format!("run-{name}-{}", std::process::id()));
        fs::create_dir_all(&beside).unwrap();
        for file in ["typescript.mjs", "ledger.mjs"] {
            fs::copy(script(file), beside.join(file)).unwrap();
        }
        let ledger = stage.ledger().display().to_string();
        let server = |bank: &str, program: String, args: &[&str]| {
            let args: Vec<String> = args.iter().map(|arg| format!("\"{arg}\"")).collect();
            format!("  {bank}: {{ command: \"{program}\", args: [{}] }}\n", args.join(", "))
        };
        let python = |venv: &str| place.join(venv).join("bin/python").display().to_string();
        let typescript = beside.join("typescript.mjs").display().to_string();
        let mut settings = server("fast", python("python"), &["-B", &script("fast.py"), &ledger]);
        settings += &server("official", python("python"), &["-B", &script("official.py"), &ledger]);
        settings += &server("first", python("python-first"), &["-B", &script("official.py"), &ledger]);
        settings += &server("typescript", node(), &[&typescript, &ledger]);
        stage.settings(&settings);
        Self { stage, beside }
    }
}

impl Drop for Banks {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.beside);
    }
}

/// The same cases for each of the servers.
fn each(cases: impl Fn(&dyn Fn(&str, &str, End) -> Case) -> Vec<Case>) -> Vec<Case> {
    let of = |bank: &'static str| {
        cases(&move |definition: &str, way: &str, end| case(&format!("{bank}_{definition}"), way, end))
    };
    BANKS.into_iter().flat_map(of).collect()
}

async fn check(name: &str, cases: Vec<Case>) {
    let mut banks = Banks::new(name, include_str!("servers.yaml")).await;
    banks.stage.play().await;
    banks.stage.check(cases).await;
}

/// P1 itself: the effect, then an exception or a result that the SDK refuses.
#[tokio::test]
async fn an_error_after_the_effect_is_found_out() {
    let cases = each(|of| {
        let mut cases = Vec::new();
        for way in ["after timeout", "after shape"] {
            cases.push(of("keyed_probed", way, End::Completed));
            cases.push(of("once_probed", way, End::Completed));
            cases.push(of("keyed_safe", way, End::Compensated));
            cases.push(of("retriable", way, End::Completed));
        }
        cases
    });
    let cases = cases.into_iter().map(|case| match may_pass(&case) {
        // A result of the wrong shape may be passed on: then it is a success.
        true => Case { end: End::Honest, ..case },
        // Each of the servers has erred after its effect.
        false if case.input["way"] == "after timeout" => case.decided_by("tool_error"),
        false => case,
    });
    check("after", cases.collect()).await;
}

/// FastMCP passes a result on that does not satisfy the schema which the tool was given by hand.
fn may_pass(case: &Case) -> bool {
    case.definition == "fast_keyed_safe" && case.input["way"] == "after shape"
}

#[tokio::test]
async fn an_error_before_the_effect_is_found_out_too() {
    let cases = each(|of| {
        let mut cases = Vec::new();
        for way in ["before timeout", "never timeout"] {
            cases.push(of("keyed_probed", way, End::Compensated));
            cases.push(of("once_probed", way, End::Compensated));
            cases.push(of("keyed_safe", way, End::Compensated));
        }
        cases.push(of("retriable", "before timeout", End::Completed));
        cases.push(of("retriable", "never timeout", End::Stuck("charge")));
        cases
    });
    check("before", cases).await;
}

#[tokio::test]
async fn a_compensation_that_errs_is_made_good_or_named() {
    let cases = each(|of| {
        let mut cases = Vec::new();
        for way in ["before timeout", "after timeout"] {
            cases.push(of("undone", way, End::Compensated));
            cases.push(of("undone_probed", way, End::Compensated));
        }
        // The effect was taken back, and each answer is an error: only a probe knows.
        cases.push(of("undone", "always timeout", End::Stuck("charge")));
        cases.push(of("undone_probed", "always timeout", End::Compensated));
        cases
    });
    check("compensation", cases).await;
}

/// A retriable step whose server always errs after its effect: one effect, and the step is named.
#[tokio::test]
async fn an_error_for_ever_is_stuck_after_one_effect() {
    check("for_ever", each(|of| vec![of("retriable", "always timeout", End::Stuck("charge"))])).await;
}

/// What the definition says of an error is believed: a predicate, or all of them.
#[tokio::test]
async fn errors_are_believed_as_the_definition_says() {
    let mut banks = Banks::new("refused", include_str!("refused.yaml")).await;
    banks.stage.play().await;
    // The second generation of Python's SDK tells no text of an error.
    let predicates = ["fast", "first"].map(|bank| format!("{bank}_predicate"));
    let mut cases: Vec<Case> = predicates.iter().map(|name| case(name, "never declined", End::Compensated)).collect();
    cases.extend(BANKS.map(|bank| case(&format!("{bank}_predicate"), "after timeout", End::Stuck("charge"))));
    cases.extend(BANKS.map(|bank| case(&format!("{bank}_definite"), "never timeout", End::Compensated)));
    banks.stage.check(cases).await;
}

/// A definition that trusts errors in silence is refused, with the line that mends it.
#[tokio::test]
async fn a_definition_that_trusts_errors_in_silence_is_refused() {
    let silent = include_str!("refused.yaml").replace("    refused: \"${ text.contains('declined') }\"\n", "");
    let banks = Banks::new("silent", &silent.replace("    errors: definite\n", "")).await;
    let (taken, said) = banks.stage.checked();
    assert!(!taken && said.contains("errors: definite"), "{said}");
}
