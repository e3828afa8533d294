#!/usr/bin/env bash
# prepare.sh SOURCE SEQUENCE PATIENTS SIZE VALIDATION TEST SEED: makes data/prepared of SOURCE: imported, split and looked through.
#
# SOURCE is a folder that `medseg dataset import` reads; or a data set with a manifest, as `medseg dataset export --from URL` makes it,
# of which a split stays as it is; or `phantoms`: then so many are made, each with a slice that shows a lesion and one that does not.
set -euo pipefail

source=$1 sequence=$2 patients=$3 size=$4 validation=$5 test=$6 seed=$7
out=data/prepared

if [ "$source" = phantoms ]; then
    source=$(mktemp -d)
    trap 'rm -rf "$source"' EXIT
    for patient in $(seq "$patients"); do
        name=$source/$(printf 'p%03d' "$patient")
        phantom=(medseg phantom --size "$size" --seed $((1000 * seed + patient)))
        "${phantom[@]}" --out "${name}_1.png" --mask "${name}_1_mask.png" >/dev/null
        "${phantom[@]}" --no-lesion --out "${name}_2.png" --mask "${name}_2_mask.png" >/dev/null
    done
fi

rm -rf "$out"
mkdir -p "$(dirname "$out")"
if [ -f "$source/manifest.csv" ]; then
    medseg dataset export "$source" --out "$out"
else
    medseg dataset import "$source" --out "$out" --sequence "$sequence"
fi
# Whoever was kept for measuring must stay so.
grep -qE ',(training|validation|test)(,|$)' "$out/manifest.csv" ||
    medseg dataset split "$out" --validation "$validation" --test "$test" --seed "$seed"
medseg dataset validate "$out"
echo "data version $(medseg dataset version "$out")"
