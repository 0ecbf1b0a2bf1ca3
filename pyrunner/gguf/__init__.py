"""GGUF files: a bounded reader of their headers, and what follows from one."""

from pyrunner.gguf.facts import (
    CELL_PADDING,
    config_metadata,
    is_quantized,
    kv_bytes,
    kv_bytes_per_token,
    n_draft_heads,
    parameters_text,
    ranks,
)
from pyrunner.gguf.header import GgufArray, GgufHeader, TensorInfo
from pyrunner.gguf.purpose import check_embeds, check_ranks
from pyrunner.gguf.reader import open_file, parse_header, read_header
from pyrunner.gguf.stamp import FileStamp
from pyrunner.gguf.types import CACHE_TYPES, FILE_TYPES

__all__ = [
    "CACHE_TYPES",
    "CELL_PADDING",
    "FILE_TYPES",
    "FileStamp",
    "GgufArray",
    "GgufHeader",
    "TensorInfo",
    "check_embeds",
    "check_ranks",
    "config_metadata",
    "is_quantized",
    "kv_bytes",
    "kv_bytes_per_token",
    "n_draft_heads",
    "open_file",
    "parameters_text",
    "parse_header",
    "ranks",
    "read_header",
]
