//! The bugs made on purpose stand in `tests/seeded`, not in the product, and fit it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tests::mesh::SEEDED_BUG;
use tests::patches::{self, Patch, SWITCH};

use super::{root, sources};

fn all() -> Vec<Patch> {
    patches::all().expect("the patches in tests/seeded")
}

#[test]
fn no_bug_to_choose_stands_in_the_product() {
    for folder in ["crates", "services"] {
        for (path, text) in sources(&root().join(folder)) {
            for trace in ["seeded(", SEEDED_BUG] {
                assert!(!text.contains(trace), "{} holds `{trace}`", path.display());
            }
        }
    }
}

#[test]
fn all_patches_apply_in_their_order_to_the_tree_as_it_is() {
    let patches = all();
    let copy = copy_of_what_they_touch(&patches);
    for patch in &patches {
        apply(patch, copy.path());
    }
    let patched: String = sources(copy.path()).into_iter().map(|(_, text)| text).collect();
    for Patch { name, .. } in patches.iter().filter(|patch| patch.name != SWITCH) {
        assert!(patched.contains(&hook(name)), "{name} was applied to nothing");
    }
}

/// What a bug's patch adds wherever the bug is.
fn hook(bug: &str) -> String {
    format!("domain::seeded(\"{bug}\")")
}

/// A folder with those files of the tree that the patches change.
fn copy_of_what_they_touch(patches: &[Patch]) -> TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    let lines = patches.iter().flat_map(|patch| patch.text.lines());
    // A file that a patch adds comes from /dev/null.
    for file in lines.filter_map(|line| line.strip_prefix("--- a/")).collect::<BTreeSet<_>>() {
        let (from, to) = (root().join(file), copy.path().join(file));
        fs::create_dir_all(to.parent().expect("a file in a folder")).expect("a folder");
        fs::copy(&from, to)
            .unwrap_or_else(|error| panic!("a patch changes {}: {error}", from.display()));
    }
    copy
}

fn apply(patch: &Patch, tree: &Path) {
    let output = Command::new("git")
        .arg("apply")
        .arg(&patch.path)
        .current_dir(tree)
        // In a repository git takes paths from the root, and passes over what lies elsewhere without a word: it must find none.
        .env("GIT_CEILING_DIRECTORIES", tree.parent().expect("a folder for temporary ones"))
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .output()
        .expect("git runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} applies no more; tests/seeded/README.md says how to renew it: {said}",
        patch.path.display()
    );
}

#[test]
fn each_patch_makes_the_bug_that_it_is_named_after_and_no_other() {
    for Patch { name, text, .. } in all() {
        let added = text.lines().filter(|line| line.starts_with('+'));
        let asks: Vec<_> = added.filter(|line| line.contains("domain::seeded(")).collect();
        assert!(asks.iter().all(|line| line.contains(&hook(&name))), "{name}: {asks:?}");
        assert_eq!(asks.is_empty(), name == SWITCH, "{name}");
    }
}

#[test]
fn the_switch_comes_first_and_listens_to_what_the_tests_say() {
    let switch = all().into_iter().next().expect("a first patch");
    assert_eq!(switch.name, SWITCH);
    assert!(switch.text.contains(SEEDED_BUG), "it does not look at {SEEDED_BUG}");
}
