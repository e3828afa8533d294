#!/bin/sh
# The decoder beside it, which notes what each process is asked for.
echo "$*" >>"${0%/*}/asked"
exec "${0%/*}/medseg-decode" "$@"
