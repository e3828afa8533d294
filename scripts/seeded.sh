#!/usr/bin/env bash
# seeded.sh: shows that the fault tests see: builds a copy of this tree with the bugs of tests/seeded, and plays each of them.
#
# FAULT_BUGS: how the names of those begin that are played on the mesh, with commas (all). The copy and what is built of it stay
# in $MEDSEG_CACHE/seeded for the next run.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "error: $*" >&2; exit 1; }
command -v git >/dev/null || fail "git is missing: install it (apt-get install git)"
git rev-parse --is-inside-work-tree >/dev/null || fail "git does not say which files belong to the copy"
scripts/setup.sh test

export MEDSEG_CACHE=${MEDSEG_CACHE:-$HOME/.cache/medseg}
mkdir -p "$MEDSEG_CACHE/seeded/tree"
folder=$(realpath "$MEDSEG_CACHE/seeded")
# Of its own, although the dependencies are built once more. Tests start the programs that lie beside them, and those of this
# tree must not find programs with bugs there; nor can cargo tell two trees apart in one folder, where it goes by their times alone.
export CARGO_TARGET_DIR=$folder/target

# What is deleted and not yet committed is listed, too.
files() {
    git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
        if [ -e "$file" ]; then printf '%s\0' "$file"; fi
    done
}
rm -rf "$folder/fresh"
mkdir "$folder/fresh"
files | tar --create --null --files-from=- | tar --extract --directory "$folder/fresh"

cd "$folder/fresh"
for patch in tests/seeded/*.patch; do
    # In a repository git takes paths from the root, and passes over what lies elsewhere without a word: it must find none.
    GIT_CEILING_DIRECTORIES=$folder git apply "$patch" || fail "$patch applies no more: tests/seeded/README.md says how to renew it"
done

# Cargo goes by times: only what differs is written, and is then newer than what was built of it.
cd "$folder/tree"
python3 - ../fresh . <<'PYTHON'
import filecmp, pathlib, shutil, sys

def files(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}

fresh, tree = map(pathlib.Path, sys.argv[1:])
for file in files(tree) - files(fresh):
    (tree / file).unlink()
for file in files(fresh):
    if not (tree / file).exists() or not filecmp.cmp(fresh / file, tree / file, shallow=False):
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(fresh / file, tree / file)
PYTHON
find . -type d -empty -delete
rm -rf "$folder/fresh"

# All of it, as the suite does: a part would have its dependencies built with other features.
scripts/env.sh cargo build --quiet --workspace --lib --bins --tests
scripts/servers.sh scripts/env.sh cargo test --quiet --workspace --test e2e -- every_seeded_bug --ignored --nocapture
