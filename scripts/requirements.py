"""Print what a development environment needs from pyproject.toml, one requirement per line.

CMake and Ninja are here because without build isolation nobody else asks for them.
"""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Build requirements, dependencies, and the test and check extras."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = tables["project"]
    extras = project["optional-dependencies"]
    for group in (
        tables["build-system"]["requires"],
        ["cmake>=3.26", "ninja>=1.11"],
        project["dependencies"],
        extras["test"],
        extras["check"],
    ):
        print("\n".join(group))


if __name__ == "__main__":
    main()
