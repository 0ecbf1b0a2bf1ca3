"""Values every layer shares: frozen, and whole after a trip over the wire."""

import msgspec
import pytest

from pyrunner import types


def _values() -> list[type[msgspec.Struct]]:
    found = [each for each in vars(types).values() if isinstance(each, type)]
    return [each for each in found if issubclass(each, msgspec.Struct)]


@pytest.mark.parametrize("cls", _values())
def test_values_cannot_be_changed(cls: type[msgspec.Struct]):
    names = cls.__struct_fields__
    value = cls(**dict.fromkeys(names))
    with pytest.raises(AttributeError):
        setattr(value, names[0], 1)
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize(
    "cls", [each for each in _values() if each not in {types.TokenChance, types.TokenLogprobs}]
)
def test_values_take_no_positions(cls: type[msgspec.Struct]):
    with pytest.raises(TypeError, match="positional"):
        cls(None)


def test_usage_adds_up():
    assert types.Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=2).total_tokens == 7


def test_a_chat_request_survives_msgpack():
    call = types.ToolCall(id="c1", name="weather", arguments='{"city": "\u00c5rhus"}')
    request = types.ChatRequest(
        messages=(
            types.ChatMessage(role="user", content="a\0b"),
            types.ChatMessage(role="assistant", tool_calls=(call,)),
        ),
        tools=(types.Tool(name="weather", parameters='{"b": 1, "a": 2}'),),
        tool_choice=types.ToolChoice.NONE,
        sampling=types.SamplingParams(seed=2**32 - 2, logit_bias=((5, -100.0),)),
        limits=types.Limits(max_tokens=1, stop=("x",)),
    )
    data = msgspec.msgpack.encode(request)
    assert msgspec.msgpack.decode(data, type=types.ChatRequest) == request


@pytest.mark.parametrize(
    "event",
    [
        types.TextEvent(text=""),
        types.TextEvent(
            text="x",
            logprobs=(
                types.TokenLogprobs(
                    types.TokenChance(5, b"\xff", -0.5), (types.TokenChance(6, b"", -1.5),)
                ),
            ),
        ),
        types.ReasoningEvent(text="\U0001f600"),
        types.ToolCallEvent(index=1, arguments="{"),
        types.FinishEvent(
            reason=types.FinishReason.STOP,
            usage=types.Usage(prompt_tokens=1, completion_tokens=0),
            timings=types.Timings(queue_s=0.0, prompt_s=0.1, decode_s=0.2),
        ),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_comes_back_as_its_own_kind(event: types.Event):
    data = msgspec.msgpack.encode(event)
    assert msgspec.msgpack.decode(data, type=types.Event) == event
