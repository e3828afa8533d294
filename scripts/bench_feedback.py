"""bench_feedback.py MEDSEG [KIND...]: how many verdicts a second are accepted durably, as a Markdown table.

One `medseg serve` on a fresh folder, one hospital, and readers who each send the next verdict when the last one is answered, over
real connections. At the end of each row the server is killed (SIGKILL) amid them and started again: whatever was acknowledged must be
there, and what was under way is sent again under its key and must be there once. Exits 1 where that fails, or fewer than asked came
through.
"""

import argparse
import asyncio
import json
import math
import os
import pathlib
import signal
import sys
import tempfile
import time

from bench_flood import SOURCE_B, Hospital, Server
from floods import Connection, prepare

ASKED_PER_S = 50
READERS = 16
# Real readers judge many scans; words about one are kept one after the other, and each looks at those before it.
SCANS = 100
SECONDS = 10
RETRY_S = 0.05
BOUNDARY = "medseg-verdict"


def agreed(number, _mask):
    return "application/json", json.dumps({"verdict": "agree", "note": f"verdict {number}"}).encode()


def corrected(number, mask):
    word = json.dumps({"verdict": "correct", "truth": "tumour", "reason": "outline", "note": f"verdict {number}"})
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="feedback"\r\n\r\n{word}\r\n'
    head += f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="mask"; filename="mask.png"\r\n\r\n'
    return f"multipart/form-data; boundary={BOUNDARY}", head.encode() + mask + f"\r\n--{BOUNDARY}--\r\n".encode()


KINDS = {"agree": ("agree, in words", agreed), "correct": ("correct, with an outline (PNG)", corrected)}


class Verdicts:
    """Verdicts of one kind: what was sent, and what was acknowledged."""

    def __init__(self, kind, hospital, scans, mask):
        self.kind, self.hospital, self.scans, self.mask = kind, hospital, scans, mask
        self.sent = 0
        # By its number, the id that it was acknowledged with.
        self.given = {}
        self.seconds, self.refused = [], 0

    def scan(self, number):
        return self.scans[number % len(self.scans)]

    async def send(self, connection, number):
        """The status, and the id of the verdict that is kept."""
        kind, body = KINDS[self.kind][1](number, self.mask)
        bearer = f"Bearer {self.hospital.token}"
        headers = {"authorization": bearer, "content-type": kind, "idempotency-key": f"{self.kind}-{number}"}
        status, answer = await connection.ask("POST", f"/v1/scans/{self.scan(number)}/feedback", headers, body)
        return status, json.loads(answer).get("id") if status == 201 else answer

    async def judge(self, during_s):
        """What one reader does: one verdict after the other, until the server is gone."""
        ends, connection, number = time.monotonic() + during_s, None, None
        while time.monotonic() < ends:
            if number is None:
                number, begun = self.sent, time.monotonic()
                self.sent += 1
            try:
                connection = connection or await Connection.open(self.hospital.server.at, SOURCE_B)
                status, said = await self.send(connection, number)
            except (OSError, EOFError):
                return
            if connection.ended:
                connection.close()
                connection = None
            if status == 201:
                self.seconds.append(time.monotonic() - begun)
                self.given[number], number = said, None
            elif status in (429, 503):
                self.refused += 1
                await asyncio.sleep(RETRY_S)
            else:
                sys.exit(f"error: a verdict is answered with {status}: {said[:400]}")

    async def again(self):
        """Sends what nobody has acknowledged again, and a hundred of the others, under the keys that they had."""
        under_way = [number for number in range(self.sent) if number not in self.given]
        for number in [*under_way, *list(self.given)[-100:]]:
            connection = await Connection.open(self.hospital.server.at, SOURCE_B)
            status, said = await self.send(connection, number)
            connection.close()
            if status != 201:
                sys.exit(f"error: verdict {number}, sent again, is answered with {status}: {said[:400]}")
            if self.given.setdefault(number, said) != said:
                sys.exit(f"error: verdict {number}, sent again, is kept twice")
        return len(under_way)

    async def kept(self):
        """The ids of all verdicts of this kind that are there."""
        ids = []
        for scan in self.scans:
            said = json.loads(await self.hospital.ask(200, "GET", f"/v1/scans/{scan}/feedback"))["feedback"]
            ids += [word["id"] for word in said if word["verdict"] == self.kind]
        return ids

    def ms(self, of_100):
        """Of 100 so many took no longer."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[math.ceil(of_100 / 100 * len(ordered)) - 1]


def killed(server):
    server.process.kill()
    server.process.wait()


async def row(verdicts, options):
    """Judges, kills the server amid it, starts it again and counts; whether all is as asked."""
    server = verdicts.hospital.server
    await verdicts.hospital.sign_in()
    # They would go on for a little while: so some are under way when the server goes.
    readers = [asyncio.create_task(verdicts.judge(options.seconds + 60)) for _ in range(options.readers)]
    begun = time.monotonic()
    await asyncio.sleep(options.seconds)
    # Whoever fails says why.
    for ended in (reader for reader in readers if reader.done()):
        ended.result()
    acknowledged, took_s = len(verdicts.given), time.monotonic() - begun
    killed(server)
    await asyncio.gather(*readers)
    server.start()
    await verdicts.hospital.sign_in()
    lost = len(set(verdicts.given.values()) - set(await verdicts.kept()))
    under_way = await verdicts.again()
    kept = await verdicts.kept()
    doubled = len(kept) - verdicts.sent
    rate = acknowledged / took_s
    facts = [KINDS[verdicts.kind][0], f"{acknowledged:,}", f"**{rate:,.0f}**", f"{verdicts.ms(50):,.0f} / {verdicts.ms(99):,.0f}"]
    print("| " + " | ".join([*facts, f"{verdicts.refused:,}", f"{under_way}", f"{lost}", f"{doubled}"]) + " |", flush=True)
    return lost == 0 and doubled == 0 and rate >= options.least


async def analysed(hospital, image):
    """A scan with a result, and the mask that it has."""
    scan = json.loads(await hospital.ask(202, "POST", "/v1/scans", image))["id"]
    # The stream ends when the scan is done.
    await hospital.ask(200, "GET", f"/v1/scans/{scan}/events")
    return scan, await hospital.ask(200, "GET", f"/v1/scans/{scan}/mask.png")


async def bench(options, folder):
    files, server = prepare(options.program, folder), Server(options.program, folder)
    try:
        hospital = Hospital(server, "b", SOURCE_B)
        await hospital.sign_in()
        image = pathlib.Path(files["scan"]).read_bytes()
        scans = [await analysed(hospital, image) for _ in range(SCANS)]
        print(
            f"{os.cpu_count()} processors; {options.readers} readers on {SCANS} scans, {options.seconds:g} s a row; asked: {options.least} a second. Times are p50 / p99\n"
            "in ms. Under way: those that had no answer when the server was killed; each was sent again.\n"
        )
        print("| verdict | acknowledged | a second | ms | refused for now | under way | lost | doubled |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|")
        names, mask = [name for name, _ in scans], scans[0][1]
        as_asked = [await row(Verdicts(kind, hospital, names, mask), options) for kind in options.kinds or KINDS]
    finally:
        server.stop()
    if not all(as_asked):
        sys.exit(f"error: fewer than {options.least} verdicts a second, or one that is lost or doubled")


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("program", type=lambda path: str(pathlib.Path(path).resolve()))
    options.add_argument("kinds", nargs="*", metavar="KIND", help=f"all, unless named: {', '.join(KINDS)}")
    options.add_argument("--seconds", type=float, default=SECONDS)
    options.add_argument("--readers", type=int, default=READERS)
    options.add_argument("--least", type=int, default=ASKED_PER_S, help="so many a second are asked")
    options = options.parse_intermixed_args()
    if unknown := set(options.kinds) - set(KINDS):
        sys.exit(f"error: no such kind of verdict: {', '.join(sorted(unknown))}")
    # Whoever ends it early leaves no server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="medseg-feedback.") as folder:
        asyncio.run(bench(options, pathlib.Path(folder)))


if __name__ == "__main__":
    main()
