#!/usr/bin/env bash
# check-delivery.sh FOLDER: what hospitals' own software takes of what is pushed.
#
# Starts the medseg that lies in FOLDER on a directory and a port of its own, and beside it dcmtk's storescp and dcmqrscp, which is searched
# afterwards for what it was sent, a pynetdicom archive that has no room at first and takes no report in sentences, an information
# system of the Python package hl7 that refuses the first message, and a FHIR server that reads transactions with fhir.resources and
# forgets to answer one. One head goes to all of them: each has it in the end, once.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/serving.sh
. scripts/serving.sh
[ $# = 1 ] || fail "usage: check-delivery.sh FOLDER"
medseg=$1/medseg
pynetdicom=$MEDSEG_CACHE/dicom-senders standards=$MEDSEG_CACHE/standards
[ -f "$pynetdicom/complete" ] || fail "pynetdicom is missing: scripts/setup.sh test"
[ -f "$standards/complete" ] || fail "fhir.resources and hl7 are missing: scripts/setup.sh test"
for tool in storescp dcmqrscp echoscu dcmftest; do
    command -v $tool >/dev/null || fail "$tool is missing: scripts/setup.sh test"
done
export PYTHONDONTWRITEBYTECODE=1

mkdir "$folder/storescp" "$folder/dcmqrscp" "$folder/archive" "$folder/systems"
storescp=$(free_port) dcmqrscp=$(free_port) archive=$(free_port) mllp=$(free_port) fhir=$(free_port)
beside "$folder/storescp.log" storescp -aet STORESCP -od "$folder/storescp" "$storescp"
answers storescp "$folder/storescp.log" echoscu 127.0.0.1 "$storescp"
# Its forms are those of dcmqrscp.cfg(5): who may have how much in which folder.
cat >"$folder/dcmqrscp.cfg" <<END
NetworkTCPPort = $dcmqrscp
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
DCMQRSCP $folder/dcmqrscp RW (20, 100mb) ANY
AETable END
END
beside "$folder/dcmqrscp.log" dcmqrscp --config "$folder/dcmqrscp.cfg"
answers dcmqrscp "$folder/dcmqrscp.log" echoscu -aec DCMQRSCP 127.0.0.1 "$dcmqrscp"
beside "$folder/archive.log" env PYTHONPATH="$pynetdicom" python3 scripts/check_delivery_peers.py archive "$archive" "$folder/archive"
answers "the archive" "$folder/archive.log" echoscu 127.0.0.1 "$archive"
beside "$folder/systems.log" env PYTHONPATH="$standards" python3 scripts/check_delivery_peers.py systems "$mllp" "$fhir" "$folder/systems"
answers "the information system" "$folder/systems.log" test -f "$folder/systems/ready"

export DELIVERY_NETWORKS=127.0.0.0/8
serve "$medseg" --model-url threshold: --research
"$medseg" phantom --format dicom --slices 24 --size 96 --spacing 6,2.5,2.5 --lesion-ml 20 --seed 5 --out "$folder/phantom" >/dev/null
python3 scripts/check_delivery.py "$url" "$password" "$folder" "$storescp" "$dcmqrscp" "$archive" "$mllp" "$fhir"
PYTHONPATH=$pynetdicom python3 scripts/check_delivery_peers.py searched "$dcmqrscp" "$folder/storescp"
for object in "$folder"/storescp/*; do
    dcmftest "$object" >/dev/null || fail "dcmftest takes what storescp has stored for no DICOM file"
done
echo "delivery: storescp, dcmqrscp, pynetdicom, hl7 and fhir.resources have the same head, once each"
