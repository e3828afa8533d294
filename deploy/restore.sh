#!/usr/bin/env bash
# restore.sh FOLDER: brings back what backup.sh has saved, into empty databases and an empty folder or bucket.
#
# Reads what backup.sh reads. Start the services afterwards: they bring the tables up to date, and announce unfinished jobs again.
set -euo pipefail
folder=${1:?from which folder?}
here=$(dirname "$0")
for file in auth.sql storage.sql drift.sql signing-key.pem; do
    [ -s "$folder/$file" ] || { echo "error: $folder/$file is missing: this is no whole backup" >&2; exit 1; }
done

for name in auth storage drift; do
    variable=${name^^}_DATABASE_URL url=${!variable:?}
    tables=$("$here/mysql.py" mariadb "$url" --skip-column-names -e 'show tables')
    [ -z "$tables" ] || { echo "error: the database of $name is not empty" >&2; exit 1; }
done
case ${BLOB_URL:?} in
file://*)
    mkdir -p "${BLOB_URL#file://}"
    cp -a "$folder/objects/." "${BLOB_URL#file://}/"
    ;;
gs://*) gcloud storage rsync --recursive "$folder/objects" "$BLOB_URL" ;;
*) echo "error: $BLOB_URL: use the bucket's own tools" >&2 && exit 1 ;;
esac
install -m 600 "$folder/signing-key.pem" "${SIGNING_KEY:?}"
# Rows last: none is there without its objects.
for name in auth storage drift; do
    variable=${name^^}_DATABASE_URL
    "$here/mysql.py" mariadb "${!variable}" <"$folder/$name.sql"
    echo "restore: $name"
done
echo "restore: $(find "$folder/objects" -type f | wc -l) objects and the signing key"
