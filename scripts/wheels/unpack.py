"""What is needed of wheels, without what else lies in them."""

import pathlib
import shutil
import zipfile


def unpack(wheels, folder, wanted):
    """Takes each file out of the wheels that `wanted` names a place in the folder for, by its path in the wheel."""
    for wheel in sorted(pathlib.Path(wheels).glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if target := wanted(member):
                    path = pathlib.Path(folder, target)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(member) as source, open(path, "wb") as sink:
                        shutil.copyfileobj(source, sink, 1 << 20)
