"""The compiled engine: one extension module over csrc, and nothing that decides anything.

Importing it loads the ggml backends that lie beside the package, and only those.
"""

import os
from pathlib import Path

try:
    from pyrunner._native import _core
except ImportError as error:
    error.add_note(
        "pyrunner's compiled part is missing or does not fit this Python. In a source tree, "
        "build it with 'make setup' (or 'pip install -e .'); otherwise install the wheel again."
    )
    raise

from pyrunner._native._core import (
    Adapter,
    ChatParser,
    ChatPrompt,
    ChatTemplates,
    DraftHeads,
    DraftModel,
    Embedder,
    LaneState,
    LargePages,
    Model,
    OpenLane,
    Session,
    commit,
    devices,
    drain_log,
    has_finite,
    quantize,
)

__all__ = [
    "Adapter",
    "ChatParser",
    "ChatPrompt",
    "ChatTemplates",
    "DraftHeads",
    "DraftModel",
    "Embedder",
    "LaneState",
    "LargePages",
    "Model",
    "OpenLane",
    "Session",
    "commit",
    "devices",
    "drain_log",
    "has_finite",
    "quantize",
]

# The extension itself lies where the build put it, which in an editable install is not where
# this file lies.
_core.init(os.fsencode(Path(_core.__file__).parent.parent / "lib"))
