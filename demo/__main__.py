# SPDX-License-Identifier: Apache-2.0
"""Build, serve, verify, fit, make an avatar, stop. Whatever ends it, nothing is left running."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from rich.rule import Rule

from demo.avatar import make_avatar
from demo.faces import fit_head, verify_photographs
from demo.photographs import write_people, write_photographs
from demo.picture import stack
from demo.processes import BUILD, console, run, served, shown

REPOSITORY = BUILD / "repository"
PICTURE = BUILD / "demo.png"


def main() -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--force-build", action="store_true", help="build what is there already")
    force = parser.parse_args().force_build
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _demonstrate(["--force"] if force else [])
    except KeyboardInterrupt:
        console.print("interrupted; the server is stopped")
        return 130
    except subprocess.CalledProcessError as error:
        console.print(f"[red]{Path(error.cmd[0]).name} failed with code {error.returncode}[/red]")
        return 1
    return 0


def _demonstrate(build_options: list[str]) -> None:
    console.print(Rule("0. take photographs"))
    photographs = write_photographs(BUILD / "photographs")
    photographs |= write_people(BUILD / "photographs")
    console.print(Rule("1. build a model repository"))
    command = ["mien-export", "build", "--to", shown(REPOSITORY), "--weights", "starter"]
    run([*command, *build_options])
    console.print(Rule("2. serve it with Triton"))
    with served(REPOSITORY) as address:
        console.print(Rule("3. verify photographs over gRPC"))
        pictures = verify_photographs(photographs, address)
        console.print(Rule("4. fit a head"))
        pictures.append(fit_head(photographs["portrait"], address))
        console.print(Rule("5. make an avatar"))
        made = make_avatar(photographs["portrait"], address)
        console.print(Rule("6. stop"))
    stack(pictures, PICTURE)
    console.print(Rule("done"))
    console.print(f"Pictures of it: {shown(PICTURE)}, {shown(made.picture)}")
    console.print(f"The avatar, for any viewer of glTF: {shown(made.file)}")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
