"""The shipped model in its examinations: what its card says is true."""

import msgspec
import pytest
from demo_model import examinations, score
from demo_model.heldout_case import Case
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
def results(demo_model: _native.Model, demo_engine: Engine) -> dict[str, list[score.Outcome]]:
    """Every case, rendered by the model's own template and answered greedily, in batches."""
    chat = ChatFormat(demo_model)
    return {
        name: _outcomes(demo_engine, chat, cases)
        for name, cases in examinations.EXAMINATIONS.items()
    }


def _outcomes(engine: Engine, chat: ChatFormat, cases: tuple[Case, ...]) -> list[score.Outcome]:
    limits = Limits(max_tokens=score.MAX_ANSWER_TOKENS)
    running = [
        engine.generate(
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


def test_the_examinations_are_long_enough() -> None:
    assert len(examinations.EXAMINATIONS["first"]) >= 300
    assert len(examinations.EXAMINATIONS["second"]) >= 200


@pytest.mark.parametrize("name", examinations.EXAMINATIONS)
def test_the_shipped_model_passes_and_is_as_good_as_its_card_says(
    results: dict[str, list[score.Outcome]], name: str
) -> None:
    outcomes = results[name]
    on_the_card = _on_the_card("**all**")[name]
    assert on_the_card >= 100 * score.PASS_SHARE
    # Another machine rounds otherwise and may flip a near tie, hence two points of slack.
    assert 100 * score.share(outcomes) >= on_the_card - 2, score.table(outcomes)


@pytest.mark.parametrize("category", ["explain", "tool not needed", "does not know", "json"])
def test_what_the_first_minute_shows_works(
    results: dict[str, list[score.Outcome]], category: str
) -> None:
    outcomes = [outcome for each in results.values() for outcome in each]
    asked = [outcome for outcome in outcomes if outcome.case.category == category]
    assert score.share(asked) >= 0.8, score.table(asked)


def _on_the_card(row: str) -> dict[str, float]:
    """The shares in per cent that the model card gives, one table per examination, in order."""
    card = (ROOT / "pyrunner" / "demo" / "README.md").read_text()
    lines = [line for line in card.splitlines() if line.startswith(f"| {row} |")]
    shares = [float(line.split("|")[4].strip().rstrip("%")) for line in lines]
    return dict(zip(examinations.EXAMINATIONS, shares, strict=True))


def _request(case: Case) -> ChatRequest:
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
