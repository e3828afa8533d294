# serving.sh: for checks that need a running medseg, to be sourced: a temporary $folder, and `serve`; both are gone when the check ends.

fail() { echo "error: $*" >&2; exit 1; }

folder=$(mktemp -d)
server=
stop() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
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
    FIRST_PASSWORD=$password "$medseg" serve --data "$folder/data" --listen 127.0.0.1:0 "$@" >"$folder/said" 2>"$folder/log" &
    server=$!
    local tries=600
    until url=$(sed -n 's/^medseg answers on //p' "$folder/said") && [ -n "$url" ]; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] && kill -0 "$server" 2>/dev/null || { tail -n 5 "$folder/log" >&2; fail "medseg did not start"; }
        sleep 0.1
    done
}
