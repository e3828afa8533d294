#!/usr/bin/env bash
# check-dicom.sh FOLDER: what hospitals' own software sends by C-STORE and STOW-RS becomes scans.
#
# Starts the medseg that lies in FOLDER on a directory and ports of its own. dcmtk's echoscu and storescu send one head in each
# transfer syntax that medseg takes and storescu proposes, and pynetdicom sends it with contexts that nobody knows, in associations that break off and in
# several at once: each time it is one scan, with the mask that its zip has; and who is not in the table is told so. dicomweb-client
# stores it by STOW-RS, pynetdicom asks for a commitment and is told on its association and on another, and both of dcmtk and pynetdicom
# come by TLS.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/serving.sh
. scripts/serving.sh
[ $# = 1 ] || fail "usage: check-dicom.sh FOLDER"
medseg=$1/medseg
tools=$MEDSEG_CACHE/dicom-senders jpeg2000=$MEDSEG_CACHE/jpeg2000
[ -f "$tools/complete" ] || fail "pynetdicom and dicomweb-client are missing: scripts/setup.sh test"
[ -f "$jpeg2000/complete" ] || fail "pylibjpeg-openjpeg is missing: scripts/setup.sh test"
for tool in echoscu storescu dcmconv dcmcrle dcmcjpeg dcmcjpls openssl; do
    command -v $tool >/dev/null || fail "$tool is missing: scripts/setup.sh test"
done
export PYTHONPATH=$tools PYTHONDONTWRITEBYTECODE=1

# again SIGNAL: ends medseg by that signal, and starts it again on what is there.
again() {
    kill "-$1" "$server"
    wait "$server" || true
    # What it has said before is not taken for its address.
    : >"$folder/medseg.said"
    serve "$medseg" --model-url threshold: --research
}

# The table names an API client, which there is only once medseg has run.
serve "$medseg" --model-url threshold: --research
first_password=$password port=$(free_port) report_port=$(free_port)
python3 scripts/check_dicom.py table "$url" "$first_password" "$folder/senders.json" "$report_port"
export DICOM_LISTEN=127.0.0.1:$port DICOM_SENDERS=$folder/senders.json DICOM_QUIET_S=5
again TERM

say() { echo "dicom: $*"; }

# quietly COMMAND...: what COMMAND says only where it fails.
quietly() {
    "$@" >"$folder/said" 2>&1 || { tail -n 20 "$folder/said" >&2; fail "$1 failed"; }
}

# sends SERIES OPTION...: sends the files of that folder in one association of storescu.
sends() {
    local series=$1
    shift
    quietly storescu "$@" -aet SCANNER -aec MEDSEG +sd 127.0.0.1 "$port" "$folder/$series"
}

# rejected TITLE CALLED WORDS: who calls so is rejected with that reason.
rejected() {
    ! echoscu -aet "$1" -aec "$2" 127.0.0.1 "$port" >"$folder/said" 2>&1 || fail "$1 is let in at $2"
    grep -q "$3" "$folder/said" || { cat "$folder/said" >&2; fail "$1 is not told why it is rejected"; }
}

# jpeg_2000 SERIES [RATIO]: writes the files of that folder in JPEG 2000, without loss or so many times smaller.
jpeg_2000() { quietly env PYTHONPATH="$tools:$jpeg2000" python3 scripts/check_dicom.py jpeg-2000 "$folder/$1" "${@:2}"; }

# encoded SERIES COMMAND...: a series of its own, with each file as that program writes it; true: as it is.
encoded() {
    local series=$1 file
    shift
    python3 scripts/check_dicom.py series "$folder/phantom" "$folder/$series"
    [ "$1" != true ] || return 0
    for file in "$folder/$series"/*; do
        quietly "$@" "$file" "$file.encoded"
        mv "$file.encoded" "$file"
    done
}

quietly echoscu -aet SCANNER -aec MEDSEG 127.0.0.1 "$port"
rejected STRANGER MEDSEG "Calling AE Title Not Recognized"
rejected SCANNER PACS "Called AE Title Not Recognized"
say "echoscu is answered, and strangers are told why not"

"$medseg" phantom --format dicom --slices 24 --size 96 --spacing 6,2.5,2.5 --lesion-ml 20 --seed 5 --out "$folder/phantom" >/dev/null
encoded explicit dcmconv +te && sends explicit -xe
encoded implicit dcmconv +ti && sends implicit -xi
encoded big-endian dcmconv +tb && sends big-endian -xb
encoded deflated dcmconv +td && sends deflated -xd
encoded rle dcmcrle && sends rle -xr
encoded jpeg-lossless dcmcjpeg +e1 && sends jpeg-lossless -xs
encoded jpeg-ls dcmcjpls +el && sends jpeg-ls -xt
encoded jpeg-2000 true && jpeg_2000 jpeg-2000 && sends jpeg-2000 -xv
# storescu proposes no process 14 but with its first predictor.
encoded process-14 dcmcjpeg +el && python3 scripts/check_dicom.py coded "$port" "$folder/process-14"
# What loses something has another mask, and the one that its own files have without a door.
lossy=(jpeg-baseline jpeg-ls-near jpeg-2000-lossy)
encoded jpeg-baseline dcmcjpeg +eb && sends jpeg-baseline -xy
encoded jpeg-ls-near dcmcjpls +en && sends jpeg-ls-near -xu
encoded jpeg-2000-lossy true && jpeg_2000 jpeg-2000-lossy 4 && sends jpeg-2000-lossy -xw
# 10: something was found.
"$medseg" segment "${lossy[@]/#/$folder/}" --model threshold: --research --out "$folder/references" >"$folder/said" 2>&1 && status=0 || status=$?
[ $status = 10 ] || fail "nothing was found in what was compressed with loss (exit status $status): $(tail -n 5 "$folder/said")"
# Once more, and in whatever storescu proposes by itself: it is the same series.
sends explicit
say "eleven transfer syntaxes by storescu, and JPEG lossless with any predictor by pynetdicom"
python3 scripts/check_dicom.py odd "$port" "$folder/phantom"
python3 scripts/check_dicom.py aborted "$port" "$folder/phantom"
python3 scripts/check_dicom.py parallel "$port" "$folder/phantom"
python3 scripts/check_dicom.py stow "$url" "$first_password" "$folder/phantom"
python3 scripts/check_dicom.py commitment "$port" "$folder/phantom" "$report_port"
# What was acknowledged is a scan, also where nobody is left who has acknowledged it.
python3 scripts/check_dicom.py killed "$port" "$folder/phantom"

# Certificates of an authority of this check's own, for a day.
certify() {
    quietly openssl req -x509 -config "$folder/tls.cnf" -newkey rsa:2048 -nodes -days 2 -keyout "$folder/$1.key" -out "$folder/$1.pem" \
        -subj "/CN=$1" "${@:2}"
}
cat >"$folder/tls.cnf" <<'END'
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[leaf]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost
END
certify authority -extensions authority
for name in door scanner; do
    certify $name -extensions leaf -CA "$folder/authority.pem" -CAkey "$folder/authority.key"
done
export DICOM_TLS_CERTIFICATE=$folder/door.pem DICOM_TLS_KEY=$folder/door.key DICOM_TLS_AUTHORITY=$folder/authority.pem
again KILL
secure=(+tls "$folder/scanner.key" "$folder/scanner.pem" +cf "$folder/authority.pem")
quietly echoscu "${secure[@]}" -aet SCANNER -aec MEDSEG 127.0.0.1 "$port"
! echoscu +tla +cf "$folder/authority.pem" -aet SCANNER -aec MEDSEG 127.0.0.1 "$port" >"$folder/said" 2>&1 ||
    fail "who shows no certificate is let in"
encoded secure dcmconv +te && sends secure "${secure[@]}"
say "dcmtk comes by TLS with a certificate, and not without"
python3 scripts/check_dicom.py tls "$port" "$folder/phantom" "$folder"
python3 scripts/check_dicom.py compare "$url" "$first_password" "$folder/phantom" 21 "${lossy[@]/#/$folder/references/}"
