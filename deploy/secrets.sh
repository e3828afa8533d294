#!/bin/sh
# secrets.sh [FOLDER]: the secrets of docker-compose.yml, a file each, in FOLDER (`secrets`). What is there stays: a running database and a
# running broker keep their passwords. QUEUE_PASSWORD, where it is set, is that of a broker from before there were files.
set -eu
umask 077
here=$(dirname "$0") folder=${1:-secrets}
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
# Each container reads its own as a user of its own; the folder lets nobody else of this machine in.
write() { rm -f "$folder/$1" && printf '%s\n' "$2" >"$folder/$1" && chmod 444 "$folder/$1"; }
keep() { [ -e "$folder/$1" ] || write "$1" "$2"; }
password() { sed 's|^[a-z]*://[^:]*:\([^@]*\)@.*|\1|' "$folder/$1"; }

mkdir -p "$folder"
chmod 700 "$folder"
services="auth storage drift delivery registry"
for name in $services; do
    keep "$name-database-url" "mysql://$name:$(random)@mysql:3306/$name"
done
keep queue-url "amqp://medseg:${QUEUE_PASSWORD:-$(random)}@rabbitmq:5672/%2f"
for name in service-secret delivery-secret gateway-secret first-password grafana-password; do
    keep "$name" "$(random)"
done
# What database and broker are told follows from what the services are told.
write databases.sql "$(for name in $services; do echo "$name $(password "$name-database-url")"; done | "$here/databases.sh")"
write rabbitmq.conf "default_user = medseg
default_pass = $(password queue-url)"
echo "secrets: $(find "$folder" -type f | wc -l) files in $folder"
