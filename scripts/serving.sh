# serving.sh: for checks that need running servers, to be sourced: a temporary $folder; `serve` for medseg itself, and `beside` for what
# stands beside it; all are gone when the check ends.

fail() { echo "error: $*" >&2; exit 1; }

folder=$(mktemp -d)
server=
others=()
stop() {
    local other
    [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
    # With their workers, which are their own session; they have nothing to put in order.
    for other in "${others[@]}"; do
        kill -KILL -- "-$other" 2>/dev/null || true
        wait "$other" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

# serve MEDSEG SETTING...: starts it on a directory and a port of its own; sets url, user and password.
# The password is chosen here: one that medseg makes itself has to be changed at the first sign-in.
serve() {
    local medseg=$1
    shift
    user=admin password=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
    FIRST_PASSWORD=$password "$medseg" serve --data "$folder/data" --listen "${listen:-127.0.0.1:0}" "$@" >"$folder/medseg.said" 2>"$folder/medseg.log" &
    server=$!
    local tries=600
    until url=$(sed -n 's/^medseg answers on //p' "$folder/medseg.said") && [ -n "$url" ]; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] && kill -0 "$server" 2>/dev/null || { tail -n 5 "$folder/medseg.log" >&2; fail "medseg did not start"; }
        sleep 0.1
    done
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# beside LOG COMMAND...: starts another server, which writes into that file.
beside() {
    local log=$1
    shift
    setsid "$@" >"$log" 2>&1 &
    others+=($!)
}

# answers WHAT LOG COMMAND...: waits until the server that was started last is so far that COMMAND succeeds.
answers() {
    local what=$1 log=$2
    shift 2
    for _ in $(seq 600); do
        ! "$@" >/dev/null 2>&1 || return 0
        kill -0 "${others[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 5 "$log" >&2
    fail "$what did not start"
}

# by_itself: what follows reads no settings of this machine, nor of its user.
by_itself() {
    local name
    for name in $(compgen -e | grep -E '^(MLFLOW_|MEDSEG_(URL|USER|PASSWORD|CLIENT)|DVC_|STREAMLIT_)' || true); do unset "$name"; done
    mkdir "$folder/home" "$folder/bin"
    export HOME=$folder/home PYTHONDONTWRITEBYTECODE=1 GIT_PYTHON_REFRESH=quiet MPLCONFIGDIR=$folder/matplotlib DVC_NO_ANALYTICS=1 \
        DVC_SITE_CACHE_DIR=$folder/site DVC_GLOBAL_CONFIG_DIR=$folder/config DVC_SYSTEM_CONFIG_DIR=$folder/config
}

# with_dvc TOOLS: lays a program `dvc` into $folder/bin, with the packages in TOOLS.
with_dvc() {
    # shellcheck disable=SC2016 # "$@" is the program's.
    printf '#!/bin/sh\nPYTHONPATH="%s" exec python3 -m dvc "$@"\n' "$1" >"$folder/bin/dvc"
    chmod +x "$folder/bin/dvc"
}

# quietly WHAT COMMAND...: says how long it took; what COMMAND says, in $folder/said, only where it fails. $check is the check's name.
quietly() {
    local what=$1 started=$SECONDS
    shift
    "$@" >"$folder/said" 2>&1 || { tail -n 40 "$folder/said" >&2; fail "$what failed"; }
    echo "$check: $what ($((SECONDS - started)) s)"
}
