"""floods.py NAME: one process of a flood, as `make flood` starts it, and the HTTP client of both.

Its first line of input is JSON: where the server is and what to send. It floods until its input ends, and says what became of its
requests. A flood heeds no Retry-After. Only the standard library.
"""

import asyncio
import collections
import contextlib
import itertools
import json
import random
import resource
import string
import struct
import subprocess
import sys
import time
import urllib.parse
import zipfile

# What is closed by then was refused at the door: who is silent is let go after ten seconds.
AT_ONCE_S = 5
# After a connection that was closed, so that a flood is more than the opening of sockets.
REST_S = 0.2
SOURCE_A = "127.0.2.1"
NAMES = 10_000
BURST_BYTES = 64 * 1024
SLOW_BYTES_PER_S = 3_800


class Connection:
    """A connection over HTTP/1.1; one request at a time."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.ended = False

    @classmethod
    async def open(cls, server, source):
        return cls(*await asyncio.open_connection(*server, local_addr=(source, 0)))

    async def send(self, method, path, headers=None, body=b""):
        lines = [f"{method} {path} HTTP/1.1", "host: medseg", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        if method == "POST":
            lines.append(f"content-length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        # Who is refused amid the sending may still read why.
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def head(self):
        """The status and the headers of an answer."""
        status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        self.ended = headers.get("connection") == "close"
        return int(status.split()[1]), headers

    async def body(self, headers):
        if length := headers.get("content-length"):
            return await self.reader.readexactly(int(length))
        body = b""
        while headers.get("transfer-encoding") == "chunked":
            size = int(await self.reader.readline(), 16)
            body += (await self.reader.readexactly(size + 2))[:size]
            if not size:
                break
        return body

    async def ask(self, method, path, headers=None, body=b""):
        await self.send(method, path, headers, body)
        status, headers = await self.head()
        return status, await self.body(headers)

    def close(self):
        self.writer.close()


class Task:
    """What one process of a flood is told, and what it counts."""

    def __init__(self, told):
        self.server, self.user_name = tuple(told["server"]), told["user_name"]
        self.bearer = {"authorization": f"Bearer {told['token']}"}
        self.files = told["files"]
        self.became = collections.Counter()

    def file(self, name):
        with open(self.files[name], "rb") as file:
            return file.read()


def stranger(number):
    return f"127.0.0.{2 + number % 16}"


def hospital(_number):
    return SOURCE_A


async def over_and_over(task, source, requests):
    """Sends the next request when the last one is answered, on one connection for as long as the server keeps it."""
    connection = None
    for request in requests:
        try:
            connection = connection or await Connection.open(task.server, source)
            status, _ = await connection.ask(*request)
            task.became[str(status)] += 1
            if not connection.ended:
                continue
        except (OSError, EOFError):
            task.became["closed"] += 1
            await asyncio.sleep(REST_S)
        if connection:
            connection.close()
        connection = None


async def hold(task, source, parts):
    """Holds a connection, on which a part of a request that never is whole goes out each second; a new one when it is closed."""
    while True:
        writer = None
        try:
            reader, writer = await asyncio.open_connection(*task.server, local_addr=(source, 0))
            task.became[await outcome(reader, writer, parts())] += 1
        except OSError:
            task.became["closed"] += 1
        except asyncio.CancelledError:
            task.became["open at the end"] += 1
            raise
        finally:
            if writer:
                writer.close()
        await asyncio.sleep(REST_S)


async def outcome(reader, writer, parts):
    """How the server ends it."""
    begun = time.monotonic()
    for part in parts:
        writer.write(part)
        with contextlib.suppress(TimeoutError):
            # Not `wait_for`, which may miss that it is cancelled.
            async with asyncio.timeout(1):
                answer = await reader.read(1024)
            if answer:
                return answer[9:12].decode("latin-1")
            waited = time.monotonic() - begun
            return "closed at once" if waited < AT_ONCE_S else "closed after a while"
    raise AssertionError("parts of a request that never is whole end")


def endless(request, method="GET", path="/", headers=None):
    return (request(number) if request else (method, path, headers) for number in itertools.count())


def silent(task, source):
    return hold(task, source, lambda: itertools.repeat(b""))


def slow_headers(task, source):
    return hold(task, source, lambda: itertools.chain([b"GET / HTTP/1.1\r\nhost: medseg\r\n"], itertools.repeat(b"x-slow: x\r\n")))


def slow_uploads(task, source):
    head = f"POST /v1/scans HTTP/1.1\r\nhost: medseg\r\nauthorization: {task.bearer['authorization']}\r\ncontent-length: 100000000\r\n\r\n"
    # A place is taken when so much has come.
    begin = head.encode() + bytes(BURST_BYTES)
    return hold(task, source, lambda: itertools.chain([begin], itertools.repeat(bytes(SLOW_BYTES_PER_S))))


def methods(task, source):
    def request(_number):
        return "".join(random.choices(string.ascii_uppercase, k=1000)), "/v1/scans"

    return over_and_over(task, source, endless(request))


def sign_ins(task, source, user_name):
    def request(number):
        form = {"grant_type": "password", "username": user_name(number), "password": f"no such password {number}"}
        return "POST", "/v1/token", {"content-type": "application/x-www-form-urlencoded"}, urllib.parse.urlencode(form).encode()

    return over_and_over(task, source, endless(request))


def one_name(task, source):
    return sign_ins(task, source, lambda _: task.user_name)


def many_names(task, source):
    return sign_ins(task, source, lambda _: f"nobody-{random.randrange(NAMES)}")


def huge_headers(task, source):
    return over_and_over(task, source, endless(None, headers={"x-huge": "x" * 1_000_000}))


def metrics(task, source):
    return over_and_over(task, source, endless(None, path="/metrics"))


def send(task, source, path, file):
    body = task.file(file)
    return over_and_over(task, source, endless(lambda _: ("POST", path, task.bearer, body)))


def uploads(task, source):
    return send(task, source, "/v1/scans", "scan")


def jpegs(task, source):
    return send(task, source, "/v1/scans", "jpeg")


def zeros(task, source):
    return send(task, source, "/v1/batches", "zeros")


def lists(task, source):
    asked = ["limit=200", "patient_id=flood", "state=done&limit=200", "reference=flood", "answer=found&limit=200"]
    return over_and_over(task, source, endless(lambda number: ("GET", f"/v1/scans?{asked[number % len(asked)]}", task.bearer)))


# Who floods with what, over how many connections from which addresses, and how.
FLOODS = {
    "silent": ("strangers: silent connections from one address", 3000, lambda _: "127.0.0.2", silent),
    "silent-many": ("strangers: silent connections from 16 addresses", 3000, stranger, silent),
    "slow-headers": ("strangers: a header each second, from 16 addresses", 3000, stranger, slow_headers),
    "methods": ("strangers: invented methods", 64, stranger, methods),
    "one-name": ("strangers: wrong passwords for B's user", 64, stranger, one_name),
    "many-names": ("strangers: wrong passwords for 10,000 names", 64, stranger, many_names),
    "huge-headers": ("strangers: headers of 1 MB", 64, stranger, huge_headers),
    "metrics": ("strangers: /metrics", 64, stranger, metrics),
    "slow-uploads": ("hospital A: uploads at 3.8 kB/s", 200, hospital, slow_uploads),
    "uploads": ("hospital A: uploads", 200, hospital, uploads),
    "jpegs": ("hospital A: refused JPEGs of 37 kB", 200, hospital, jpegs),
    "lists": ("hospital A: lists and searches", 64, hospital, lists),
    "zeros": ("hospital A: zips of 512 MiB of zeros", 64, hospital, zeros),
}


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg(side=8192, size=37_000):
    """A grey picture that is cut short: nothing in it, and a second's work to find that out."""
    # Each Huffman table knows one symbol, so that a bit stands for each number.
    table = lambda which: segment(0xC4, bytes([which, 1, *[0] * 15, 0]))
    frame = segment(0xC0, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0]))
    scan = segment(0xDA, bytes([1, 1, 0, 0, 63, 0]))
    return b"\xff\xd8" + segment(0xDB, bytes([0, *[1] * 64])) + frame + table(0x00) + table(0x10) + scan + bytes(size) + b"\xff\xd9"


def prepare(program, folder):
    """The files that are sent."""
    files = {"scan": folder / "scan.png", "jpeg": folder / "blank.jpg", "zeros": folder / "zeros.zip"}
    subprocess.run([program, "phantom", "--out", files["scan"]], check=True, stdout=subprocess.DEVNULL)
    files["jpeg"].write_bytes(jpeg())
    with zipfile.ZipFile(files["zeros"], "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(8):
            archive.writestr(f"{number}.png", bytes(64 << 20))
    return {name: str(path) for name, path in files.items()}


async def flood(name):
    told = json.loads(sys.stdin.readline())
    task = Task(told)
    _, connections, source, begin = FLOODS[name]
    mine = range(told["number"], connections, told["of"])
    running = [asyncio.create_task(begin(task, source(number))) for number in mine]
    await asyncio.to_thread(sys.stdin.read)
    for one in running:
        one.cancel()
    # What has failed in an unforeseen way must not look like a flood.
    for ended in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
    print(json.dumps(task.became))


def main():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(flood(sys.argv[1]))


if __name__ == "__main__":
    main()
