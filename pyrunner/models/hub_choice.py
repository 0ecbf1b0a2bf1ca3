"""Which files of a Hugging Face repository make the model that a tag means. Pure.

The order is Docker Model Runner's (reference, section 2.8), except that a tag which matches
nothing, or several models, chooses nothing instead of something else.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pyrunner.models.shards import shard_position
from pyrunner.registry.hugging_face import HubFile

DEFAULT_QUANTIZATION = "Q4_K_M"
CHAT_TEMPLATE = "chat_template.jinja"

_GGUF = ".gguf"
_LABEL = re.compile(
    r"(?:^|[-._])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|BF16|F16|F32|FP16|FP32))$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One model of a repository: a GGUF file, or all shards of one."""

    stem: str
    """The file's name without folder, shard number and ending."""
    label: str
    """Its quantisation as the name tells it (``UD-Q4_K_XL``), or the stem."""
    files: tuple[HubFile, ...]
    """In the order of the shards, if the set is whole."""
    is_whole: bool

    @property
    def file_names(self) -> tuple[str, ...]:
        """Without folders."""
        return tuple(_name(each) for each in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is pulled."""

    variant: Variant
    is_default: bool
    """No tag asked for it."""
    mmproj: HubFile | None
    chat_template: HubFile | None


def choose(files: Sequence[HubFile], wanted: str | None) -> Choice | None:
    """Choose the files of one model.

    Args:
        files: Everything in the repository.
        wanted: A quantisation or a file's name, in any case; None takes ``Q4_K_M``, or the first
            in the order of names.

    Returns:
        None when nothing matches, or more than one model does.
    """
    found = variants(files)
    if wanted is not None:
        matching = _matching(found, wanted)
        if len(matching) != 1:
            return None
    else:
        usual = [each for each in found if each.label.upper() == DEFAULT_QUANTIZATION]
        matching = usual or found
        if not matching:
            return None
    return Choice(
        variant=matching[0],
        is_default=wanted is None,
        mmproj=_mmproj(files),
        chat_template=next((each for each in files if each.path == CHAT_TEMPLATE), None),
    )


def variants(files: Sequence[HubFile]) -> list[Variant]:
    """Every model of a repository, in the order of names."""
    groups: dict[tuple[str, str, int], dict[int, HubFile]] = {}
    for file in files:
        name = _name(file)
        if not name.lower().endswith(_GGUF) or "mmproj" in name.lower() or _is_matrix(name):
            continue
        position = shard_position(name)
        folder = file.path.rpartition("/")[0]
        if position is None:
            key = (name[: -len(_GGUF)], folder, 1)
            groups.setdefault(key, {})[0] = file
        else:
            key = (position.stem, folder, position.n_shards)
            groups.setdefault(key, {})[position.i_shard] = file
    return [
        Variant(stem, _label(stem), tuple(found[i] for i in sorted(found)), len(found) == n_shards)
        for (stem, _, n_shards), found in sorted(groups.items())
    ]


def tags(files: Sequence[HubFile]) -> list[str]:
    """What can be asked for: quantisations, and names of files where several share one."""
    found = variants(files)
    shared = Counter(each.label.upper() for each in found)
    return sorted(
        {each.label if shared[each.label.upper()] == 1 else each.file_names[0] for each in found}
    )


def _matching(found: Sequence[Variant], wanted: str) -> Sequence[Variant]:
    text = wanted.lower()
    for matching in (
        [each for each in found if text in {name.lower() for name in each.file_names}],
        [each for each in found if each.stem.lower() == text],
        [each for each in found if each.label.lower() == text],
    ):
        if matching:
            return matching
    part = re.compile(rf"[-._]{re.escape(text)}(?:[-._]|$)")
    return [each for each in found if part.search(each.stem.lower())]


def _label(stem: str) -> str:
    match = _LABEL.search(stem)
    return match[1] if match else stem


def _mmproj(files: Sequence[HubFile]) -> HubFile | None:
    named = sorted(
        (each for each in files if _is_mmproj(_name(each).lower())),
        key=lambda each: each.path,
    )
    for half in (r"(?<!b)f16", "f16", ""):
        for each in named:
            if re.search(half, _name(each).lower()):
                return each
    return None


def _is_mmproj(name: str) -> bool:
    return "mmproj" in name and name.endswith(_GGUF)


def _is_matrix(name: str) -> bool:
    """Whether it is no model but what one was quantised with."""
    return "imatrix" in name.lower() and not _LABEL.search(name[: -len(_GGUF)])


def _name(file: HubFile) -> str:
    return file.path.rpartition("/")[2]
