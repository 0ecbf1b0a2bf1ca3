"""The API's ranges are the engine's: neither side may import the other, a test may."""

from typing import Any

from msgspec import inspect

from pyrunner.engine import sampling
from pyrunner.server.openai import schema
from pyrunner.types import MAX_LOGPROBS

BODY: Any = inspect.type_info(schema.GenerationBody)
FIELDS: dict[str, Any] = {each.name: each.type for each in BODY.fields}


def _constrained(kind: Any) -> Any:
    """The member of an optional type that is not None."""
    members = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
    return members[0]


def test_every_number_of_the_engine_has_the_same_range_in_the_api():
    found = {name: _constrained(FIELDS[name]) for name in sampling.RANGES}
    assert {name: (each.ge, each.le) for name, each in found.items()} == sampling.RANGES


def test_seed_of_the_api_is_the_engines_or_minus_one():
    seed = _constrained(FIELDS["seed"])
    assert (seed.ge, seed.le) == (-1, sampling.MAX_SEED)


def test_logprobs_of_the_api_are_within_the_engines():
    chat: Any = inspect.type_info(schema.ChatBody)
    text: Any = inspect.type_info(schema.CompletionBody)
    (top,) = (each.type for each in chat.fields if each.name == "top_logprobs")
    (most,) = (_constrained(each.type) for each in text.fields if each.name == "logprobs")
    assert (top.ge, top.le) == (0, MAX_LOGPROBS)
    assert (most.ge, most.le) == (0, 5)


def test_stop_of_the_api_is_within_the_engines_limits():
    text: Any = inspect.type_info(schema.StopText)
    assert (text.min_length, text.max_length) == (1, sampling.MAX_STOP_CHARACTERS)
    assert schema.MAX_STOPS <= sampling.MAX_STOPS
