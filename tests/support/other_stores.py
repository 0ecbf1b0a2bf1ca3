"""Stores of other programs, made by hand as those programs make them."""

import json
from pathlib import Path

from pyrunner.registry.digest import Digest
from support.artifacts import made
from support.gguf_files import write_tiny_gguf


def docker_store(folder: Path, models: dict[str, bytes]) -> Path:
    """A store of Docker Model Runner with these tags and weights (reference, section 2.10)."""
    blobs, manifests = folder / "blobs" / "sha256", folder / "manifests" / "sha256"
    blobs.mkdir(parents=True)
    manifests.mkdir(parents=True)
    entries = []
    for tag, weights in models.items():
        manifest, parts = made(weights)
        (manifests / Digest.of(manifest).hex).write_bytes(manifest)
        for descriptor, content in parts:
            (blobs / descriptor.digest.hex).write_bytes(content)
        files = [each.digest.text for each, _ in reversed(parts)]
        entries.append({"id": Digest.of(manifest).text, "tags": [tag], "files": files})
    (folder / "layout.json").write_text('{"version":"1.0.0"}')
    (folder / "models.json").write_text(json.dumps({"models": entries}, indent=2))
    return folder


def ollama_folder(folder: Path) -> Path:
    """An empty folder of Ollama."""
    (folder / "blobs").mkdir(parents=True)
    (folder / "manifests").mkdir()
    return folder


def ollama_model(folder: Path, name: str, *, weights: Path, **layers: bytes) -> Path:
    """Add a model (``host/namespace/name/tag``) with layers by kind, and return its GGUF blob."""
    gguf = _ollama_blob(folder, weights.read_bytes())
    rows = [_row("model", weights.read_bytes())]
    rows += [_row(kind, content) for kind, content in layers.items()]
    for content in layers.values():
        _ollama_blob(folder, content)
    config = b'{"model_format":"gguf","model_family":"llama"}'
    _ollama_blob(folder, config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": _row("", config)
        | {"mediaType": "application/vnd.docker.container.image.v1+json"},
        "layers": rows,
    }
    path = folder / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest))
    return gguf


def tiny_weights(folder: Path, n_vocab: int = 8) -> Path:
    folder.mkdir(exist_ok=True)
    return write_tiny_gguf(folder / f"tiny{n_vocab}.gguf", n_vocab=n_vocab)


def _row(kind: str, content: bytes) -> dict[str, object]:
    return {
        "mediaType": f"application/vnd.ollama.image.{kind}",
        "size": len(content),
        "digest": Digest.of(content).text,
    }


def _ollama_blob(folder: Path, content: bytes) -> Path:
    path = folder / "blobs" / f"sha256-{Digest.of(content).hex}"
    path.write_bytes(content)
    return path
