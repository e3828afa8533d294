#!/usr/bin/env bash
# bench-dicom.sh FOLDER [WORD...]: how fast studies are taken by C-STORE and by STOW-RS, beside Orthanc on the same machine, and what
# else a hospital waits for: prints a table for docs/performance.md.
#
# Starts the medseg that lies in FOLDER and an Orthanc from this system's packages, each on a directory and ports of its own, both of which
# flush what they take. WORDs go to bench_dicom.py.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/serving.sh
. scripts/serving.sh
[ $# -ge 1 ] || fail "usage: bench-dicom.sh FOLDER [WORD...]"
medseg=$1/medseg
cache=${MEDSEG_CACHE:-$HOME/.cache/medseg}
for tools in pacs dicom-senders; do
    [ -f "$cache/$tools/complete" ] || fail "the packages of $tools are missing: scripts/setup.sh test"
done
command -v storescu >/dev/null || fail "storescu is missing: scripts/setup.sh test"
export PYTHONPATH=$cache/pacs:$cache/dicom-senders:scripts/connectathon PYTHONDONTWRITEBYTECODE=1

dicom=$(free_port) orthanc=$(free_port) orthanc_http=$(free_port)
# What it lacks is said in its table.
there=$(scripts/orthanc.sh) || there=
if [ -n "$there" ]; then
    mkdir "$folder/orthanc"
    python3 scripts/connectathon orthanc "$folder/orthanc.json" "$folder/orthanc" "$(cat "$there/plugin")" "$orthanc_http" "$orthanc" "$dicom"
    beside "$folder/orthanc.log" "$there/orthanc" "$folder/orthanc.json"
    answers Orthanc "$folder/orthanc.log" echoscu -aec ORTHANC 127.0.0.1 "$orthanc"
fi

# The table names an API client, which there is only once medseg has run.
serve "$medseg" --model-url threshold: --research
first_password=$password
python3 scripts/connectathon senders "$url" "$first_password" "$folder/senders.json" "$orthanc"
kill -TERM "$server"
wait "$server" || true
: >"$folder/medseg.said"
# Nothing is analysed while rates are measured.
export DICOM_LISTEN=127.0.0.1:$dicom DICOM_SENDERS=$folder/senders.json DICOM_QUIET_S=3600
serve "$medseg" --model-url threshold: --research
python3 scripts/bench_dicom.py --medseg "$medseg" --url "$url" --password "$first_password" --pid "$server" --dicom "$dicom" --folder "$folder" \
    --orthanc "${there:+$orthanc}" --orthanc-http "$orthanc_http" "${@:2}"
