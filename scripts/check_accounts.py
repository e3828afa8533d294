"""check_accounts.py: whether compose file and chart hand secrets over as they should, and give each service an account of its own.

What deploy/secrets.sh and deploy/cluster-secret.sh make is compared with what compose file and chart name. Each rule is seen to find its
fault: in what is made here, changed by hand.
"""

import copy
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

SECRET = re.compile(r"(?<!RANDOM_ROOT_)(PASSWORD|SECRET|DATABASE_URL|QUEUE_URL)$")
ACCOUNT = re.compile(r"mysql://([a-z]+):([^@]+)@[^/]+/([a-z]+)")


def faults_of_accounts(urls, sql):
    """Whether each service's account has its own password, which no other has, and rights on its own database alone."""
    accounts = {service: ACCOUNT.fullmatch(url) for service, url in urls.items()}
    if bad := [service for service, account in accounts.items() if account is None]:
        return [f"{service}: its database URL names no account" for service in bad]
    made = dict(re.findall(r"CREATE USER IF NOT EXISTS '([a-z]+)'@'%' IDENTIFIED BY '([^']+)';", sql))
    rights = re.findall(r"^GRANT (.*) ON (\S+) TO (\S+);$", sql, re.MULTILINE)
    faults = []
    for service, account in accounts.items():
        user, password, database = account.groups()
        if database != service or user != service:
            faults.append(f"{service}: it is {user} in the database {database}")
        if made.get(user) != password:
            faults.append(f"{service}: the account {user} is not made with its password")
        if (own := [right for right in rights if right[2] == f"'{user}'@'%'"]) != [("ALL", f"{service}.*", f"'{user}'@'%'")]:
            faults.append(f"{service}: the account {user} has the rights {own}")
    if len({account[2] for account in accounts.values()}) < len(accounts):
        faults.append("two services have one password")
    strangers = set(made) | {right[2].split("'")[1] if "'" in right[2] else right[2] for right in rights}
    return faults + [f"there is an account {user} of no service" for user in sorted(strangers - set(urls))]


def faults_of_compose(compose, made):
    """Whether secrets come from files, each service is given those that it names, and all of them are made."""
    faults = []
    for name, service in compose["services"].items():
        environment = service.get("environment", {})
        given = [secret if isinstance(secret, str) else secret["source"] for secret in service.get("secrets", [])]
        faults += [f"{name}: {key} is a secret in the environment" for key in environment if SECRET.search(key)]
        named = {value.removeprefix("/run/secrets/") for key, value in environment.items() if key.endswith("_FILE")}
        targets = {secret["source"] for secret in service.get("secrets", []) if not isinstance(secret, str)}
        if named | targets != set(given):
            faults.append(f"{name}: it is given {sorted(given)} and names {sorted(named | targets)}")
    files = {pathlib.PurePath(entry["file"]).name for entry in compose["secrets"].values()}
    return faults + [f"{name}: a secret that is not both made and named" for name in sorted(files ^ made)]


def faults_of_chart(values, held, template):
    """Whether the Secret holds all that the chart's services name, and the database in the cluster makes no account beside theirs."""
    faults = []
    for name, service in values["services"].items():
        named = {*service.get("secretEnv", {}).values(), *service.get("secretFiles", {}).values()}
        faults += [f"{name}: nobody makes the secret {entry}" for entry in sorted(named - held)]
    if "MYSQL_USER" in template or "key: databases.sql" not in template:
        faults.append("the database in the cluster has an account of no service, or makes none of theirs")
    return faults


def seen(rule, good, *changes):
    """The faults of what is there, once each change of it is found to be one."""
    for change in changes:
        wrong = copy.deepcopy(good)
        wrong = change(*wrong) or wrong
        if not rule(*wrong):
            sys.exit(f"error: {rule.__name__} does not see {change.__doc__ or 'a fault'}: {wrong}")
    return rule(*good)


def one_for_all(urls, sql):
    "one account for two databases"
    return {**urls, "drift": urls["storage"].replace("/storage", "/drift")}, sql


def too_much(urls, sql):
    "an account with rights on another's database"
    return urls, sql + "GRANT ALL ON auth.* TO 'drift'@'%';\n"


def everything(urls, sql):
    "an account with all rights"
    return urls, sql.replace("ON drift.*", "ON *.*")


def left_over(urls, sql):
    "an account of no service"
    return urls, sql + "GRANT ALL ON auth.* TO medseg;\n"


def another_password(urls, sql):
    "an account with another password than its service"
    return urls, sql.replace("IDENTIFIED BY '", "IDENTIFIED BY 'x")


def in_the_environment(compose, made):
    "a secret in the environment"
    compose["services"]["auth"]["environment"]["SERVICE_SECRET"] = "…"


def not_given(compose, made):
    "a secret that its service is not given"
    compose["services"]["storage"]["secrets"].remove("queue-url")


def given_too_much(compose, made):
    "a secret of somebody else"
    compose["services"]["gateway"]["secrets"].append("delivery-secret")


def not_made(compose, made):
    "a secret that nobody makes"
    made.remove("queue-url")


def not_held(values, held, template):
    "a secret that nobody makes"
    held.remove("gateway-secret")


def shared(values, held, template):
    "an account beside those of the services"
    return values, held, template + "- { name: MYSQL_USER, value: medseg }"


def main():
    values = yaml.safe_load(pathlib.Path("helm/medseg/values.yaml").read_text())
    rows = sorted(name for name, service in values["services"].items() if service.get("database"))
    of_accounts = [one_for_all, too_much, everything, left_over, another_password]
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place) / "secrets"
        said = subprocess.run(["deploy/secrets.sh", folder], check=True, capture_output=True, text=True).stdout
        made = {path.name: path.read_text() for path in folder.iterdir()}
        subprocess.run(["deploy/secrets.sh", folder], check=True, capture_output=True)
        faults = [f"{name}: a second run changes it" for name, text in made.items() if (folder / name).read_text() != text]
        if folder.stat().st_mode & 0o077:
            faults.append("secrets.sh lets others of the machine into its folder")
    faults += [f"secrets.sh says {text.strip()}" for text in made.values() if text.strip() in said]
    compose = yaml.safe_load(pathlib.Path("docker-compose.yml").read_text())
    urls = {service: made[f"{service}-database-url"].strip() for service in rows}
    faults += seen(faults_of_accounts, (urls, made["databases.sql"]), *of_accounts)
    faults += seen(faults_of_compose, (compose, set(made)), in_the_environment, not_given, given_too_much, not_made)

    said = subprocess.run(["deploy/cluster-secret.sh", "release"], check=True, capture_output=True, text=True).stdout
    held = yaml.safe_load(said)["stringData"]
    urls = {service: held[f"{service}-database-url"] for service in rows}
    faults += seen(faults_of_accounts, (urls, held["databases.sql"]), *of_accounts)
    template = pathlib.Path("helm/medseg/templates/servers.yaml").read_text()
    faults += seen(faults_of_chart, (values, set(held), template), not_held, shared)
    if faults:
        sys.exit("\n".join(f"error: {fault}" for fault in faults))
    print(f"accounts: {len(rows)} services have one each in both databases, and {len(made)} secrets of compose are files")


if __name__ == "__main__":
    main()
