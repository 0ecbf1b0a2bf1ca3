"""The official OpenAI client against the server: first without an engine, then with one."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from time import monotonic
from typing import Any

import openai
import pytest
from support import word_model
from support.artifacts import add
from support.live_server import PATIENCE_S, running, served
from support.waits import until

from pyrunner import config
from pyrunner.runtime.processes import children

pytestmark = pytest.mark.keeps_open("the client keeps its connections")

MODEL = "pyrunner/demo"
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
QUESTION: Any = [{"role": "user", "content": "Explain Docker in simple terms."}]


@dataclass(frozen=True)
class Service:
    """A server, and OpenAI's client of it."""

    client: openai.OpenAI
    url: str


@pytest.fixture(
    scope="module",
    params=["scripted", pytest.param("real", marks=[pytest.mark.native, pytest.mark.slow])],
)
def service(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Service]:
    """The same tests twice: the scripted model, and the demo model in a real worker."""
    home = tmp_path_factory.mktemp("pyr", numbered=True)
    is_real = request.param == "real"
    with (
        _url(home, is_real=is_real) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield Service(client, url)


@contextmanager
def _url(home: Path, *, is_real: bool) -> Iterator[str]:
    if is_real:
        if not (resources.files("pyrunner") / "demo" / "layout" / "index.json").is_file():
            pytest.skip("the demo model is not in this checkout")
        # One thread makes answers repeatable; the workers leave soon after the server.
        overrides = {"server.port": 0, "engine.n_threads": 1, "runtime.orphan_grace_s": 0.5}
        with served(config.load(overrides, {"PYRUNNER_HOME": str(home)})) as (server, _):
            assert server.listening.url is not None
            try:
                yield server.listening.url
            finally:
                _call(server.listening.url, "/engines/unload", {"all": True})
                children.reap()
    else:
        with running(home) as live:
            add(live.api.store, "registry.example:5000/team/model:v1", b"weights")
            live.api.runtime.known = frozenset({MODEL})
            live.api.runtime.answer = word_model.answer
            assert live.listening.url is not None
            yield live.listening.url


def _call(url: str, path: str, body: object = None) -> Any:
    """A route outside OpenAI's API."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url + path, data, timeout=PATIENCE_S) as answer:
        return json.load(answer)


@pytest.fixture
def client(service: Service) -> openai.OpenAI:
    return service.client


def test_chat_answers_with_right_usage(client):
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0)
    assert answer.object == "chat.completion"
    assert answer.model == MODEL
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 1
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_stream_says_what_the_whole_answer_says(client):
    whole = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0)
    stream = client.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = stream
    assert chunks[0].choices[0].delta.role == "assistant"
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len(chunks) > 5
    assert (last.choices, last.usage.completion_tokens) == ([], whole.usage.completion_tokens)


def test_stop_ends_the_answer_before_it(client):
    whole = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0)
    text = whole.choices[0].message.content
    stop = text.split()[4]
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, stop=[stop, "never said"]
    )
    assert answer.choices[0].message.content == text[: text.index(stop)]
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_limit_cuts_the_answer(client, name):
    limit = {name: 5}
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, **limit)
    assert answer.usage.completion_tokens == 5
    assert answer.choices[0].finish_reason == "length"


def test_seed_makes_the_answer_repeatable(client):
    # The demo model is sure of what Docker is, and has two ways to greet.
    greeting: Any = [{"role": "user", "content": "Hello!"}]

    def ask(seed: int) -> Any:
        answer = client.chat.completions.create(
            model=MODEL, messages=greeting, temperature=1.5, seed=seed, max_tokens=24
        )
        return answer.choices[0].message.content

    assert ask(7) == ask(7)
    assert len({ask(seed) for seed in range(8)}) > 1


def test_tool_is_called(client):
    messages: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    answer = client.chat.completions.create(
        model=MODEL, messages=messages, tools=[WEATHER], tool_choice="auto", temperature=0
    )
    (call,) = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "get_weather"
    assert list(json.loads(call.function.arguments)) == ["city"]
    assert call.id


def test_tool_call_is_streamed_in_pieces_that_fit_together(client):
    messages: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    stream = client.chat.completions.create(
        model=MODEL, messages=messages, tools=[WEATHER], temperature=0, stream=True
    )
    pieces = [
        call
        for chunk in stream
        for choice in chunk.choices
        for call in choice.delta.tool_calls or ()
    ]
    assert [piece.function.name for piece in pieces if piece.function.name] == ["get_weather"]
    arguments = "".join(piece.function.arguments or "" for piece in pieces)
    assert list(json.loads(arguments)) == ["city"]


def test_tool_is_not_called_when_told_not_to(client):
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, tools=[WEATHER], tool_choice="none", temperature=0
    )
    assert answer.choices[0].message.tool_calls is None
    assert answer.choices[0].message.content


def test_tool_result_is_answered(client):
    messages: Any = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": '{"temperature": 21}'},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=messages, temperature=0)
    assert answer.choices[0].message.content


def test_completion_answers_and_streams_the_same(client):
    body: Any = {"model": MODEL, "prompt": "Docker is", "temperature": 0, "max_tokens": 8}
    whole = client.completions.create(**body)
    assert whole.choices[0].text
    assert whole.usage.completion_tokens == 8
    stream = client.completions.create(**body, stream=True)
    said = "".join(chunk.choices[0].text for chunk in stream)
    assert said == whole.choices[0].text


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_chat_logprobs_are_those_of_the_content(client, is_streamed):
    body: Any = {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 12}
    answer = client.chat.completions.create(
        **body, logprobs=True, top_logprobs=20, stream=is_streamed
    )
    choices = [chunk.choices[0] for chunk in answer] if is_streamed else answer.choices
    tokens = [each for one in choices if one.logprobs for each in one.logprobs.content]
    content = [(one.delta if is_streamed else one.message).content or "" for one in choices]
    assert len(tokens) == 12
    assert b"".join(bytes(each.bytes) for each in tokens).decode() == "".join(content)
    for each in tokens:
        numbers = [other.logprob for other in each.top_logprobs]
        assert numbers == sorted(numbers, reverse=True)
        assert each.logprob == numbers[0] <= 0  # temperature 0 takes the likeliest
        assert each.token == each.top_logprobs[0].token
    asked_for_less = client.chat.completions.create(**body, logprobs=True)
    (choice,) = asked_for_less.choices
    assert [each.top_logprobs for each in choice.logprobs.content] == [[]] * 12
    assert client.chat.completions.create(**body).choices[0].logprobs is None


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_completion_logprobs_are_parallel_lists(client, is_streamed):
    answer = client.completions.create(
        model=MODEL,
        prompt="Docker is",
        temperature=0,
        max_tokens=8,
        logprobs=2,
        stream=is_streamed,
    )
    choices = [chunk.choices[0] for chunk in answer] if is_streamed else answer.choices
    found = [one.logprobs for one in choices if one.logprobs]
    text = "".join(one.text for one in choices)
    tokens = [each for one in found for each in one.tokens]
    offsets = [each for one in found for each in one.text_offset]
    assert len(tokens) == len(offsets) == 8
    assert [text[at:].startswith(each) for at, each in zip(offsets, tokens, strict=True)] == (
        [True] * 8
    )
    numbers = [each for one in found for each in one.token_logprobs]
    tables = [each for one in found for each in one.top_logprobs]
    assert [max(each.values()) for each in tables] == numbers
    assert all(len(each) == 2 for each in tables)


def test_embeddings_come_as_floats_and_as_base64(client):
    # The client asks for base64 unless told otherwise, and decodes it.
    texts = ["a container", "an image"]
    decoded = client.embeddings.create(model=MODEL, input=texts)
    floats = client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    assert [each.index for each in decoded.data] == [0, 1]
    assert len(decoded.data[0].embedding) == len(floats.data[0].embedding) > 1
    assert decoded.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-3)
    assert decoded.usage.prompt_tokens > 0


def test_models_can_be_listed_and_each_be_retrieved(client):
    client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=1)
    models = list(client.models.list())
    assert [client.models.retrieve(each.id).id for each in models] == [each.id for each in models]
    assert len(models) == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"temperature": 11}, "temperature"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"n": 2}, "n"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"extra_body": {"temprature": 1}}, "temprature"),
    ],
)
def test_bad_parameter_is_a_bad_request_that_names_it(client, body, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=QUESTION, **body)
    assert caught.value.param == param
    assert param in str(caught.value)


def test_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="ai/none", messages=QUESTION)
    assert caught.value.code == "model_not_found"


def test_llama_cpps_own_parameters_go_through_extra_body(client):
    answer = client.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        max_tokens=3,
        extra_body={
            "top_k": 1,
            "min_p": 0.1,
            "repeat_penalty": 1.1,
            "dry_multiplier": 0.8,
            "dry_sequence_breakers": ["\n"],
            "keep_alive": "5m",
        },
    )
    assert answer.usage.completion_tokens == 3


def test_stream_that_is_closed_early_leaves_the_server_working(client):
    for _ in range(3):
        with client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True) as stream:
            next(iter(stream))
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=2)
    assert answer.usage.completion_tokens == 2


@pytest.mark.parametrize("service", ["real"], indirect=True)
def test_prompt_longer_than_the_context_is_a_bad_request(service):
    messages: Any = [{"role": "user", "content": "container " * 9000}]
    with pytest.raises(openai.BadRequestError) as caught:
        service.client.chat.completions.create(model=MODEL, messages=messages)
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize("service", ["real"], indirect=True)
@pytest.mark.parametrize("text", ["Explain Docker.", "container " * 1500], ids=["short", "long"])
def test_stream_that_is_closed_frees_its_lane_at_once(service, text):
    messages: Any = [{"role": "user", "content": text}]
    with service.client.chat.completions.create(
        model=MODEL, messages=messages, stream=True, extra_body={"ignore_eos": True}
    ) as stream:
        next(iter(stream))
    gone = monotonic()
    until(lambda: all(each["n_in_flight"] == 0 for each in _call(service.url, "/engines/ps")))
    assert monotonic() - gone < 0.15
