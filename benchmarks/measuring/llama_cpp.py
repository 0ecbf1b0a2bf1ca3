"""llama.cpp's own programs, built from the commit that our engine is built from."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from measuring import programs
from measuring.pairs import report
from measuring.programs import MeasurementError

_OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
    "LLAMA_OPENSSL": "OFF",
}
"""What is not given is llama.cpp's own default, OpenMP included: so people get it."""

_WITHOUT_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"


def build(
    source: Path, folder: Path, targets: Sequence[str], more: Mapping[str, str] | None = None
) -> Path:
    """Build programs; costs a second when they are.

    Args:
        source: llama.cpp's checkout.
        folder: The build folder, kept between runs.
        targets: The programs.
        more: Variables of CMake besides `options`.

    Returns:
        The folder with the programs.

    Raises:
        MeasurementError: No sources, no tools, or they do not compile.
    """
    if not (source / "CMakeLists.txt").exists():
        raise MeasurementError(f"{source} is empty. Run scripts/get-llama-cpp first.")
    programs.check_installed(("cmake", "ninja", "g++"))
    if not (folder / "bin" / targets[-1]).exists():
        report(f"building {', '.join(targets)} in {folder} (minutes the first time)")
    defines = [f"-D{key}={value}" for key, value in (options() | dict(more or {})).items()]
    programs.run(["cmake", "-G", "Ninja", "-S", str(source), "-B", str(folder), *defines])
    programs.run(["ninja", "-C", str(folder), *targets])
    return folder / "bin"


def options() -> dict[str, str]:
    """CMake's variables for this machine."""
    chosen = dict(_OPTIONS)
    if shutil.which("ccache"):
        chosen |= {"CMAKE_C_COMPILER_LAUNCHER": "ccache", "CMAKE_CXX_COMPILER_LAUNCHER": "ccache"}
    if platform.machine() in {"x86_64", "AMD64"} and miscompiles_amx(_compiler_version()):
        chosen |= {"CMAKE_C_FLAGS": _WITHOUT_AMX, "CMAKE_CXX_FLAGS": _WITHOUT_AMX}
    return chosen


def miscompiles_amx(gcc: tuple[int, ...]) -> bool:
    """Whether this GCC has bug 114098, which our own ``CMakeLists.txt`` explains.

    Args:
        gcc: Its version; empty for another compiler.
    """
    return bool(gcc) and (gcc < (11, 5) or (12,) <= gcc < (12, 4) or (13,) <= gcc < (13, 3))


def _compiler_version() -> tuple[int, ...]:
    compiler = os.environ.get("CXX", "c++")
    command = [compiler, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Free Software Foundation" not in done.stdout:
        return ()
    found = re.search(r"\b(\d+)\.(\d+)\.(\d+)\b", done.stdout)
    return tuple(int(number) for number in found.groups()) if found else ()
