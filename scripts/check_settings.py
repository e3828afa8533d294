"""check_settings.py PROGRAMS: whether compose file and chart give each service the settings that it asks for, and no others.

What a service asks for is what its own --help says; PROGRAMS is the folder of the built services.
"""

import pathlib
import re
import subprocess
import sys

import yaml


# What every program reads that makes temporary folders.
ANYBODYS = {"TMPDIR"}


def settings(program, *subcommand):
    """All names of environment variables that the program reads, and those that it cannot do without."""
    if not program.exists():
        sys.exit(f"error: {program} is not built: run 'scripts/env.sh cargo build --workspace --bins'")
    said = subprocess.run([program, *subcommand, "--help"], capture_output=True, text=True, check=False)
    if said.returncode != 0:
        sys.exit(f"error: {program} --help fails: {said.stderr.strip()[:400]}")
    text = said.stdout
    usage = text[text.index("Usage:") :].split("\n\n")[0]
    required = {name.replace("-", "_").upper() for name in re.findall(r"--([a-z0-9-]+) <", usage)}
    # Values that help does not show are secrets, and each of them may be in a file.
    files = {f"{name}_FILE" for name in re.findall(r"\[env: ([A-Z0-9_]+)\]", text)}
    return {*ANYBODYS, *files, *re.findall(r"\[env: ([A-Z0-9_]+)", text)}, required


def given():
    """For each face of the deployment and each service: its program, with a subcommand, and the settings that it is given by the
    environment and by its command line."""
    for name, service in yaml.safe_load(pathlib.Path("docker-compose.yml").read_text())["services"].items():
        if "build" in service:
            yield f"docker-compose.yml: {name}", [name], set(service.get("environment", {})), set()
    for name, service in yaml.safe_load(pathlib.Path("helm/medseg/values.yaml").read_text())["services"].items():
        yield f"helm/medseg/values.yaml: {name}", [service.get("imageName", name)], {*service.get("env", {}), *service.get("secretEnv", {})}, set()
    for name, service in yaml.safe_load(pathlib.Path("deploy/edge/compose.yml").read_text())["services"].items():
        subcommand, *words = service["command"]
        yield f"deploy/edge/compose.yml: {name}", ["medseg", subcommand], {*service.get("environment", {})}, options(words)


def options(words):
    """The settings that a command line names."""
    return {word.removeprefix("--").replace("-", "_").upper() for word in words if word.startswith("--")}


def unpinned_images(path):
    """Images that a workflow or a Dockerfile runs or builds on by a name that may lead elsewhere tomorrow."""
    named = re.findall(r"^(?:FROM|    container:|  TRIVY:) (\S+)", path.read_text(), re.MULTILINE)
    own = set(re.findall(r"^FROM \S+ AS (\S+)", path.read_text(), re.MULTILINE))
    return [f"{path}: {image} is not pinned by digest" for image in named if image not in own and not re.search(r"@sha256:[0-9a-f]{64}$", image)]


def main():
    programs = pathlib.Path(sys.argv[1])
    faults, checked = [], 0
    for place, (name, *subcommand), names, said in given():
        known, required = settings(programs / name, *subcommand)
        faults += [f"{place} names {extra}, which the service does not read" for extra in sorted(names - known)]
        filed = {name.removesuffix("_FILE") for name in names}
        faults += [f"{place} lacks {lacking}" for lacking in sorted(required - filed - said)]
        checked += len(names)
    for workflow in pathlib.Path(".github/workflows").glob("*.yml"):
        steps = [step for job in yaml.safe_load(workflow.read_text())["jobs"].values() for step in job["steps"]]
        actions = [step["uses"] for step in steps if "uses" in step]
        faults += [f"{workflow}: {action} is not pinned" for action in actions if not re.search(r"@[0-9a-f]{40}$", action)]
        faults += unpinned_images(workflow)
    faults += unpinned_images(pathlib.Path("deploy/Dockerfile"))
    if faults:
        sys.exit("\n".join(f"error: {fault}" for fault in faults))
    print(f"settings: {checked} are what the services read")


if __name__ == "__main__":
    main()
