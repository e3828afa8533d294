#!/bin/sh
# A decoder that says it is in a whole jail, and is killed as one that tried to leave it.
# It takes its file, as every decoder does.
head -c 1 >/dev/null
case "$*" in
*ready) printf '\047\000\000\000{"ready":{"landlock":7,"seccomp":true}}' ;;
*) kill -SYS $$ ;;
esac
