use crate::place::{MISUSED, Place};

const SUBCOMMANDS: [&str; 15] = [
    "serve", "segment", "forward", "user", "tenant", "audit", "model", "replay", "certify",
    "dataset", "train", "finish", "evaluate", "bench", "phantom",
];

#[test]
fn the_version_is_the_packages() {
    let version = concat!("medseg ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(Place::new().medseg("--version").good(), version);
}

#[test]
fn help_lists_every_subcommand_with_what_it_does() {
    let help = Place::new().medseg("--help").good();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let listed: Vec<_> = commands.lines().filter_map(|line| line.trim().split_once("  ")).collect();
    let names: Vec<_> =
        listed.iter().map(|(name, _)| *name).filter(|name| *name != "help").collect();
    assert_eq!(names, SUBCOMMANDS);
    assert!(listed.iter().all(|(_, what)| !what.trim().is_empty()), "{commands}");
}

#[test]
fn each_subcommand_has_help_of_its_own() {
    let place = Place::new();
    for name in SUBCOMMANDS {
        let help = place.medseg(&format!("{name} --help")).good();
        assert!(help.contains(&format!("Usage: medseg {name} ")), "{help}");
        assert!(help.contains("Options:") && help.contains("--help"), "{help}");
    }
    for action in ["add-tenant", "list", "add", "reset-password"] {
        let help = place.medseg(&format!("user {action} --help")).good();
        assert!(help.contains(&format!("Usage: medseg user {action} ")), "{help}");
    }
    for action in [
        "create",
        "list",
        "show",
        "suspend",
        "resume",
        "close",
        "export",
        "add-operator",
        "remove-operator",
        "operators",
        "limits",
        "client-limits",
    ] {
        let help = place.medseg(&format!("tenant {action} --help")).good();
        assert!(help.contains(&format!("Usage: medseg tenant {action} ")), "{help}");
    }
    for action in ["import", "validate", "split", "export", "version"] {
        let help = place.medseg(&format!("dataset {action} --help")).good();
        assert!(help.contains(&format!("Usage: medseg dataset {action} ")), "{help}");
    }
    assert_eq!(place.names("."), [""; 0], "asking for help made something");
}

#[test]
fn without_a_subcommand_the_help_is_shown_as_an_error() {
    let ended = Place::new().medseg("");
    assert_eq!(ended.code(), Some(MISUSED));
    assert!(ended.stderr().contains("Usage: medseg <COMMAND>"), "{}", ended.stderr());
}

#[test]
fn what_is_mistyped_is_named_in_one_line_and_leads_to_the_help() {
    let place = Place::new();
    place.medseg("trian").bad(MISUSED, &["'trian'", "'train'", "--help lists what there is"]);
    for name in SUBCOMMANDS {
        let words = ["'--no-such-option'", "--help lists what there is"];
        place.medseg(&format!("{name} --no-such-option")).bad(MISUSED, &words);
    }
}
