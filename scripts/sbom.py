"""sbom.py FOLDER [VERSION]: a bill of materials (CycloneDX 1.6, JSON) for each program that is released, of what it is linked of.

From Cargo.lock by `cargo metadata`: the crates that a program's own needs lead to, without those for tests and for building. Equal trees make
equal files: there is no time in them, and the serial number follows from what is in them.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import uuid



def metadata():
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def reached(nodes, root):
    """The ids of all that `root` is linked of, itself included, and what each of them needs."""
    needs, waiting = {}, [root]
    while waiting:
        package = waiting.pop()
        if package in needs:
            continue
        linked = (need for need in nodes[package]["deps"] if any(kind["kind"] is None for kind in need["dep_kinds"]))
        needs[package] = sorted({need["pkg"] for need in linked})
        waiting += needs[package]
    return needs


def purl(package, version):
    own = package["source"] is None
    return f"pkg:cargo/{package['name']}@{version if own else package['version']}"


def component(package, version, checksums):
    own = package["source"] is None
    entry = {
        "type": "library",
        "bom-ref": purl(package, version),
        "name": package["name"],
        "version": version if own else package["version"],
        "purl": purl(package, version),
    }
    if package.get("license"):
        # Old manifests separate alternatives by a slash.
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    digest = checksums.get((package["name"], package["version"]))
    if digest:
        entry["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return entry


def checksums_of(lock):
    """The registry's digests, by name and version, as Cargo.lock has them."""
    found, name, version = {}, "", ""
    for line in lock.splitlines():
        key, _, value = line.partition(" = ")
        if key == "name":
            name = value.strip('"')
        elif key == "version":
            version = value.strip('"')
        elif key == "checksum":
            found[name, version] = value.strip('"')
    return found


def bill(program, packages, needs, version, checksums):
    """The bill of a program: `needs` has its package first, `packages` what is known of each."""
    root = next(iter(needs))
    components = sorted((component(packages[package], version, checksums) for package in needs if package != root),
                        key=lambda entry: entry["bom-ref"])
    ref = {package: purl(packages[package], version) for package in needs}
    dependencies = sorted(({"ref": ref[package], "dependsOn": sorted(ref[need] for need in found)} for package, found in needs.items()),
                          key=lambda entry: entry["ref"])
    about = {"type": "application", "bom-ref": ref[root], "name": program, "version": version, "purl": ref[root]}
    content = {"metadata": {"component": about}, "components": components, "dependencies": dependencies}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
    serial = uuid.UUID(bytes=digest[:16], version=4)
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1, **content}


def programs(tree):
    """The programs of the services and of the decoder, by name, with the package that each is of."""
    for package in tree["packages"]:
        path = pathlib.Path(package["manifest_path"]).parent.relative_to(tree["workspace_root"]) if package["source"] is None else None
        if path is None or path.parts[0] == "tests":
            continue
        for target in package["targets"]:
            if "bin" in target["kind"]:
                yield target["name"], package


def main():
    folder = pathlib.Path(sys.argv[1])
    tree = metadata()
    packages = {package["id"]: package for package in tree["packages"]}
    nodes = {node["id"]: node for node in tree["resolve"]["nodes"]}
    checksums = checksums_of((pathlib.Path(tree["workspace_root"]) / "Cargo.lock").read_text())
    folder.mkdir(parents=True, exist_ok=True)
    for program, package in sorted(programs(tree), key=lambda found: found[0]):
        version = sys.argv[2] if len(sys.argv) > 2 else package["version"]
        made = bill(program, packages, reached(nodes, package["id"]), version, checksums)
        unlicensed = [entry["name"] for entry in made["components"] if entry["purl"].startswith("pkg:cargo/") and "licenses" not in entry]
        (folder / f"{program}.cdx.json").write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
        said = f", {len(unlicensed)} without a licence expression" if unlicensed else ""
        print(f"{program}: {len(made['components'])} components{said}")


if __name__ == "__main__":
    main()
