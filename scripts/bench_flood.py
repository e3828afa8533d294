"""bench_flood.py MEDSEG [FLOOD...]: what a hospital notices of floods by strangers and by another hospital, as a Markdown table.

One `medseg serve` on a fresh folder, hospitals A and B. What B waits for is measured undisturbed and in the flood, by turns, so that
the ratio holds on a noisy machine. B opens a connection for each request and, where it is refused, tries again, as clients do: its
time ends with the answer that it wanted. FLOODERS=N processes flood together.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import pathlib
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

from floods import FLOODS, SOURCE_A, Connection, prepare

# So that floods of connections meet their limit on every machine: half of these are for connections.
OPEN_FILES = 4096
FLOODERS = 2
SOURCE_B = "127.0.1.1"
# What a flood takes to be there, and what it leaves behind to be gone.
SETTLE_S = 2
# B gives up then, and that is the time that counts.
PATIENCE_S = 30
RETRY_S = 0.1
DRAIN_S = 120
TOO_MUCH = 1.2
ASKED = {"list": "list of scans", "upload": "upload to 202", "result": "upload to result"}


class Server:
    """`medseg serve`, with two hospitals that have a user each."""

    def __init__(self, program, folder):
        self.program, self.data, self.log = program, folder / "data", folder / "log"
        self.start()
        self.stop()
        self.passwords = {name: self.add(name) for name in ("a", "b")}
        self.start()

    def add(self, name):
        password = secrets.token_urlsafe(16)
        user = [self.program, "user", "--data", self.data]
        subprocess.run([*user, "add-tenant", f"Hospital {name}"], check=True, stdout=subprocess.DEVNULL)
        add = [*user, "add", f"radiologist-{name}", "--tenant", f"Hospital {name}", "--role", "clinician", "--role", "integrator"]
        subprocess.run(add, input=password + "\n", text=True, check=True, stdout=subprocess.DEVNULL)
        return password

    def start(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
        serve = [self.program, "serve", "--data", self.data, "--listen", "127.0.0.1:0", "--model-url", "threshold:", "--research"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(serve, stdout=log, stderr=log, preexec_fn=limit)
        deadline = time.monotonic() + PATIENCE_S
        while not (said := self.log.read_text().partition("medseg answers on ")[2]).endswith("\n"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"error: medseg does not start: {self.log.read_text()[-400:]}")
            time.sleep(0.1)
        url = urllib.parse.urlsplit(said.split()[0])
        self.at = (url.hostname, url.port)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def processor_s(self):
        """The processors' time that it and its decoders have taken so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


class Refused(Exception):
    """Not the answer that was wanted: come back."""


class Hospital:
    """A user of one hospital, at an address of its own."""

    def __init__(self, server, name, source):
        self.server, self.name, self.source = server, name, source
        self.token, self.refused = "", 0

    async def sign_in(self):
        form = {"grant_type": "password", "username": f"radiologist-{self.name}", "password": self.server.passwords[self.name]}
        answer = await self.ask(200, "POST", "/v1/token", urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded")
        self.token = json.loads(answer)["access_token"]

    async def ask(self, wanted, method, path, body=b"", kind="application/octet-stream"):
        """The answer of that status; asks again until then."""
        while True:
            try:
                return await self.once(wanted, method, path, body, kind)
            except (Refused, OSError, EOFError):
                self.refused += 1
                await asyncio.sleep(RETRY_S)

    async def once(self, wanted, method, path, body, kind):
        headers = {"authorization": f"Bearer {self.token}", "content-type": kind}
        connection = await Connection.open(self.server.at, self.source)
        with contextlib.closing(connection):
            status, answer = await connection.ask(method, path, headers, body)
        if status != wanted:
            raise Refused(status)
        return answer

    async def analyse(self, image, begun):
        """Sends a scan and follows its events to the end; how long each took, from `begun`."""
        scan = json.loads(await self.ask(202, "POST", "/v1/scans", image))
        yield "upload", time.monotonic() - begun
        # The stream ends when the scan is done.
        await self.ask(200, "GET", f"/v1/scans/{scan['id']}/events")
        await self.ask(200, "GET", f"/v1/scans/{scan['id']}/result")
        yield "result", time.monotonic() - begun

    async def idle(self):
        """Waits until nothing of this hospital is under way."""
        deadline = time.monotonic() + DRAIN_S
        for state in ("queued", "running"):
            while json.loads(await self.ask(200, "GET", f"/v1/scans?state={state}&limit=1"))["scans"]:
                if time.monotonic() > deadline:
                    sys.exit(f"error: what the flood has sent is not analysed after {DRAIN_S} s")
                await asyncio.sleep(RETRY_S)


class Times:
    """What B waited for, in seconds."""

    def __init__(self):
        self.seconds = {asked: [] for asked in ASKED}
        self.refused = 0

    async def measure(self, hospital, image, during_s):
        ends, before = time.monotonic() + during_s, hospital.refused
        while time.monotonic() < ends:
            await self.turn(hospital, image)
        self.refused += hospital.refused - before

    async def turn(self, hospital, image):
        """One request for the list and one upload; what is not done when patience ends counts as long as that."""
        waiting, begun = ["list", "upload", "result"], time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await hospital.ask(200, "GET", "/v1/scans")
                self.seconds[waiting.pop(0)].append(time.monotonic() - begun)
                async for asked, seconds in hospital.analyse(image, time.monotonic()):
                    self.seconds[asked].append(seconds)
                    waiting.remove(asked)
        except TimeoutError:
            for asked in waiting:
                self.seconds[asked].append(PATIENCE_S)

    def ms(self, asked, of_100):
        """Of 100 so many took no longer."""
        ordered = sorted(self.seconds[asked])
        return 1000 * ordered[math.ceil(of_100 / 100 * len(ordered)) - 1]


class Flood:
    """Processes that flood, from now until `end`."""

    def __init__(self, name, hospital_a, files, flooders):
        told = {"server": hospital_a.server.at, "token": hospital_a.token, "user_name": "radiologist-b", "files": files, "of": flooders}
        command = [sys.executable, pathlib.Path(__file__).with_name("floods.py"), name]
        pipe = subprocess.PIPE
        self.processes = [
            subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, preexec_fn=lambda: os.nice(19)) for _ in range(flooders)
        ]
        for number, process in enumerate(self.processes):
            process.stdin.write(json.dumps({**told, "number": number}) + "\n")
            process.stdin.flush()

    def end(self):
        """What became of its requests."""
        became = {}
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            said = process.stdout.read()
            if process.wait() != 0:
                sys.exit("error: a flooder failed")
            for how, count in json.loads(said).items():
                became[how] = became.get(how, 0) + count
        return became


class Row:
    """One flood: what became of its requests, and what B noticed."""

    def __init__(self, name):
        self.name, self.quiet, self.flood = name, Times(), Times()
        self.became, self.processors = {}, []

    async def round(self, hospital_a, hospital_b, files, options):
        image = pathlib.Path(files["scan"]).read_bytes()
        # A token lives for five minutes.
        await hospital_a.sign_in()
        await hospital_b.sign_in()
        await self.quiet.measure(hospital_b, image, options.seconds)
        flood = Flood(self.name, hospital_a, files, options.flooders)
        await asyncio.sleep(SETTLE_S)
        begun, processor_s = time.monotonic(), hospital_b.server.processor_s()
        await self.flood.measure(hospital_b, image, options.seconds)
        self.processors.append((hospital_b.server.processor_s() - processor_s) / (time.monotonic() - begun))
        for how, count in flood.end().items():
            self.became[how] = self.became.get(how, 0) + count
        await hospital_a.idle()
        await asyncio.sleep(SETTLE_S)

    def ratio(self, asked):
        return self.flood.ms(asked, 99) / self.quiet.ms(asked, 99)

    def lines(self):
        became = ", ".join(f"{how}: {count:,}" for how, count in sorted(self.became.items(), key=lambda one: -one[1]))
        facts = [FLOODS[self.name][0], became, f"{sum(self.processors) / len(self.processors):.1f}", f"{self.flood.refused:,}"]
        for asked, words in ASKED.items():
            both = [f"{times.ms(asked, 50):,.0f} / {times.ms(asked, 99):,.0f}" for times in (self.quiet, self.flood)]
            samples = " / ".join(str(len(times.seconds[asked])) for times in (self.quiet, self.flood))
            yield "| " + " | ".join([*facts, words, samples, *both, f"{self.ratio(asked):.2f}"]) + " |"
            facts = ["", "", "", ""]


def introduce(options):
    print(
        f"{options.flooders} processes flood together (FLOODERS=N), at nice 19: on one machine they would otherwise take from the server what they compute\n"
        "themselves, and callers from outside bring processors of their own. What the server computes for them still counts.\n"
        f"{os.cpu_count()} processors; {options.rounds} x {options.seconds} s undisturbed and as long in each flood, by turns. Times are p50 / p99 in ms, the ratio\n"
        f"is that of the p99; what B does not have after {PATIENCE_S} s counts as that. Processors: how many the server and its decoders kept busy.\n"
    )
    print("| flood | what became of its requests | processors | B refused | B waits for | samples | undisturbed | in the flood | ratio |")
    print("|---|---|--:|--:|---|--:|--:|--:|--:|")


def judge(rows):
    over = [(row, asked) for row in rows for asked in ASKED if row.ratio(asked) > TOO_MUCH]
    print(f"\n{len(over)} of {len(rows) * len(ASKED)} ratios are over {TOO_MUCH}{':' if over else '.'}\n")
    for row, asked in over:
        print(f"- {FLOODS[row.name][0]}; {ASKED[asked]}: {row.ratio(asked):.2f}")


async def bench(options, folder):
    files, server = prepare(options.program, folder), Server(options.program, folder)
    try:
        a, b = Hospital(server, "a", SOURCE_A), Hospital(server, "b", SOURCE_B)
        introduce(options)
        rows = [Row(name) for name in options.floods or FLOODS]
        for row in rows:
            for _ in range(options.rounds):
                await row.round(a, b, files, options)
            print("\n".join(row.lines()), flush=True)
        judge(rows)
    finally:
        server.stop()


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("program", type=lambda path: str(pathlib.Path(path).resolve()))
    options.add_argument("floods", nargs="*", metavar="FLOOD", help=f"all, unless named: {', '.join(FLOODS)}")
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--flooders", type=int, default=os.environ.get("FLOODERS") or FLOODERS, help="processes; also FLOODERS")
    options = options.parse_intermixed_args()
    if unknown := set(options.floods) - set(FLOODS):
        sys.exit(f"error: no such flood: {', '.join(sorted(unknown))}")
    # Whoever ends it early leaves no server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="medseg-flood.") as folder:
        asyncio.run(bench(options, pathlib.Path(folder)))


if __name__ == "__main__":
    main()
