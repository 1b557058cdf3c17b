//! HTTP participants behind Node, behind the standard library's WSGI server, and behind a proxy that repeats requests:
//! answers that do not say what happened (cases P2, P3, P5, P6, P6b, P6c, P6d, P7).

use std::process::Command;

use super::stage::{Case, End, Stage, case};
use super::{node, python, script};

/// Sagas at the desk, reached as it is or through the proxy.
async fn desk(name: &str, sagas: &str, proxied: bool) -> Stage {
    let mut stage = Stage::new(name, sagas).await;
    let ledger = stage.ledger();
    let mut url = stage.stranger(Command::new(node()).arg(script("desk.mjs")).arg(ledger));
    if proxied {
        url = stage.stranger(python("proxy.py").arg(url));
    }
    stage.settings(&format!("  desk: {{ url: \"{url}\", protocol: http }}\n"));
    stage
}

/// Runs each saga at the desk.
async fn check(name: &str, cases: Vec<Case>) {
    let mut stage = desk(name, include_str!("desk.yaml"), false).await;
    stage.play().await;
    stage.check(cases).await;
}

/// Every kind of step that can find out about its action: it must end completed.
const FINDS_OUT: [&str; 3] = ["keyed_probed", "keyed", "once_probed"];

/// Cases of each kind of step, where the answer says nothing of the effect.
fn says_nothing(ways: &[&str]) -> Vec<Case> {
    let mut cases = Vec::new();
    for way in ways {
        cases.extend(FINDS_OUT.iter().map(|definition| case(definition, way, End::Completed)));
        cases.push(case("once_safe", way, End::Compensated));
    }
    cases
}

#[tokio::test]
async fn a_lost_answer_and_a_5xx_say_nothing() {
    let ways = ["500", "503", "503 later", "lost", "silent"];
    let before: Vec<String> = ways.iter().map(|way| format!("before {way}")).collect();
    let after: Vec<String> = ways.iter().map(|way| format!("after {way}")).collect();
    let ways: Vec<&str> = before.iter().chain(&after).map(String::as_str).collect();
    let mut cases = says_nothing(&ways);
    for way in ways {
        cases.push(case("undone", way, End::Compensated));
        cases.push(case("undone_probed", way, End::Compensated));
    }
    check("nothing", cases).await;
}

/// P6b: 409 is the answer of a service that has our own request under work.
#[tokio::test]
async fn a_conflict_about_our_own_request_says_nothing() {
    let mut ways = Vec::new();
    for way in ["409 cut", "409 large", "409 progress", "409 later", "409", "402 cut"] {
        ways.extend([format!("before {way}"), format!("after {way}")]);
    }
    let ways: Vec<&str> = ways.iter().map(String::as_str).collect();
    let mut cases = says_nothing(&ways);
    for way in ways {
        cases.push(case("undone", way, End::Compensated));
        cases.push(case("undone_probed", way, End::Compensated));
    }
    check("conflict", cases).await;
}

/// P6b: the first delivery made the effect; the proxy repeats it and passes on half of the conflict.
#[tokio::test]
async fn a_proxy_that_repeats_a_request_does_not_hide_its_effect() {
    let mut stage = desk("proxy", include_str!("desk.yaml"), true).await;
    stage.play().await;
    stage.check(says_nothing(&["proxied"])).await;
}

/// P6c: a limiter that lets the request through, and only then says no.
#[tokio::test]
async fn a_limiter_after_the_effect_is_asked_again_under_the_same_key() {
    let mut cases = Vec::new();
    for definition in ["keyed_probed", "keyed"] {
        for way in ["after 429 later", "after 425 later", "after 503 later"] {
            cases.push(case(definition, way, End::Completed));
        }
    }
    cases.extend(FINDS_OUT.map(|definition| case(definition, "before 429 later", End::Completed)));
    check("limiter", cases).await;
}

/// P7: what a service asks for is heeded whatever the status and whichever rule read it.
#[tokio::test]
async fn a_pause_that_is_asked_for_is_made() {
    let mut cases = vec![case("limited", "limited 403 later", End::Completed)];
    for way in ["limited 429 later", "limited 425 later", "limited 503 later", "limited 409 later"] {
        cases.push(case("keyed", way, End::Completed));
        // A probe that finds nothing meanwhile makes it no shorter.
        cases.extend(["keyed_probed", "once_probed"].map(|definition| case(definition, way, End::Completed)));
    }
    // The probe is asked to wait itself.
    cases.push(case("once_probed", "throttled", End::Completed));
    check("pause", cases).await;
}

/// P6: a refusal that quotes what it was sent.
#[tokio::test]
async fn a_refusal_is_a_refusal_whatever_it_quotes() {
    let mut cases = Vec::new();
    for definition in ["keyed_probed", "keyed", "once_probed", "once_safe"] {
        for way in ["before 422 quotes", "before 402"] {
            cases.push(case(definition, way, End::Compensated));
        }
        // A limit, and no refusal for good.
        cases.push(case(definition, "before 403 later", End::Completed));
    }
    check("refusal", cases).await;
}

/// P5: what was announced is not what came, or came in another form.
#[tokio::test]
async fn a_body_is_read_as_announced_or_says_nothing() {
    const WHOLE: &[&str] = &["\"status\":\"succeeded\"", "\"name\":\"Jürgen\""];
    let mut cases = vec![case("keyed", "", End::Completed).gives(&["\"amount\":123456789012345678901234567890"])];
    for way in ["truncated", "gzip", "gzip cut", "brotli", "bom", "nan", "html", "latin1"] {
        for definition in FINDS_OUT {
            cases.push(case(definition, &format!("after {way}"), End::Completed).gives(WHOLE));
        }
        cases.push(case("once_safe", &format!("after {way}"), End::Honest));
    }
    check("body", cases).await;
}

/// P2: the job lands when it lands; only its failure is absence.
#[tokio::test]
async fn an_accepted_call_is_never_made_again() {
    let accepted = |definition: &str, fails: bool, end| {
        case(definition, "accepted", end).with("lands_ms", 1_500).with("fails", fails)
    };
    let cases = vec![
        accepted("accepted", false, End::Completed),
        accepted("accepted_safe", false, End::Completed),
        accepted("accepted", true, End::Compensated),
        accepted("accepted_safe", true, End::Compensated),
    ];
    check("accepted", cases).await;
}

/// P6d without its line: a later refusal says nothing of the first attempt.
#[tokio::test]
async fn a_refusal_after_doubt_leaves_the_doubt() {
    check("doubt", vec![case("keyed", "declines", End::Stuck("pay"))]).await;
}

/// P6d with its line.
#[tokio::test]
async fn a_refusal_that_answers_for_the_key_ends_the_doubt() {
    let sagas = "
saga: answered
steps:
  - step: pay
    effect: idempotent
    timeout: 1s
    settle: 100ms
    retry: { attempts: 6, backoff: 200ms, backoff_max: 200ms }
    classify: [{ when: \"${ status == 402 }\", outcome: failed, answers_key: true }]
    action: { http: desk, path: /pay, body: { order: \"${ input.order }\", way: \"${ input.way }\" } }
    compensation: { http: desk, path: /void, body: { order: \"${ input.order }\", of: \"${ action_key }\" } }
";
    let mut stage = desk("answered", sagas, false).await;
    stage.play().await;
    stage.check(vec![case("answered", "declines", End::Compensated)]).await;
}

/// P2: `not found yet` is no absence of what was accepted, and a definition must say what is.
#[tokio::test]
async fn a_pending_call_needs_an_explicit_absence() {
    let sagas = "
saga: hopeful
steps:
  - step: pay
    effect: idempotent
    classify: [{ when: \"${ status == 202 }\", outcome: pending }]
    action: { http: desk, path: /pay, body: { order: \"${ input.order }\" } }
    probe: { http: desk, path: /find, query: { key: \"${ key }\" }, applied: \"${ result.found }\" }
    compensation: { http: desk, path: /void, body: { of: \"${ action_key }\" } }
";
    let (taken, said) = desk("hopeful", sagas, false).await.checked();
    assert!(!taken && said.contains("absent"), "{said}");
}

/// `errors: unknown` takes the convention from a participant whose refusals come after its effects.
#[tokio::test]
async fn a_participant_whose_refusals_prove_nothing_is_asked() {
    let mut stage = desk("wary", include_str!("desk.yaml"), false).await;
    let settings = std::fs::read_to_string(stage.folder.join("amends.yaml")).unwrap();
    let settings = settings.replace("protocol: http }", "protocol: http, errors: unknown }");
    std::fs::write(stage.folder.join("amends.yaml"), settings).unwrap();
    stage.play().await;
    stage.check(says_nothing(&["after 402", "after 422 quotes", "after 403 later"])).await;
}

/// Sagas that look for a charge by a key in the path.
async fn shop(name: &str, sagas: &str) -> Stage {
    let mut stage = Stage::new(name, sagas).await;
    let ledger = stage.ledger();
    let url = stage.stranger(python("shop.py").arg(ledger));
    stage.settings(&format!("  shop: {{ url: \"{url}\", protocol: http }}\n"));
    stage
}

/// P3: the server decodes a path before it routes.
#[tokio::test]
async fn a_key_survives_a_path() {
    let mut stage = shop("path", include_str!("shop.yaml")).await;
    stage.play().await;
    stage.check(["by_path", "once_by_path"].map(|name| case(name, "", End::Completed)).into()).await;
}

/// P3: a service that takes no key longer than a UUID.
#[tokio::test]
async fn a_key_comes_in_the_form_that_a_service_takes() {
    let mut cases = Vec::new();
    let mut sagas = Vec::new();
    for form in ["key_uuid", "key_hex"] {
        let strict = include_str!("shop.yaml").replace("/charges", "/strict/charges");
        let forms = strict.replace("${ key }", &format!("${{ {form} }}")).replace("by_path", form);
        sagas.push(forms);
        cases.extend([form, &format!("once_{form}")].map(|name| case(name, "", End::Completed)));
    }
    let mut stage = shop("form", &sagas.join("---\n")).await;
    stage.play().await;
    stage.check(cases).await;
}
