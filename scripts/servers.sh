#!/usr/bin/env bash
# servers.sh COMMAND...: runs COMMAND with a private MariaDB, RabbitMQ and S3 beside it, and stops them whatever happens.
#
# They listen on free ports of the loopback, keep everything in a temporary folder, and are named to COMMAND
# by TEST_MYSQL_URL, TEST_AMQP_URL and TEST_S3_URL. Nothing that this machine runs is touched.
#
# A server that ends is started anew, as an orchestrator would. TEST_SERVERS names the folder where COMMAND finds mysql/pid
# and rabbit/pid, and the scripts mariadb and rabbitmqctl, which speak to the servers as their administrator.
# DURABLE=1: MariaDB flushes each commit and each file, as in production.
set -euo pipefail

# Servers are installed where only root looks.
PATH=$PATH:/usr/sbin:/sbin

fail() { echo "error: $*" >&2; exit 1; }
for program in mariadbd mariadb-install-db mariadb; do
    command -v $program >/dev/null || fail "$program is missing: run 'scripts/setup.sh test'"
done
rabbit_bin=/usr/lib/rabbitmq/bin
[ -x $rabbit_bin/rabbitmq-server ] || fail "rabbitmq-server is missing: run 'scripts/setup.sh test'"

moto=${MEDSEG_CACHE:-$HOME/.cache/medseg}/moto
[ -f "$moto/complete" ] || fail "the S3 server is missing: run 'scripts/setup.sh test'"

# Short, because a Unix socket's path may have 107 bytes; in memory, where test.sh has put temporary folders.
case ${TMPDIR:-} in
/dev/shm/*) place=$TMPDIR ;;
*) place=/tmp ;;
esac
folder=$(mktemp -d "$place/medseg-servers.XXXXXX")
mkdir "$folder/mysql" "$folder/rabbit" "$folder/s3"
secret=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')

# Neither server wants to be root.
as=()
if [ "$(id -u)" = 0 ]; then
    as=(runuser -u nobody --)
    chown -R nobody "$folder"
fi

read -r mysql_port amqp_port dist_port epmd_port s3_port < <(python3 - <<'PYTHON'
import socket
sockets = [socket.socket() for _ in range(5)]
for each in sockets:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in sockets))
PYTHON
)

rabbit_env=(
    HOME="$folder/rabbit" RABBITMQ_BASE="$folder/rabbit" RABBITMQ_MNESIA_BASE="$folder/rabbit/mnesia"
    RABBITMQ_LOG_BASE="$folder/rabbit/log" RABBITMQ_CONFIG_FILE="$folder/rabbit/rabbitmq"
    RABBITMQ_ENABLED_PLUGINS_FILE="$folder/rabbit/enabled_plugins" RABBITMQ_NODENAME="medseg$amqp_port@localhost"
    RABBITMQ_PID_FILE="$folder/rabbit/pid" RABBITMQ_DIST_PORT="$dist_port" ERL_EPMD_PORT="$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
)

touch "$folder/up"
keepers=()
stop() {
    trap - EXIT INT TERM
    rm -f "$folder/up"
    for server in mysql rabbit s3; do
        local pid
        pid=$(cat "$folder/$server/pid" 2>/dev/null) && kill "$pid" 2>/dev/null || true
    done
    wait "${keepers[@]}" 2>/dev/null || true
    # Erlang's name server outlives its last node unless told.
    ERL_EPMD_PORT=$epmd_port ERL_EPMD_ADDRESS=127.0.0.1 epmd -kill >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# keep COMMAND...: runs it in the background, and again whenever it ends, until all is over.
keep() {
    while [ -e "$folder/up" ]; do
        "$@" || true
        sleep 0.1
    done &
    keepers+=($!)
}

# administrator NAME COMMAND...: a script that runs COMMAND with more arguments.
administrator() {
    local script=$folder/$1
    shift
    { echo '#!/bin/sh'; printf 'exec'; printf ' %q' "$@"; echo ' "$@"'; } >"$script"
    chmod 700 "$script"
}

# until_ready NAME LOG CHECK...: waits at most a minute for CHECK to succeed.
until_ready() {
    local name=$1 log=$2
    shift 2
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    tail -n 20 "$log" >&2
    fail "$name did not start"
}

start_mysql() {
    local common=(--no-defaults --datadir="$folder/mysql/data")
    "${as[@]}" mariadb-install-db "${common[@]}" --auth-root-authentication-method=normal --skip-test-db \
        >"$folder/mysql/install.log" 2>&1 || { cat "$folder/mysql/install.log" >&2; fail "mariadb-install-db failed"; }
    # Unless it is asked for, a crash of the machine may lose a temporary folder: each test has a database, of dozens of files.
    local hasty=(--loose-debug-no-sync --loose-innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=0)
    [ -z "${DURABLE:-}" ] || hasty=(--innodb-flush-log-at-trx-commit="$DURABLE")
    keep "${as[@]}" mariadbd "${common[@]}" --bind-address=127.0.0.1 --port="$mysql_port" --skip-name-resolve \
        --socket="$folder/mysql/sock" --pid-file="$folder/mysql/pid" \
        "${hasty[@]}" --max-connections=500 >>"$folder/mysql/log" 2>&1
    local client=(mariadb --no-defaults --user=root --socket="$folder/mysql/sock")
    administrator mariadb "${client[@]}"
    until_ready MariaDB "$folder/mysql/log" "${client[@]}" -e 'select 1'
    # Services have no right to write while the server is read-only.
    "${client[@]}" -e "create database medseg; create user medseg@'127.0.0.1' identified by '$secret';
        grant all on *.* to medseg@'127.0.0.1'; revoke super, read_only admin on *.* from medseg@'127.0.0.1'"
    export TEST_MYSQL_URL="mysql://medseg:$secret@127.0.0.1:$mysql_port/medseg"
}

start_rabbit() {
    "${as[@]}" tee "$folder/rabbit/rabbitmq.conf" >/dev/null <<CONF
listeners.tcp.1 = 127.0.0.1:$amqp_port
default_user = medseg
default_pass = $secret
CONF
    "${as[@]}" tee "$folder/rabbit/enabled_plugins" >/dev/null <<<'[].'
    keep "${as[@]}" env "${rabbit_env[@]}" $rabbit_bin/rabbitmq-server >>"$folder/rabbit/out" 2>&1
    administrator rabbitmqctl "${as[@]}" env "${rabbit_env[@]}" $rabbit_bin/rabbitmqctl
    until_ready RabbitMQ "$folder/rabbit/out" grep -q 'completed with' "$folder/rabbit/out"
    export TEST_AMQP_URL="amqp://medseg:$secret@127.0.0.1:$amqp_port/%2f"
}

start_s3() {
    keep env PYTHONPATH="$moto" sh -c 'echo $$ >"$0"; exec "$@"' "$folder/s3/pid" \
        python3 -m moto.server -H 127.0.0.1 -p "$s3_port" >>"$folder/s3/log" 2>&1
    # Its own way to say who one is: anybody, but somebody.
    export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1
    until_ready S3 "$folder/s3/log" curl -sf -X PUT "http://127.0.0.1:$s3_port/medseg"
    export TEST_S3_URL="s3://medseg?endpoint=http://127.0.0.1:$s3_port"
}

export TEST_SERVERS=$folder
start_mysql
start_rabbit
start_s3
# Not exec: the servers are stopped afterwards.
"$@"
