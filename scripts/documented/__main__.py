"""documented PROGRAMS [PART...]: whether everything that the documents, the Makefile and --help speak of works as they say.

PROGRAMS is the folder of the built programs; parts are blocks, subcommands and targets (all of them, unless some are named).
"""

import subprocess
import sys

import blocks
import subcommands
import targets
from running import Failed, Place

PARTS = {"subcommands": subcommands.check, "blocks": blocks.check, "targets": targets.check}


def main():
    programs, *wanted = sys.argv[1:]
    faults = []
    for name in wanted or PARTS:
        place = Place(programs)
        try:
            PARTS[name](place)
        except (Failed, subprocess.TimeoutExpired) as fault:
            faults.append(f"{name}: {fault}")
        finally:
            place.close()
    if faults:
        sys.exit("\n".join(f"error: {fault}" for fault in faults))
    print("documented: all of it works as the documents say")


if __name__ == "__main__":
    main()
