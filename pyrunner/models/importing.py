"""Import: the models of Docker Model Runner or Ollama come into the store."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyrunner import units
from pyrunner.errors import (
    InvalidParameterError,
    InvalidReferenceError,
    ModelFileError,
    StoreCorruptError,
)
from pyrunner.models import foreign
from pyrunner.models.adoption import Adoption, adopt
from pyrunner.models.foreign import ForeignModel
from pyrunner.models.store import Store
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import Manifest, decode_manifest
from pyrunner.registry.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one model."""

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
        ModelFileError: The folder is of neither kind.
        StoreError: The store cannot be written; what came in before stays.
    """
    outcomes = []
    for model in foreign.find(folder):
        outcome = _import(store, model, is_dry=is_dry)
        on_outcome(outcome)
        outcomes.append(outcome)
    return outcomes


def _import(store: Store, model: ForeignModel, *, is_dry: bool) -> Outcome:
    called = ", ".join(model.names) or "an untagged model"
    if model.problem:
        return _left_out(called, model.problem)
    manifest = decode_manifest(model.manifest, source=called)
    size = units.format_bytes_decimal(manifest.size_bytes)
    digest = Digest.of(model.manifest)
    names, taken = _names(store, model.names, digest)
    notes = [f"without {each}" for each in model.dropped]
    notes += [f"not as {each}" for each in taken]
    if is_dry:
        missing = [str(path) for path in model.files.values() if not path.is_file()]
        if missing:
            return _left_out(called, f"{missing[0]} is missing")
        return Outcome(sentence=_sentence("Would import", called, size, notes))
    try:
        how = _bring_in(store, model, manifest, names)
    except ModelFileError as error:
        return _left_out(called, error.sentence)
    except StoreCorruptError as error:  # its config is none
        return _left_out(called, error.problem)
    return Outcome(sentence=_sentence("Imported", called, size, [how, *notes]))


def _left_out(called: str, problem: str) -> Outcome:
    return Outcome(sentence=f"Left out {called}: {problem}", problem=problem)


def _sentence(verb: str, called: str, size: str, notes: Sequence[str]) -> str:
    return f"{verb} {called} ({'; '.join((size, *notes))})"


def _names(store: Store, texts: Sequence[str], digest: Digest) -> tuple[list[Reference], list[str]]:
    """The names it can have here, and why it cannot have the others."""
    names: list[Reference] = []
    taken: list[str] = []
    for text in texts:
        try:
            name = store.check_target(text)
        except (InvalidReferenceError, InvalidParameterError) as error:
            taken.append(f"{text}: {error.sentence}")
            continue
        holder = store.holder(name)
        if holder not in {None, digest}:
            taken.append(f"{text}, which is another model here")
        else:
            names.append(name)
    return names, taken


def _bring_in(
    store: Store, model: ForeignModel, manifest: Manifest, names: Sequence[Reference]
) -> str:
    digest = Digest.of(model.manifest)
    counts: Counter[Adoption] = Counter()
    with store.lease([digest, *(each.digest for each in manifest.blobs)]) as lease:
        for blob in manifest.blobs:
            if blob.digest in model.made:
                store.put_blob(blob, model.made[blob.digest], lease)
            else:
                counts[adopt(store, blob, model.files[blob.digest], lease)] += 1
        store.put(model.manifest, names[0] if names else None, lease)
        for name in names[1:]:
            store.put(model.manifest, name, lease)
    return ", ".join(
        f"{units.counted(counts[each], 'file')} {each.value}" for each in Adoption if counts[each]
    )
