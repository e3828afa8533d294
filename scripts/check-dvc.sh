#!/usr/bin/env bash
# check-dvc.sh FOLDER: the pipeline of dvc.yaml with the real DVC, and the programs that lie in FOLDER, in a copy of its files.
#
# Runs it whole, again, with another parameter and broken off; shows metrics and plots; takes its data to a folder, to an S3
# (moto) and to the double of Google Cloud Storage and back; and makes of what readers say to a running medseg, one of them by drawing
# in the page, the version that it answers with next (check_learning.py). Everything lies in a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/serving.sh
. scripts/serving.sh
# shellcheck source=scripts/packages.sh
. scripts/packages.sh
[ $# = 1 ] || fail "usage: check-dvc.sh FOLDER"
programs=$(cd "$1" && pwd) root=$PWD
tools=$MEDSEG_CACHE/dvc moto=$MEDSEG_CACHE/moto
[ -f "$tools/complete" ] && [ -f "$moto/complete" ] || fail "DVC or the S3 server is missing: scripts/setup.sh test"

check=dvc
say() { echo "$check: $*"; }

# Before it is forgotten where this machine's npm finds packages.
stories
by_itself
mkdir "$folder/run"
export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@localhost GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@localhost
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1
# What gcsfs asks of Google's control interface, the double does not know.
export GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false
export PATH=$folder/bin:$programs:$PATH
with_dvc "$tools"

# same WHAT ONE OTHER: that both are one text.
same() { [ "$2" = "$3" ] || fail "$1: $2 in place of $3"; }

version() { medseg dataset version data/prepared; }
registered() { (cd data/registered && sha256sum registered.txt model/*); }
commit() { git add --all && git commit --quiet --message "$1"; }

begin() {
    cp -r --parents dvc.yaml params.yaml .dvc/config .dvc/.gitignore .dvcignore .gitignore scripts/pipeline "$folder/run"
    cd "$folder/run"
    # As little as is a model: this is about what is around it.
    sed -i 's/views: 160/views: 8/; s/patients: 10/patients: 6/; s/phantoms: 4/phantoms: 2/; s/judged_phantoms: 5/judged_phantoms: 0/' params.yaml
    git init --quiet
    commit "the pipeline"
    git diff --quiet HEAD
}

runs_whole() {
    quietly "repro: prepare, train, evaluate, register" dvc repro
    for file in data/prepared/manifest.csv data/model/card.md data/run/loss.csv data/evaluation/metrics.json \
        data/evaluation/dice.csv data/registered/model/weights.safetensors; do
        [ -s "$file" ] || fail "the pipeline has made no $file"
    done
    grep -q "Data version \`$(version)\`" data/model/card.md || fail "the card does not tell the data version $(version)"
    commit "a first model"
    [ -z "$(git ls-files data)" ] || fail "data came into git"
    quietly "repro again" dvc repro
    grep -q "up to date" "$folder/said" || fail "what is up to date was made again"
    same "dvc status" "$(dvc status)" "Data and pipelines are up to date."
}

changes() {
    sed -i 's/views: 8/views: 12/' params.yaml
    quietly "repro with another parameter" dvc repro
    ! grep -q "Running stage 'prepare'" "$folder/said" || fail "data that did not change was prepared again"
    dvc metrics diff --all --json >"$folder/metrics.json"
    dvc params diff --json >"$folder/params.json"
    dvc metrics show --json >"$folder/shown.json"
    dvc plots show --out "$folder/plots" >/dev/null
    dvc plots diff HEAD --out "$folder/plots-diff" >/dev/null
    python3 - "$folder" <<'PYTHON'
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
read = lambda name: json.loads((folder / name).read_text())
metrics = next(iter(read("metrics.json").values()))
lacking = {"dice_mean", "falsely_found", "missed"} - metrics.keys()
assert not lacking, f"dvc metrics diff does not tell {lacking}: {metrics}"
assert all({"old", "new"} <= figure.keys() for figure in metrics.values()), metrics
views = read("params.json")["params.yaml"]["train.views"]
assert (views["old"], views["new"]) == (8, 12), views
shown = json.dumps(read("shown.json"))
assert "dice_mean" in shown, shown
for plots in ("plots", "plots-diff"):
    page = (folder / plots / "index.html").read_text()
    for title in ("Training loss", "Dice of each test patient"):
        assert title in page, f"{plots} shows no plot {title!r}"
PYTHON
    say "metrics diff, params diff, plots show, plots diff"
    commit "a second model"
}

# What a training that dies leaves is no model, and takes nothing from what was there before.
breaks_off() {
    local lock before registered
    before=$(version) lock=$(sha256sum dvc.lock) registered=$(registered)
    cat >"$folder/bin/medseg" <<SCRIPT
#!/bin/sh
[ "\$1" = train ] || exec "$programs/medseg" "\$@"
mkdir -p data/model data/run && echo half >data/model/weights.safetensors && echo half >data/run/last.safetensors
echo "error: the machine was stopped" >&2
exit 1
SCRIPT
    chmod +x "$folder/bin/medseg"
    sed -i 's/views: 12/views: 10/' params.yaml
    ! dvc repro >"$folder/said" 2>&1 || fail "a stage that failed was taken for done"
    grep -q "the machine was stopped" "$folder/said" || fail "nothing says why the stage failed"
    grep -q "failed to reproduce 'train'" "$folder/said" || fail "nothing says which stage failed"
    same "dvc.lock after a failure" "$(sha256sum dvc.lock)" "$lock"
    same "the registered model after a failure" "$(registered)" "$registered"
    rm "$folder/bin/medseg"
    quietly "the model of before, after a stage that failed" checked_out
    same "the data version after a failure" "$(version)" "$before"
    sed -i 's/views: 12/views: 10/' params.yaml
    quietly "repro after a stage that failed" dvc repro
    [ ! -s data/run/last.safetensors ] || ! head -c 4 data/run/last.safetensors | grep -aqx half ||
        fail "training went on from a half"
    medseg evaluate --manifest data/prepared --split test --model data/model --plot "$folder/dice.svg" >/dev/null
    commit "a third model"
}

# A registry that does not answer fails the stage, and what was noted before is still noted.
registers_nowhere() {
    local lock registered
    lock=$(sha256sum dvc.lock) registered=$(registered)
    ! MEDSEG_URL=http://127.0.0.1:1 MEDSEG_USER=nobody MEDSEG_PASSWORD=none \
        dvc repro --force --single-item register >"$folder/said" 2>&1 </dev/null ||
        fail "a registration that reached nobody was taken for done"
    grep -q "failed to reproduce 'register'" "$folder/said" || fail "nothing says which stage failed"
    same "dvc.lock after a failure" "$(sha256sum dvc.lock)" "$lock"
    quietly "what was registered before, after a registry that did not answer" checked_out
    same "the registered model after a failure" "$(registered)" "$registered"
}

checked_out() {
    git checkout --quiet params.yaml
    dvc checkout --force
    [ "$(dvc status)" = "Data and pipelines are up to date." ]
}

# A patient on both sides stops the pipeline where the data is prepared, and is named.
both_sides() {
    local lines
    lines=$(cat data/prepared/manifest.csv)
    printf '%s\n' "$lines" | sed '2s/training/test/;t;2s/validation\|test/training/' >"$folder/manifest.csv"
    cp -r data/prepared "$folder/wrong"
    cp "$folder/manifest.csv" "$folder/wrong/manifest.csv"
    ! medseg dataset validate "$folder/wrong" >"$folder/said" 2>&1 || fail "a patient on both sides was let through"
    grep -q "is in two parts" "$folder/said" || fail "nobody is named who is on both sides: $(cat "$folder/said")"
    ! medseg train --manifest "$folder/wrong/manifest.csv" --run "$folder/other" --out "$folder/other" >"$folder/said" 2>&1 ||
        fail "a network learned from a patient on both sides"
    grep -q "is in two parts" "$folder/said" || fail "training does not say who is on both sides: $(cat "$folder/said")"
    say "a patient on both sides is refused"
}

start_s3() {
    local port
    port=$(free_port)
    s3=http://127.0.0.1:$port
    PYTHONPATH=$moto beside "$folder/s3.log" python3 -m moto.server -H 127.0.0.1 -p "$port"
    answers "the S3 server" "$folder/s3.log" curl -sf -X PUT "$s3/medseg"
}

start_gcs() {
    beside "$folder/gcs.log" "$programs/gcs" --listen 127.0.0.1:0 --folder "$folder/gcs"
    answers "the double of Google Cloud Storage" "$folder/gcs.log" grep -q endpoint= "$folder/gcs.log"
    gcs=$(sed -n 's/.*endpoint=//p' "$folder/gcs.log")
}

# there_and_back REMOTE: pushes, forgets everything, and pulls.
there_and_back() {
    local before
    before=$(version)
    dvc push --remote "$1"
    rm -rf .dvc/cache data
    dvc pull --remote "$1"
    [ "$(version)" = "$before" ] && [ "$(dvc status)" = "Data and pipelines are up to date." ]
    dvc status --cloud --remote "$1" | grep -q "in sync"
}

remotes() {
    start_s3
    start_gcs
    dvc remote add --quiet folder "$folder/remote"
    dvc remote add --quiet s3 s3://medseg/dvc
    dvc remote modify --quiet s3 endpointurl "$s3"
    dvc remote add --quiet gcs gs://medseg/dvc
    dvc remote modify --quiet gcs endpointurl "$gcs"
    dvc remote modify --quiet gcs allow_anonymous_login true
    dvc remote modify --quiet gcs projectname test
    commit "remotes"
    for remote in folder s3 gcs; do
        quietly "push and pull: $remote" there_and_back "$remote"
    done
}

# What readers say of answers becomes, through export, pipeline, registry and gate, what answers next.
learns() {
    local name=medseg-mr version=0.0.1-corrected drawn=$folder/drawn.json
    serve "$programs/medseg"
    export NOTEBOOKS_WORK=$folder/learning MEDSEG_URL=$url MEDSEG_PASSWORD=$password
    quietly "a reader's verdicts and corrections" learning judged
    quietly "a correction that is drawn in the page" \
        env CHROMIUM="$chromium" node "$folder/test/corrected.mjs" "${url%/}/" reader "a long and right one" \
        "$NOTEBOOKS_WORK/drawn.nii.gz" "$NOTEBOOKS_WORK/drawn_mask.nii.gz" "$drawn"
    quietly "consent to learn from them" learning consented "$drawn"
    # Of pictures nobody knows whose they are: each is a patient of its own.
    quietly "export of what was confirmed" \
        medseg dataset export --from "$url" --out "$folder/confirmed" --validation 0.34 --test 0.17
    learning exported "$folder/confirmed" "$drawn"

    # It goes on from what serves, in steps so small that its answers stay what they are: this is about the way, not about how far.
    sed -i -e "s|source: phantoms|source: $folder/confirmed|" -e "s|name: medseg-phantom|name: $name|" \
        -e "s|version: 0.1.0|version: $version|" -e "s|from: ''|from: $root/models/medseg-mr|" -e 's/side: 64/side: 256/' \
        -e 's/rate: 0.001/rate: 0.000001/' -e 's/views: .*/views: 16/' params.yaml
    quietly "repro of what was confirmed, into the registry" dvc repro
    commit "what readers corrected"
    learning served "$name" "$version" "$(version)"
    unset MEDSEG_URL MEDSEG_PASSWORD
}

learning() { PYTHONPATH=$tools python3 "$root/scripts/check_learning.py" "$@"; }

begin
runs_whole
changes
breaks_off
registers_nowhere
both_sides
remotes
learns
