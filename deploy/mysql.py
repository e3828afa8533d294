#!/usr/bin/env python3
"""mysql.py PROGRAM VARIABLE OPTION... [-- TABLE...]: runs a MySQL program (mariadb, mariadb-dump, mysql, mysqldump) on the database whose
URL is in that environment variable.

The password goes from there into the program's environment: no list of processes shows it.
"""

import os
import sys
import urllib.parse

program, variable, *options = sys.argv[1:]
server = urllib.parse.urlsplit(os.environ[variable])
os.environ["MYSQL_PWD"] = urllib.parse.unquote(server.password or "")
where = ["--no-defaults", f"--host={server.hostname}", f"--port={server.port or 3306}", f"--user={server.username}"]
options, tables = (options[: options.index("--")], options[options.index("--") + 1 :]) if "--" in options else (options, [])
# The database comes last: mariadb-dump takes its options before it, and tables behind it.
os.execvp(program, [program, *where, *options, server.path.lstrip("/"), *tables])
