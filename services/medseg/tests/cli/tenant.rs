use crate::place::{FAILED, MISUSED, Place};

const PASSWORD: &str = "a password that is long enough";
const DATABASE: [&str; 3] = ["tenant", "--database-url", "sqlite://auth.db"];

/// What `medseg tenant` says, in a database of the place.
fn tenant(place: &Place, words: &[&str]) -> crate::place::Ended {
    place.words(&[&DATABASE[..], words].concat(), PASSWORD)
}

#[test]
fn a_tenant_is_made_suspended_resumed_exported_and_closed_in_the_database() {
    let place = Place::new();
    assert_eq!(tenant(&place, &["list"]).good(), "");
    let limits = ["--users-max", "7", "--language", "fr", "--language", "en"];
    let create = [&["create", "Charité", "--admin", "rudolf"][..], &limits].concat();
    let made = tenant(&place, &create).good();
    let (id, invited) = made.trim().split_once('\n').unwrap();
    assert!(invited.starts_with("rudolf chooses a password once, until "), "{invited}");
    assert_eq!(invited.rsplit("#/welcome/").next().unwrap().len(), 43, "{invited}");
    let line = |state: &str| format!("{id}  {state:9}  1/7 users  0/100 clients  fr,en  Charité\n");
    assert_eq!(tenant(&place, &["list"]).good(), line("active"));
    assert_eq!(tenant(&place, &["suspend", "Charité"]).good(), line("suspended"));
    assert_eq!(tenant(&place, &["resume", id]).good(), line("active"));
    let export = tenant(&place, &["export", "Charité"]).good();
    assert!(export.contains("\"rudolf\"") && export.contains("\"invited\""), "{export}");
    assert!(!export.contains("token") && !export.contains("secret"), "{export}");
    assert_eq!(tenant(&place, &["close", "Charité"]).good(), line("closed"));
    tenant(&place, &["resume", "Charité"]).bad(FAILED, &["closed, which is for good"]);
    assert_eq!(tenant(&place, &["show", "Charité"]).good(), line("closed"));
}

#[test]
fn a_tenant_that_is_called_like_anothers_id_is_not_taken_for_it() {
    let place = Place::new();
    let made = tenant(&place, &["create", "Charité", "--admin", "rudolf"]).good();
    let id = made.lines().next().unwrap();
    tenant(&place, &["create", id, "--admin", "eve"]).good();
    let shown = tenant(&place, &["show", id]).good();
    assert!(shown.starts_with(id) && shown.ends_with("  Charité\n"), "{shown}");
}

#[test]
fn an_operator_is_made_in_the_database_alone_and_is_no_tenants() {
    let place = Place::new();
    tenant(&place, &["add-operator", "ops"]).good();
    tenant(&place, &["add-operator", "ops"]).bad(FAILED, &["cannot add `ops`", "is taken"]);
    assert_eq!(tenant(&place, &["list"]).good(), "");
    let listed = tenant(&place, &["operators"]).good();
    assert!(listed.ends_with("  ops\n") && listed.lines().count() == 1, "{listed}");
    let users = ["user", "--database-url", "sqlite://auth.db", "list"];
    assert_eq!(place.words(&users, "").good(), "");
    tenant(&place, &["remove-operator", "ops"]).good();
    let gone = ["cannot remove `ops`", "no such operator"];
    tenant(&place, &["remove-operator", "ops"]).bad(FAILED, &gone);
    assert_eq!(tenant(&place, &["operators"]).good(), "");
    tenant(&place, &["show", "(operators)"]).bad(FAILED, &["no tenant is called `(operators)`"]);
}

#[test]
fn what_is_wrong_is_named() {
    let place = Place::new();
    tenant(&place, &["create", "Charité"]).bad(MISUSED, &["--admin"]);
    let klingon = ["create", "Charité", "--admin", "rudolf", "--language", "tlh"];
    tenant(&place, &klingon).bad(FAILED, &["languages are some of en, fr"]);
    let limits = ["limits", "Charité", "--scans-per-day", "7"];
    tenant(&place, &limits).bad(FAILED, &["leave --database-url out"]);
    tenant(&place, &["suspend", "Charité"]).bad(FAILED, &["`medseg tenant list`"]);
    place.medseg("tenant list --url http://127.0.0.1:1").bad(FAILED, &["MEDSEG_PASSWORD"]);
}
