#!/bin/sh
# A decoder that says it is in a whole jail, and keeps its file ten times as long as it may.
head -c 1 >/dev/null
case "$*" in
*ready) printf '\047\000\000\000{"ready":{"landlock":7,"seccomp":true}}' ;;
*) exec sleep "${2#--cpu-s=}0" ;;
esac
