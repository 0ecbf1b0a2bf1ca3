"""Small safetensors files and folders."""

import json
from pathlib import Path
from typing import Any


def safetensors_bytes(
    tensors: dict[str, Any], data: bytes = b"", length: int | None = None
) -> bytes:
    """A file with this header; its length can be made to lie."""
    header = json.dumps(tensors).encode()
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def tensor(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def write_folder(folder: Path) -> Path:
    """A model as it lies in a repository: two weight files, a config, a tokenizer, a template."""
    folder.mkdir()
    first = {"__metadata__": {"format": "pt"}, "a": tensor("BF16", [2, 3], 0, 12)}
    (folder / "model-00001-of-00002.safetensors").write_bytes(safetensors_bytes(first, bytes(12)))
    second = {"b": tensor("BF16", [4], 0, 8)}
    (folder / "model-00002-of-00002.safetensors").write_bytes(safetensors_bytes(second, bytes(8)))
    (folder / "config.json").write_text(
        json.dumps({"model_type": "llama", "n_ctx": 7, "max_position_embeddings": 2048})
    )
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "LICENSE").write_text("MIT")
    (folder / "sub").mkdir()
    (folder / "sub" / "tokenizer.model").write_bytes(b"\0\1")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref")
    (folder / ".gitattributes").write_text("x")
    return folder
