"""What makes one worker another one than the next."""

import hashlib

import msgspec

import pyrunner
from pyrunner.config import EngineConfig
from pyrunner.types import ModelMode
from pyrunner.wire.frames import PROTOCOL_VERSION


def config_hash(model_id: str, mode: ModelMode, engine: EngineConfig, draft_id: str = "") -> str:
    """Name what a worker is: two servers share one only if they would start the same.

    The package's version counts too, so that an upgrade replaces the workers it finds.

    Returns:
        16 lower-case hex digits.
    """
    parts = (pyrunner.__version__, PROTOCOL_VERSION, model_id, mode, engine, draft_id)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]
