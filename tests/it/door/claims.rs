//! Who asked: the role that the database knows, and beside it the name that the asker claims.

use crate::admin::{Operated, ask, program, until};

#[tokio::test]
async fn requests_carry_a_claim_beside_the_role() {
    let node = Operated::begin().await;
    let url = node.url();
    let saga = node.reach("guarded", "running").await;
    let asked = format!("select count(*) from amends.steps where saga = '{saga}' and state = 'asking'");
    until(url, &asked, "1").await;
    let digest = format!(
        "select substring(what from 'digest ([0-9a-f]+)') from amends.timeline
                          where saga = '{saga}' and kind = 'approval_shown'"
    );
    let (id, digest) = (saga.to_string(), ask(url, &digest).await);
    let (code, said) = program(url, &["--as", "Ada L.", "approve", &id, "sign", "--digest", &digest]);
    assert_eq!(code, 0, "{said}");
    let by = format!("select output ->> 'approved_by' from amends.steps where saga = '{saga}' and step = 'sign'");
    assert_eq!(ask(url, &by).await, "postgres (amends, claims Ada L.)");
    let row = format!("select asked_by, application_name from amends.timeline where saga = '{saga}' and signal = 1");
    assert_eq!(ask(url, &row).await, "postgres|amends, claims Ada L.");

    // Without a name, it is the user of the operating system. The verbs of the fleet, of reruns and erasures as well.
    let user = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap();
    let claim = format!("amends, claims {}", user.trim());
    let stuck = node.reach("doubtful", "stuck").await.to_string();
    assert_eq!(program(url, &["abandon", &stuck, "--reason", "written off"]).0, 0);
    let name = format!("select application_name from amends.timeline where saga = '{stuck}' and signal = 1");
    assert_eq!(ask(url, &name).await, claim);
    assert_eq!(program(url, &["pause-definition", "happy", "--reason", "x", "--as", "bo"]).0, 0);
    let paused = "select application_name from amends.definition_pauses";
    assert_eq!(ask(url, paused).await, "amends, claims bo");
    assert_eq!(program(url, &["erase", "--saga", &stuck, "--reason", "asked for it", "--as", "cy"]).0, 0);
    assert_eq!(ask(url, "select by, application_name from amends.erasures").await, "postgres|amends, claims cy");

    for name in ["", " ", "Zoë", "a\nb", &"x".repeat(41)] {
        let (code, said) = program(url, &["--as", name, "pause", &id]);
        assert!(code == 2 && said.contains("expected 1 to 40 letters of ASCII"), "{name:?}: {said}");
    }
    node.stop().await;
}
