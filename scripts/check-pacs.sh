#!/usr/bin/env bash
# check-pacs.sh FOLDER: what hospitals' own software reads in our DICOM objects, FHIR bundles and HL7 messages, made by the medseg
# that lies in FOLDER.
#
# One head, stored in several orders of axes and as one file of many frames, is analysed; pydicom and highdicom read segmentation,
# structured report, picture and document back, and dcmtk's and dicom3tools' checkers look for errors; fhir.resources, hl7 and hl7apy
# read bundles and messages, also of a picture that says nothing of a patient. dicomweb-client finds the same head in a running medseg,
# and is given its images byte for byte; the measurement certificate is made by it, and a result replayed. Before all that, the decoder
# reads a thousand variants of a head as pydicom does: whose they are, and each voxel with its value and its place. And a disc's
# directory, whatever it says, changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/serving.sh
. scripts/serving.sh
[ $# = 1 ] || fail "usage: check-pacs.sh FOLDER"
medseg=$1/medseg
tools=${MEDSEG_CACHE:-$HOME/.cache/medseg}/pacs
standards=${MEDSEG_CACHE:-$HOME/.cache/medseg}/standards
[ -f "$standards/complete" ] || fail "fhir.resources and hl7 are missing: scripts/setup.sh test"
[ -f "$tools/complete" ] || fail "pydicom, highdicom and dicomweb-client are missing: scripts/setup.sh test"
for tool in dcmdump dcmftest dcmmkdir dcmodify dsrdump dciodvfy dcentvfy; do
    command -v $tool >/dev/null || fail "$tool is missing: scripts/setup.sh test"
done

export PYTHONPATH=$tools PYTHONDONTWRITEBYTECODE=1

"$1/medseg" phantom --format dicom --slices 8 --size 64 --spacing 16,3.4,3.4 --lesion-ml 20 --seed 5 --out "$folder/small" >/dev/null
python3 scripts/check_variants.py "$1/medseg-decode" "$folder/small"

"$1/medseg" phantom --format dicom --slices 24 --size 96 --spacing 6,2.5,2.5 --lesion-ml 20 --seed 5 --out "$folder/phantom" >/dev/null
python3 scripts/check_pacs.py store "$folder/phantom" "$folder/studies"
# 10: something was found.
"$1/medseg" segment "$folder"/studies/* --model threshold: --research --json --out "$folder/results" >"$folder/told" && status=0 || status=$?
[ $status = 10 ] || fail "nothing was found, or not everywhere (exit status $status): $(cat "$folder/told")"
"$1/medseg" phantom --format dicom --slices 24 --size 96 --spacing 6,2.5,2.5 --no-lesion --seed 5 --out "$folder/healthy" >/dev/null
"$1/medseg" segment "$folder/healthy" --model threshold: --research --out "$folder/results" >/dev/null || fail "something was found in a healthy head"
python3 scripts/check_pacs.py read "$folder/studies" "$folder/results"
"$1/medseg" phantom --seed 1 --out "$folder/picture.png" >/dev/null
"$1/medseg" segment "$folder/picture.png" --model threshold: --research --out "$folder/pictures" >/dev/null && status=0 || status=$?
[ $status = 10 ] || fail "nothing was found in a picture (exit status $status)"
# With libraries of its own: each tool has its versions of what both need.
PYTHONPATH=$standards python3 scripts/check_forms.py "$folder/results" "$folder/pictures"

# A disc whose directory leads out of it.
mkdir -p "$folder/disc/DICOM"
number=0
for file in "$folder"/phantom/*; do
    number=$((number + 1))
    cp "$file" "$folder/disc/DICOM/$(printf 'IM%03d' $number)"
done
(cd "$folder/disc" && dcmmkdir +r +D DICOMDIR DICOM) >"$folder/said" 2>&1 || { cat "$folder/said" >&2; fail "dcmtk makes no DICOMDIR"; }
# As many letters as before: dcmodify would make another class of it.
LC_ALL=C sed -i 's/DICOM\\IM001/..\\..\\SECRT/' "$folder/disc/DICOMDIR"
grep -q SECRT "$folder/disc/DICOMDIR" || fail "the DICOMDIR leads nowhere else"
"$medseg" segment "$folder/disc" "$folder/phantom" --model threshold: --research --out "$folder/discs" >"$folder/told" && status=0 || status=$?
[ $status = 10 ] || fail "nothing was found on a disc (exit status $status): $(cat "$folder/told")"
cmp -s <(gzip -dc "$folder/discs/disc/mask.nii.gz") <(gzip -dc "$folder/discs/phantom/mask.nii.gz") || fail "a DICOMDIR changes the mask"
grep -q "a directory (DICOMDIR)" "$folder/discs/disc/result.json" || fail "nobody is told that a DICOMDIR was left out"

# Their own words go first where one of them complains.
for object in "$folder"/results/*/*.dcm; do
    name=${object#"$folder/results/"}
    dcmdump -q "$object" >"$folder/said" 2>&1 || { tail -n 5 "$folder/said" >&2; fail "dcmdump cannot read $name"; }
    dcmftest "$object" >/dev/null || fail "dcmftest takes $name for no DICOM file"
    dciodvfy "$object" >"$folder/said" 2>&1 || true
    ! grep -i '^error' "$folder/said" >&2 || fail "dciodvfy finds errors in $name"
    case $name in
    */sr.dcm | */text.dcm)
        dsrdump "$object" >"$folder/said" 2>&1 || { tail -n 5 "$folder/said" >&2; fail "dsrdump cannot read $name"; }
        ;;
    esac
done
for result in "$folder"/results/*; do
    study=$folder/studies/$(basename "$result")
    [ -d "$study" ] || study=$folder/healthy
    dcentvfy "$study"/* "$result"/*.dcm >"$folder/said" 2>&1 || true
    ! grep -i '^error' "$folder/said" >&2 || fail "dcentvfy finds that $(basename "$result") contradicts its images"
done
echo "pacs: dcmdump, dcmftest, dsrdump, dciodvfy and dcentvfy find no error"

serve "$1/medseg" --model-url threshold: --research
python3 scripts/check_dicomweb.py "$url" "$password" "$folder/phantom" "$folder/scan"

# What that server measures of solids whose size is known is right, and what it answered can be made again.
by_hand() { MEDSEG_URL=$url MEDSEG_PASSWORD=$password "$medseg" "$@" >"$folder/said" 2>&1 || { tail -n 20 "$folder/said" >&2; fail "medseg $1 failed"; }; }
by_hand certify --live --key "$folder/data/model-key.pem" --out "$folder/certificate"
by_hand certify --verify "$folder/certificate/certificate.html"
grep -q '"complete":true' "$folder/certificate/certificate.html" || fail "the certificate is not of all phantoms"
by_hand replay "$(cat "$folder/scan")" --model threshold: --research
grep -qx "the same" "$folder/said" || fail "a result that was made again is another one"
echo "pacs: all phantoms of the measurement certificate are measured within its limits, and a result is replayed to the same mask"
