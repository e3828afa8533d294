use std::fs::File;

use crate::place::{Ended, FAILED, MISUSED, Place};

const PASSWORD: &str = "a password that is long enough";

/// A place with a data directory. SQLite takes an empty file for a new database, as `medseg serve` makes one.
fn place() -> Place {
    let place = Place::new();
    place.write("data/auth.db", "");
    place
}

fn add(place: &Place, name: &str, tenant: &str, role: &str, password: &str) -> Ended {
    place.words(&["user", "add", name, "--tenant", tenant, "--role", role], password)
}

#[test]
fn tenants_and_users_are_added_listed_and_given_other_passwords() {
    let place = place();
    assert_eq!(place.medseg("user list").good(), "");
    let tenant = place.words(&["user", "add-tenant", "St. Mary's"], "").good();
    let both =
        ["user", "add", "Ada", "--tenant", "St. Mary's", "--role", "clinician", "--role", "admin"];
    let ada = place.words(&both, &format!("{PASSWORD}\r\n")).good();
    let listed = place.medseg("user list --data data").good();
    let expected =
        format!("{}  St. Mary's\n  {}  ada  clinician, admin\n", tenant.trim(), ada.trim());
    assert_eq!(listed, expected);
    let other = "another password that is long enough\n";
    assert_eq!(place.medseg_told("user reset-password ADA", other).good(), "");
    assert_eq!(place.medseg("user list").good(), expected);
}

#[test]
fn a_name_is_given_once() {
    let place = place();
    place.medseg("user add-tenant first").good();
    let again = ["cannot add the tenant `first`", "there is a hospital of that name"];
    place.medseg("user add-tenant first").bad(FAILED, &again);
    place.medseg("user add-tenant second").good();
    add(&place, "ada", "first", "clinician", PASSWORD).good();
    for tenant in ["first", "second"] {
        let taken = ["cannot add `Ada`", "the user name is taken"];
        add(&place, "Ada", tenant, "admin", PASSWORD).bad(FAILED, &taken);
    }
    assert_eq!(place.medseg("user list").good().matches("  ada  clinician\n").count(), 1);
}

#[test]
fn what_makes_no_user_is_refused_in_words() {
    let place = place();
    place.medseg("user add-tenant first").good();
    for (name, tenant, role, password, words) in [
        ("ada", "third", "clinician", PASSWORD, ["`third`", "`medseg user list`"]),
        (
            "ada",
            "first",
            "king",
            PASSWORD,
            ["`king`", "adjudicator, integrator, scientist or admin"],
        ),
        (
            "ada",
            "first",
            "service",
            PASSWORD,
            ["cannot add `ada`", "clinician, adjudicator, integrator"],
        ),
        ("ada", "first", "clinician", "short", ["cannot add `ada`", "12 to 128 characters"]),
        ("ada", "first", "clinician", "", ["cannot add `ada`", "12 to 128 characters"]),
        ("a b", "first", "clinician", PASSWORD, ["cannot add `a b`", "letters, digits"]),
        ("lovelace", "first", "clinician", "lovelace-1815", ["`lovelace`", "the user's name"]),
    ] {
        add(&place, name, tenant, role, password).bad(FAILED, &words);
    }
    let line = "user add ada --tenant first";
    place.medseg_told(line, PASSWORD).bad(MISUSED, &["--role", "required"]);
    place.words(&["user", "add-tenant", " "], "").bad(FAILED, &["a hospital's name"]);
    assert_eq!(place.medseg("user list").good().lines().count(), 1);
}

#[test]
fn a_password_is_reset_for_somebody_who_is_there_and_only_to_a_good_one() {
    let place = place();
    place.medseg("user add-tenant first").good();
    add(&place, "ada", "first", "clinician", PASSWORD).good();
    let nobody = ["cannot give `nobody` a new password", "no such user"];
    place.medseg_told("user reset-password nobody", PASSWORD).bad(FAILED, &nobody);
    let short = ["cannot give `ada` a new password", "12 to 128 characters"];
    place.medseg_told("user reset-password ada", "short").bad(FAILED, &short);
}

#[test]
fn a_mistyped_data_directory_is_refused_and_not_made() {
    let place = Place::new();
    let words = ["nowhere is no data directory of `medseg serve`", "--data"];
    place.medseg("user list --data nowhere").bad(FAILED, &words);
    place.write("taken", "a file where a folder is asked for");
    place.medseg("user --data taken list").bad(FAILED, &["taken is no data directory"]);
    assert_eq!(place.names("."), ["taken"]);
}

#[test]
fn a_directory_that_another_process_has_open_is_left_alone() {
    let place = place();
    let lock = File::create(place.at("data/lock")).unwrap();
    lock.lock().unwrap();
    let words = ["another medseg runs on", "data", "stop it first"];
    place.medseg("user add-tenant first").bad(FAILED, &words);
    drop(lock);
    assert_eq!(place.medseg("user list").good(), "");
}

#[test]
fn a_database_that_is_none_is_named_and_left_as_it_is() {
    let place = Place::new();
    let text = "half of a backup, and no database at all\n".repeat(100);
    place.write("data/auth.db", &text);
    place.medseg("user list").bad(FAILED, &["cannot open the accounts in", "auth.db"]);
    assert_eq!(std::fs::read_to_string(place.at("data/auth.db")).unwrap(), text);
}
