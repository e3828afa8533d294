"""What the last release has left in its databases, made by code: its tables by its own migrations, and the rows of today's without what it did not know.

scripts/released.json says which migrations the last release had, each with its digest.
"""

import hashlib
import json
import os
import pathlib
import sqlite3
import subprocess
import sys

RELEASED = pathlib.Path("scripts/released.json")
SERVICES = ("auth", "storage", "drift", "delivery", "registry")
# What a release before that migration has not written: the migration makes it, or what came with it.
NOT_YET = {
    "auth": [(2, "DELETE FROM tenants WHERE id = '00000000-0000-0000-0000-000000000001'")],
    "storage": [(14, "DELETE FROM artefacts WHERE name = 'instances.json'")],
}
# Before that migration of storage, entries of the audit trail said less, and had digests of less.
FULLER_AUDIT = 16


def files(service):
    return sorted(pathlib.Path(f"services/{service}/migrations").glob("*.sql"))


def digest(file):
    return hashlib.sha384(file.read_bytes()).hexdigest()


def note(release):
    there = {service: {file.name: digest(file) for file in files(service)} for service in SERVICES}
    RELEASED.write_text(json.dumps({"release": release, "migrations": there}, indent=1) + "\n")


def migrations():
    """The migrations that the last release had, as files: they are what they were, or no deployment of it would start on what is built here."""
    noted = json.loads(RELEASED.read_text())["migrations"]
    for service, applied in noted.items():
        there = {file.name: digest(file) for file in files(service)}
        if changed := [name for name, was in applied.items() if there.get(name) != was]:
            sys.exit(f"error: {', '.join(changed)} of {service} is not what the last release has applied: leave it as it was, and add another migration")
        if list(there)[: len(applied)] != list(applied):
            sys.exit(f"error: a migration of {service} stands before those of the last release: give it the next number")
    return {service: [file for file in files(service) if file.name in applied] for service, applied in noted.items()}


def number(file):
    return int(file.name.split("_")[0])


class MariaDb:
    """A database of the server that TEST_MYSQL_URL names."""

    def __init__(self, name):
        self.name, self.url = name, f"{os.environ['TEST_MYSQL_URL'].rsplit('/', 1)[0]}/{name}"

    def script(self, text):
        options = ["--batch", "--raw", "--skip-column-names"]
        ended = subprocess.run(
            ["deploy/mysql.py", "mariadb", "DRILL_URL", *options], input=text, capture_output=True, text=True, check=False,
            env={**os.environ, "DRILL_URL": self.url},
        )
        if ended.returncode:
            sys.exit(f"error: {self.name} refuses {text.strip()[:300]}: {ended.stderr.strip()}")
        return [tuple(line.split("\t")) for line in ended.stdout.splitlines()]

    rows = script

    def columns(self):
        """Each table with its columns, in their order."""
        return grouped(self.rows("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position"))

    def needed(self):
        """The columns that a row cannot do without."""
        return grouped(self.rows(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE() "
            "AND is_nullable = 'NO' AND column_default IS NULL AND extra NOT LIKE '%auto_increment%'"
        ))

    def take(self, other, statements, like=()):
        """Runs `statements`, in which `{other}` is that database, with tables that are made like its own."""
        made = [f"CREATE TABLE {table} LIKE {other.name}.{table}" for table in like]
        texts = [text.format(other=other.name) for text in (*made, *statements)]
        self.script(";\n".join(["SET FOREIGN_KEY_CHECKS = 0", *texts, ""]))


class Sqlite:
    """A database in a file."""

    def __init__(self, path):
        self.path, self.url = path, f"sqlite://{path}"

    def script(self, text):
        with Open(self.path) as database:
            database.executescript(text)

    def rows(self, query):
        with Open(self.path) as database:
            return [tuple(map(str, row)) for row in database.execute(query)]

    def _about(self, chosen):
        with Open(self.path) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")]
            return grouped((table, row[1]) for table in tables for row in database.execute(f"PRAGMA table_info({table})") if chosen(row))

    def columns(self):
        return self._about(lambda _: True)

    def needed(self):
        # Of a row of table_info: whether NULL is refused, and the default.
        return self._about(lambda row: row[3] and row[4] is None)

    def take(self, other, statements, like=()):
        with Open(self.path) as database:
            database.execute("ATTACH DATABASE ? AS other", (str(other.path),))
            for table in like:
                (made,) = database.execute("SELECT sql FROM other.sqlite_master WHERE name = ?", (table,)).fetchone()
                database.execute(made)
            for text in statements:
                database.execute(text.format(other="other"))


class Open:
    """A connection that commits what was done, unless that failed, and is closed."""

    def __init__(self, path):
        self.database = sqlite3.connect(path)

    def __enter__(self):
        return self.database

    def __exit__(self, failed, *_):
        if not failed:
            self.database.commit()
        self.database.close()


def grouped(pairs):
    groups = {}
    for table, column in pairs:
        groups.setdefault(table, []).append(column)
    return groups


def as_released(service, applied, now, then):
    """Makes `then` what the release would have of `now`: its tables, and of each row what it knew. Answers its tables and columns."""
    for file in applied:
        then.script(file.read_text())
    last = number(applied[-1])
    there, today = then.columns(), now.columns()
    copies = [f"INSERT INTO _sqlx_migrations SELECT * FROM {{other}}._sqlx_migrations WHERE version <= {last}"]
    for table, columns in there.items():
        shared = ", ".join(column for column in columns if column in today.get(table, []))
        if table in today:
            # What a migration itself has put there is among what is copied.
            copies += [f"DELETE FROM {table}", f"INSERT INTO {table} ({shared}) SELECT {shared} FROM {{other}}.{table}"]
    then.take(now, copies, like=["_sqlx_migrations"])
    for came, text in NOT_YET.get(service, []):
        if came > last:
            then.script(f"{text};")
    if service == "storage" and last < FULLER_AUDIT:
        chain_anew(then)
    return there


def chain_anew(storage):
    """Gives the audit trail the digests that its entries have without what the release did not write down."""
    heads, updates = {}, []
    fields = "tenant_id, position, at_ms, subject, action, object_id"
    for entry in storage.rows(f"SELECT {fields} FROM audit ORDER BY tenant_id, position"):
        tenant, position = entry[0], entry[1]
        previous, chained = heads.get(tenant, ""), hashlib.sha256()
        for part in (previous, *entry):
            chained.update(len(part.encode()).to_bytes(8, "little") + part.encode())
        heads[tenant] = chained.hexdigest()
        updates.append(f"UPDATE audit SET previous = '{previous}', sha256 = '{heads[tenant]}' WHERE tenant_id = '{tenant}' AND position = {position};")
    updates += [f"UPDATE audit_heads SET sha256 = '{sha256}' WHERE tenant_id = '{tenant}';" for tenant, sha256 in heads.items()]
    storage.script("\n".join(updates))


def check_expanded(service, columns, tables):
    """That the release can write on today's tables: all of its columns are there, and none that it leaves out is needed."""
    there, needed = tables.columns(), tables.needed()
    for table, known in columns.items():
        if gone := [column for column in known if column not in there.get(table, [])]:
            sys.exit(f"error: {service}: {table} has lost {gone}, which the last release reads: a rollback would end there")
        if new := [column for column in needed.get(table, []) if column not in known]:
            sys.exit(f"error: {service}: {table} needs {new}, which the last release does not write: give them a default")
