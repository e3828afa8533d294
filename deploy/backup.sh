#!/usr/bin/env bash
# backup.sh FOLDER: saves the databases, the objects and the signing key, in this order: each row's objects are there before it.
#
# Reads AUTH_DATABASE_URL, STORAGE_DATABASE_URL, DRIFT_DATABASE_URL (mysql://…), BLOB_URL (file:///… or gs://…) and SIGNING_KEY.
# Services may go on meanwhile.
set -euo pipefail
folder=${1:?into which folder?}
here=$(dirname "$0")
umask 077
mkdir -p "$folder/objects"

for name in auth storage drift; do
    variable=${name^^}_DATABASE_URL
    # One transaction: the rows as they were at one moment.
    "$here/mysql.py" mariadb-dump "${!variable:?}" --single-transaction --no-tablespaces >"$folder/$name.sql.part"
    mv "$folder/$name.sql.part" "$folder/$name.sql"
    echo "backup: $name, $(wc -c <"$folder/$name.sql") bytes"
done
case ${BLOB_URL:?} in
file://*) cp -a "${BLOB_URL#file://}/." "$folder/objects/" ;;
gs://*) gcloud storage rsync --recursive "$BLOB_URL" "$folder/objects" ;;
*) echo "error: $BLOB_URL: use the bucket's own tools" >&2 && exit 1 ;;
esac
rm -rf "$folder/objects/.staging"
cp "${SIGNING_KEY:?}" "$folder/signing-key.pem"
echo "backup: $(find "$folder/objects" -type f | wc -l) objects and the signing key"
