#!/usr/bin/env bash
# ohif.sh: prints the folder in which OHIF's viewer lies as its package on npm brings it, built and to be served (`dist`, without the runtime
# of its neural networks), fetched where it is missing. None of what that package depends on is fetched: it is in there.
set -euo pipefail

fail() { echo "error: $*" >&2; exit 1; }
version=3.13.2
sha512=5997719a9986eeba85816f5924b71b82bdd70ad2e2d4a0cd3e831a798e4f3deea3e06e1f8c48e393271933a0ba664d85f3b04ac457e9abe8dde715d907d13c10
folder=${MEDSEG_CACHE:-$HOME/.cache/medseg}/ohif-viewer-$version

if [ ! -f "$folder/complete" ]; then
    command -v npm >/dev/null || fail "no viewer: npm is missing ('scripts/setup.sh test' fetches it where the system has none)"
    rm -rf "$folder"
    mkdir -p "$folder"
    echo "ohif: fetching its viewer (50 MB, once)" >&2
    (cd "$folder" && npm pack "@ohif/app@$version" --loglevel=error --update-notifier=false) >"$folder/log" 2>&1 ||
        fail "no viewer: @ohif/app could not be fetched: is an npm registry reachable? (log: $folder/log)"
    archive=$(ls "$folder"/*.tgz)
    echo "$sha512  $archive" | sha512sum --check --quiet >>"$folder/log" 2>&1 || fail "no viewer: another @ohif/app came than version $version is"
    tar --extract --file "$archive" --directory "$folder" --strip-components=1 --exclude='package/dist/ort' package/dist package/package.json package/LICENSE
    rm "$archive"
    [ -f "$folder/dist/index.html" ] && [ -f "$folder/dist/app-config.js" ] || fail "no viewer: @ohif/app $version brings none that is built"
    touch "$folder/complete"
fi
echo "$folder"
