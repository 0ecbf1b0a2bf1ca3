"""The shipped model in its examination: what its card says is true."""

import msgspec
import pytest
from demo_model import heldout, score
from support.tree import ROOT

from pyrunner import Engine, _native
from pyrunner.chat.conversation import ChatFormat
from pyrunner.types import (
    ChatMessage,
    ChatRequest,
    FinishEvent,
    FinishReason,
    Limits,
    SamplingParams,
    TextEvent,
    Tool,
    ToolCall,
)


@pytest.fixture(scope="session")
def outcomes(demo_model: _native.Model, demo_engine: Engine) -> list[score.Outcome]:
    """Every case, rendered by the model's own template and answered greedily, in batches."""
    chat = ChatFormat(demo_model)
    limits = Limits(max_tokens=score.MAX_ANSWER_TOKENS)
    cases = heldout.cases()
    running = [
        demo_engine.generate(
            chat.render(_request(case)).tokens,
            sampling=SamplingParams(temperature=0),
            limits=limits,
        )
        for case in cases
    ]
    found = []
    for case, generation in zip(cases, running, strict=True):
        events = list(generation)
        answer = "".join(event.text for event in events if isinstance(event, TextEvent))
        last = events[-1]
        has_ended = isinstance(last, FinishEvent) and last.reason is FinishReason.STOP
        found.append(score.Outcome(case, answer, has_ended))
    return found


def test_the_shipped_model_is_as_good_as_its_card_says(outcomes: list[score.Outcome]) -> None:
    # Another machine rounds otherwise and may flip a near tie, hence two points of slack.
    share = 100 * sum(outcome.is_right for outcome in outcomes) / len(outcomes)
    assert len(outcomes) >= 300
    assert share >= _on_the_card("**all**") - 2, score.table(outcomes)


@pytest.mark.parametrize("category", ["explain", "tool not needed", "does not know", "json"])
def test_what_the_first_minute_shows_works(outcomes: list[score.Outcome], category: str) -> None:
    asked = [outcome for outcome in outcomes if outcome.case.category == category]
    n_right = sum(outcome.is_right for outcome in asked)
    assert n_right >= 0.8 * len(asked), score.table(asked)


def _on_the_card(row: str) -> float:
    """The share in per cent that the model card gives."""
    card = (ROOT / "pyrunner" / "demo" / "README.md").read_text()
    (line,) = [line for line in card.splitlines() if line.startswith(f"| {row} |")]
    return float(line.split("|")[4].strip().rstrip("%"))


def _request(case: heldout.Case) -> ChatRequest:
    return ChatRequest(
        messages=tuple(_message(each) for each in case.sample.messages),
        tools=tuple(
            Tool(
                name=each["function"]["name"],
                description=each["function"].get("description", ""),
                parameters=msgspec.json.encode(each["function"]["parameters"]).decode(),
            )
            for each in case.sample.tools
        ),
    )


def _message(message: dict[str, object]) -> ChatMessage:
    calls = message.get("tool_calls") or ()
    assert isinstance(calls, list | tuple)
    content = message.get("content")
    return ChatMessage(
        role=str(message["role"]),
        content=None if content is None else str(content),
        tool_calls=tuple(
            ToolCall(
                id=f"call_{i:024}",
                name=call["function"]["name"],
                arguments=msgspec.json.encode(call["function"]["arguments"]).decode(),
            )
            for i, call in enumerate(calls)
        ),
        tool_call_id=f"call_{0:024}" if message["role"] == "tool" else None,
    )
