"""count_tests.py LOG: prints how many tests passed and failed, by the summary lines of nextest or cargo test."""

import re
import sys

text = re.sub(r"\x1b\[[0-9;]*m", "", open(sys.argv[1], encoding="utf-8", errors="replace").read())
nextest = re.findall(r"Summary \[.*?\] .*", text)
lines = nextest[-1:] or re.findall(r"^test result: .*", text, flags=re.MULTILINE)


def total(word):
    return sum(int(count) for line in lines for count in re.findall(rf"(\d+) {word}", line))


# nextest tells apart what failed and what ran out of time.
print(total("passed"), total("failed") + total("timed out"))
