#!/usr/bin/env bash
# check-connectathon.sh FOLDER [OUT]: one study through all that a hospital has, and a page of what was checked, in the folder OUT.
#
# Starts the medseg that lies in FOLDER on a directory and ports of its own, and beside it Orthanc with its DICOMweb plugin as archive,
# dcmtk's storescp as a second one, OHIF's parser and its viewer in headless Chromium, and an information system and a FHIR server that read with
# the packages hl7 and fhir.resources (each of which fails once). What has no package here is a row of that page which says so.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/serving.sh
. scripts/serving.sh
# shellcheck source=scripts/packages.sh
. scripts/packages.sh
[ $# = 1 ] || [ $# = 2 ] || fail "usage: check-connectathon.sh FOLDER [OUT]"
cache=${MEDSEG_CACHE:-$HOME/.cache/medseg}
medseg=$1/medseg out=${2:-$folder/out}
standards=$cache/standards
for tools in pacs dicom-senders standards; do
    [ -f "$cache/$tools/complete" ] || fail "the packages of $tools are missing: scripts/setup.sh test"
done
for tool in storescu storescp echoscu dciodvfy dcentvfy; do
    command -v $tool >/dev/null || fail "$tool is missing: scripts/setup.sh test"
done
# Versions are told of all of them; each client's own are found first.
export PYTHONPATH=$cache/pacs:$cache/dicom-senders:$standards PYTHONDONTWRITEBYTECODE=1

dicom=$(free_port) orthanc=$(free_port) orthanc_http=$(free_port) storescp=$(free_port) mllp=$(free_port) fhir=$(free_port) viewer=$(free_port)

# with_orthanc: starts it as docs/manual/recipes.md has it; or says in $without_orthanc why there is none.
with_orthanc() {
    local there
    there=$(scripts/orthanc.sh 2>"$folder/orthanc.why") || { without_orthanc=$(tail -n 1 "$folder/orthanc.why"); return 1; }
    mkdir "$folder/orthanc"
    python3 scripts/connectathon orthanc "$folder/orthanc.json" "$folder/orthanc" "$(cat "$there/plugin")" "$orthanc_http" "$orthanc" "$dicom"
    beside "$folder/orthanc.log" "$there/orthanc" "$folder/orthanc.json"
    answers Orthanc "$folder/orthanc.log" echoscu -aec ORTHANC 127.0.0.1 "$orthanc"
    answers "Orthanc's plugin" "$folder/orthanc.log" curl -sS --fail -u connectathon:connectathon "http://127.0.0.1:$orthanc_http/plugins/dicom-web"
}

without_orthanc=
with_orthanc && has_orthanc=true || has_orthanc=false
mkdir "$folder/storescp" "$folder/systems"
beside "$folder/storescp.log" storescp -aet STORESCP -od "$folder/storescp" "$storescp"
answers storescp "$folder/storescp.log" echoscu 127.0.0.1 "$storescp"
beside "$folder/systems.log" env PYTHONPATH="$standards" python3 scripts/check_delivery_peers.py systems "$mllp" "$fhir" "$folder/systems"
answers "the information system" "$folder/systems.log" test -f "$folder/systems/ready"

# What OHIF reads DICOM with, where its package can be had.
ohif=$(packages "$PWD/tests/ohif" ohif "8 MB" >&2 && echo "$work") || ohif=

# OHIF's viewer, on an origin of its own, and what a browser is driven with; or why there is none.
without_viewer='' viewer_folder='' drivers=''
with_viewer() {
    (browser) 2>"$folder/viewer.why" || return 1
    browser
    viewer_folder=$(scripts/ohif.sh 2>"$folder/viewer.why") || return 1
    drivers=$(packages "$PWD/tests/browser" browser "20 MB" >&2 2>"$folder/viewer.why" && echo "$work") || return 1
}
with_viewer || { without_viewer=$(tail -n 1 "$folder/viewer.why") viewer_folder=''; }
export CHROMIUM=${chromium:-}

# The table names an API client, which there is only once medseg has run.
export DELIVERY_NETWORKS=127.0.0.0/8
serve "$medseg" --model-url threshold: --research
first_password=$password
python3 scripts/connectathon senders "$url" "$first_password" "$folder/senders.json" "$orthanc"
kill -TERM "$server"
wait "$server" || true
: >"$folder/medseg.said"
# Long enough for all doors: the study is said to be complete.
export DICOM_LISTEN=127.0.0.1:$dicom DICOM_SENDERS=$folder/senders.json DICOM_QUIET_S=60 CORS_ORIGINS=http://127.0.0.1:$viewer
serve "$medseg" --model-url threshold: --research

cat >"$folder/facts.json" <<END
{"url": "$url", "password": "$first_password", "folder": "$folder", "programs": "$(realpath "$1")",
 "orthanc": $has_orthanc, "without_orthanc": "${without_orthanc//\"/\'}", "ohif": "$ohif",
 "viewer": {"folder": "$viewer_folder", "browser": "$drivers", "without": "${without_viewer//\"/\'}"},
 "ports": {"dicom": $dicom, "orthanc": $orthanc, "orthanc_http": $orthanc_http, "storescp": $storescp, "mllp": $mllp, "fhir": $fhir, "viewer": $viewer}}
END
python3 scripts/connectathon walk "$folder/facts.json" "$out"
