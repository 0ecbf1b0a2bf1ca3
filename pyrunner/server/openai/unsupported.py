"""Parameters of OpenAI's and llama-server's APIs that we know and do not implement.

A value that changes nothing is accepted, because clients send it by default; any other is a 400
that names the parameter. Ignoring one would give an answer that is not what was asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pyrunner.errors import UnsupportedParameterError


@dataclass(frozen=True, slots=True)
class Unsupported:
    """One parameter's harmless values, besides null."""

    harmless: tuple[object, ...] = ()
    hint: str = "Remove it from the request."


_OFF = Unsupported(harmless=(False,))
_NEVER = Unsupported()
_ONE = Unsupported(harmless=(1,), hint="Send several requests instead.")
_ZERO = Unsupported(harmless=(0,))

_TIER = Unsupported(harmless=("auto", "default"), hint="There is one tier, the default.")

GENERATION: Mapping[str, Unsupported] = {
    "n": _ONE,
    "store": Unsupported(harmless=(False,), hint="Nothing is stored here."),
    "service_tier": _TIER,
    "n_predict": Unsupported(hint="Use 'max_tokens'."),
    "n_keep": _ZERO,
    "n_probs": _ZERO,
    "min_keep": _ZERO,
    "samplers": _NEVER,
    "id_slot": Unsupported(harmless=(-1,)),
    "lora": Unsupported(harmless=([],)),
    "return_tokens": _OFF,
    "timings_per_token": _OFF,
    "post_sampling_probs": _OFF,
    "t_max_predict_ms": _ZERO,
}
"""Known to both generating routes."""

CHAT: Mapping[str, Unsupported] = {
    **GENERATION,
    "audio": _NEVER,
    "modalities": Unsupported(harmless=(["text"],), hint='Only ["text"] is.'),
    "functions": Unsupported(hint="Use 'tools'."),
    "function_call": Unsupported(harmless=("none",), hint="Use 'tool_choice'."),
    "reasoning_effort": Unsupported(hint="Use 'chat_template_kwargs' if the model's template can."),
    "reasoning_format": Unsupported(harmless=("auto",)),
    "verbosity": Unsupported(harmless=("medium",)),
    "web_search_options": _NEVER,
    "moderation": _NEVER,
    "add_generation_prompt": Unsupported(harmless=(True,)),
    "continue_final_message": _OFF,
}
"""Known to ``chat/completions``."""

COMPLETION: Mapping[str, Unsupported] = {
    **GENERATION,
    "top_logprobs": _ZERO,
    "best_of": _ONE,
    "echo": _OFF,
    "suffix": Unsupported(harmless=("",)),
}
"""Known to ``completions``."""

EMBEDDING: Mapping[str, Unsupported] = {
    "service_tier": _TIER,
    "dimensions": Unsupported(hint="Vectors have the model's own length."),
}
"""Known to ``embeddings``."""


RERANK: Mapping[str, Unsupported] = {
    "texts": Unsupported(hint="Use 'documents'."),
    "max_tokens_per_doc": Unsupported(hint="Documents are read whole; shorten them."),
    "truncate": _OFF,
    "truncation": _OFF,
}
"""Known to ``rerank``."""


def without_unsupported(
    document: Mapping[str, object], known: Mapping[str, Unsupported]
) -> dict[str, object]:
    """Drop what is known and harmless.

    Raises:
        UnsupportedParameterError: A known parameter asks for something.
    """
    for name, row in known.items():
        if name in document and not _is_harmless(document[name], row):
            raise UnsupportedParameterError(param=name, hint=row.hint)
    return {name: value for name, value in document.items() if name not in known}


def _is_harmless(value: object, row: Unsupported) -> bool:
    # True == 1 in Python, but a client that sends one for the other has a bug to hear of.
    return any(
        value == harmless and isinstance(value, bool) is isinstance(harmless, bool)
        for harmless in row.harmless
    )
