"""Import: the models of Docker Model Runner or Ollama come into the store.

A model comes in whole or not at all: what a model that cannot come in brought is collected again.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyrunner import units
from pyrunner.errors import (
    InvalidParameterError,
    InvalidReferenceError,
    ModelFileError,
    StoreCorruptError,
    StoreLockedError,
)
from pyrunner.models import docker_runner_store, index, ollama_folder
from pyrunner.models.adoption import Adoption, adopt
from pyrunner.models.foreign import ForeignModel
from pyrunner.models.index import IndexFile
from pyrunner.models.layout import Layout
from pyrunner.models.leases import Lease
from pyrunner.models.store import Store
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MANIFEST_TYPE, Descriptor, Manifest, decode_manifest
from pyrunner.registry.reference import Reference
from pyrunner.user_files import user_file_errors

_MAX_SHOWN = 200
"""Characters of a name."""
_MAX_LINE = 4000
"""Characters of a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one model; each text is one line without control characters."""

    sentence: str
    problem: str = ""
    """Why it did not come in; empty when it did."""


OnOutcome = Callable[[Outcome], None]


def run(store: Store, folder: Path, *, is_dry: bool, on_outcome: OnOutcome) -> Sequence[Outcome]:
    """Import every model of a folder; one that cannot come in stops no other.

    A name that another model has here stays with that one. Importing again brings what is new.

    Args:
        store: Where they go.
        folder: Docker Model Runner's store or Ollama's folder; nothing in it is changed.
        is_dry: Only say what would happen; hashes nothing and writes nothing.
        on_outcome: Told about each model as soon as it is done.

    Returns:
        All outcomes, in order.

    Raises:
        ModelFileError: The folder is of neither kind, or its models cannot be listed.
        StoreError: The store cannot be written; what came in before stays.
    """
    outcomes = []
    for model in _find(folder):
        outcome = _import(store, model, is_dry=is_dry)
        on_outcome(outcome)
        outcomes.append(outcome)
    return outcomes


def _find(folder: Path) -> Iterator[ForeignModel]:
    with user_file_errors(folder):
        is_folder = folder.is_dir()
        if is_folder and (folder / docker_runner_store.LIST).is_file():
            return docker_runner_store.models(folder)
        for root in (folder, folder / "models"):
            if (root / "manifests").is_dir() and (root / "blobs").is_dir():
                return ollama_folder.models(root)
    problem = (
        "holds neither Docker Model Runner's models.json nor Ollama's folders manifests and blobs"
        if is_folder
        else "is no folder"
    )
    raise ModelFileError(path=str(folder), problem=problem)


def _import(store: Store, model: ForeignModel, *, is_dry: bool) -> Outcome:
    called = ", ".join(each[:_MAX_SHOWN] for each in model.names) or "an untagged model"
    if model.problem:
        return _left_out(called, model.problem)
    manifest = decode_manifest(model.manifest, source=called)
    size = units.format_bytes_decimal(manifest.size_bytes)
    names, refused = _readable(store, model.names)
    notes = [f"without {each}" for each in model.dropped] + [f"not as {each}" for each in refused]
    verb, how = ("Would import" if is_dry else "Imported"), ""
    try:
        if is_dry:
            taken = _taken(store, model, names)
        else:
            how, taken = _bring_in(store, model, manifest, names)
    except ModelFileError as error:
        return _left_out(called, error.sentence)
    except StoreCorruptError as error:  # its config is none
        return _left_out(called, error.problem)
    notes += [f"not as {each}, which is another model here" for each in taken]
    about = "; ".join(each for each in (size, how, *notes) if each)
    return Outcome(sentence=_line(f"{verb} {called} ({about})"))


def _left_out(called: str, problem: str) -> Outcome:
    return Outcome(sentence=_line(f"Left out {called}: {problem}"), problem=_line(problem))


def _line(text: str) -> str:
    # Names and paths are whatever somebody wrote into that folder.
    return "".join(each if each.isprintable() else "?" for each in text[:_MAX_LINE])


def _readable(store: Store, texts: Sequence[str]) -> tuple[list[Reference], list[str]]:
    """The names it could have here, and why it cannot have the others."""
    names: list[Reference] = []
    refused: list[str] = []
    for text in texts:
        try:
            names.append(store.check_target(text))
        except (InvalidReferenceError, InvalidParameterError) as error:
            refused.append(f"{text[:_MAX_SHOWN]}: {error.sentence}")
    return names, refused


def _taken(store: Store, model: ForeignModel, names: Sequence[Reference]) -> list[str]:
    for path in model.files.values():
        with user_file_errors(path):
            if not path.is_file():
                raise ModelFileError(path=str(path), problem="is missing")
    free = {None, Digest.of(model.manifest)}
    return [str(each) for each in names if store.holder(each) not in free]


def _bring_in(
    store: Store, model: ForeignModel, manifest: Manifest, names: Sequence[Reference]
) -> tuple[str, list[str]]:
    """Bring it in; returns how its files came, and the names that other models have."""
    digest = Digest.of(model.manifest)
    counts: Counter[Adoption] = Counter()
    came = {digest}
    is_whole = False
    try:
        with store.lease([digest, *(each.digest for each in manifest.blobs)]) as lease:
            for blob in manifest.blobs:
                if blob.digest in model.made:
                    store.put_blob(blob, model.made[blob.digest], lease)
                    how = Adoption.COPIED
                else:
                    how = adopt(store, blob, model.files[blob.digest], lease)
                    counts[how] += 1
                if how is not Adoption.PRESENT:
                    came.add(blob.digest)
            taken = _enter(store, model.manifest, names, lease)
            is_whole = True
    finally:
        if not is_whole:
            # After the lease, which would keep them. Only what no model and nobody else needs.
            with contextlib.suppress(StoreLockedError):
                store.collect(among=came)
    ways = (
        f"{units.counted(counts[each], 'file')} {each.value}" for each in Adoption if counts[each]
    )
    return ", ".join(ways), taken


def _enter(store: Store, content: bytes, names: Sequence[Reference], lease: Lease) -> list[str]:
    """Put a model under those of the names that no other has; returns the rest.

    Whether a name is free is only certain under the index's lock: a pull may have taken it since
    the files began to come.
    """
    model = store.put(content, None, lease)
    media_type = model.manifest.media_type or MANIFEST_TYPE
    entry = Descriptor(media_type=media_type, size=len(content), digest=Digest(model.id))
    layout = Layout(store.path)
    taken: list[str] = []
    with IndexFile(layout.index, layout.index_lock).changing() as change:
        for name in names:
            if index.owner(change.entries, name.stored_name) in {None, entry.digest}:
                change.entries = index.with_name(change.entries, entry, name.stored_name)
            else:
                taken.append(str(name))
    return taken
