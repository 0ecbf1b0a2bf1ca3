"""Recorded outputs of several model families, fed in pieces of every size."""

import json
import random
import re
from dataclasses import replace

import pytest
from support.chat_talk import CUTS, TEMPLATES, WEATHER, Answer, ask, chat_format, hear, user

from pyrunner.chat.conversation import ChatParser
from pyrunner.chat.wire_json import encode_request
from pyrunner.types import ChatMessage, FinishReason, TextEvent, ToolChoice

pytestmark = pytest.mark.native

HERMES = "NousResearch-Hermes-3-Llama-3.1-8B-tool_use"
LLAMA = "meta-llama-Llama-3.1-8B-Instruct"
MISTRAL = "mistralai-Mistral-Nemo-Instruct-2407"
QWEN2 = "Qwen-Qwen2.5-7B-Instruct"
QWEN3 = "Qwen-Qwen3-0.6B"
R1 = "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B"

ZURICH = ("get_weather", '{"city": "Z\u00fcrich", "days": 3}')
ROME = ("get_weather", '{"city": "Rome"}')
CALL = f'<tool_call>\n{{"name": "get_weather", "arguments": {ZURICH[1]}}}\n</tool_call>'
SECOND_CALL = f'\n<tool_call>\n{{"name": "get_weather", "arguments": {ROME[1]}}}\n</tool_call>'

WHOLE = [
    (QWEN2, "Hello \u4e16\u754c \U0001f30d!", Answer("Hello \u4e16\u754c \U0001f30d!")),
    (QWEN2, CALL, Answer(calls=[ZURICH])),
    (QWEN2, f"Let me see.\n{CALL}", Answer("Let me see.\n", calls=[ZURICH])),
    (HERMES, CALL + SECOND_CALL, Answer(calls=[ZURICH, ROME])),
    (LLAMA, '{"name": "get_weather", "parameters": {"city": "Rome"}}', Answer(calls=[ROME])),
    (LLAMA, "It is sunny (I guess) [1].", Answer("It is sunny (I guess) [1].")),
    (
        MISTRAL,
        '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Rome"}, "id": "abcdefghi"}]',
        Answer(calls=[ROME]),
    ),
    (QWEN3, "<think>\nHmm.\n</think>\n\nHello!", Answer("Hello!", "Hmm.\n")),
    (QWEN3, "<think>\n\n</think>\n\nHello!", Answer("Hello!")),
    (QWEN3, f"<think>\nHmm < 3.\n</think>\n\n{CALL}", Answer("", "Hmm < 3.\n", [ZURICH])),
    (QWEN3, "Hello!", Answer("Hello!")),
    # This template's parser keeps the line breaks around its tags, under llama-server too.
    (R1, "Hmm.\n</think>\n\nHello!", Answer("\n\nHello!", "\nHmm.\n")),
]  # fmt: skip


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("template", "text", "expected"), WHOLE)
def test_whole_answers(template: str, text: str, expected: Answer, cut: str):
    parser = chat_format(template).render(ask(tools=(WEATHER,))).parser
    answer = hear(parser, CUTS[cut](text))
    reason = FinishReason.TOOL_CALLS if expected.calls else FinishReason.STOP
    assert answer == replace(expected, reason=reason)
    assert len(set(answer.ids)) == len(answer.calls)


TOO_DEEP = '<tool_call>\n{"name": "get_weather", "arguments": {"city": ' + "[" * 3000

MALFORMED = [
    # An unknown function, invalid JSON, the wrong brackets, and nothing after the delimiter.
    (QWEN2, '<tool_call>\n{"name": "nope", "arguments": {}}\n</tool_call>', None),
    (QWEN2, "<tool_call>\n{oops}\n</tool_call>", None),
    (QWEN2, "<tool_call>\n[1, 2]\n</tool_call>", None),
    (QWEN2, "So: <tool_call>\n", None),
    (QWEN2, "So: <tool_ca", None),
    (QWEN2, "a <", None),
    (LLAMA, "Code: { return; } and so on, and so forth. " * 9, None),
    (QWEN2, f"{CALL}\nThere you are.", "There you are."),
    (QWEN2, TOO_DEEP, None),
]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("template", "text", "content"), MALFORMED)
def test_what_is_no_call_is_content(template: str, text: str, content: str | None, cut: str):
    parser = chat_format(template).render(ask(tools=(WEATHER,))).parser
    answer = hear(parser, CUTS[cut](text))
    assert answer.content == (text if content is None else content)
    assert answer.reason is (FinishReason.TOOL_CALLS if content else FinishReason.STOP)


@pytest.mark.parametrize("start", ["", '"', '\\"', "'", '"\\', "\\", '"\\" ', '"a": "'])
def test_no_way_of_quoting_hides_deep_nesting(start: str):
    """Two thousand brackets in arguments would overflow the stack of the worker."""
    head = '<tool_call>\n{"name": "get_weather", "arguments": {"city": '
    for template in (QWEN2, "LFM2-8B-A1B"):
        parser = chat_format(template).render(ask(tools=(WEATHER,))).parser
        text = f"{start}{head}{start}{'[' * 20_000}"
        answer = hear(parser, [text])
        assert answer.content.endswith("[" * 19_000) or answer.calls[0][1].endswith("[" * 100)


def test_a_call_that_breaks_off_in_its_arguments_is_not_a_whole_call():
    text = '<tool_call>\n{"name": "get_weather", "arguments": {"city": oops}}\n</tool_call>'
    parser = chat_format(QWEN2).render(ask(tools=(WEATHER,))).parser
    answer = hear(parser, text)
    assert answer.reason is FinishReason.STOP
    assert answer.content == text


def test_a_truncated_call_keeps_its_reason():
    parser = chat_format(QWEN2).render(ask(tools=(WEATHER,))).parser
    answer = hear(parser, CALL[: CALL.index(', "days"')], FinishReason.LENGTH)
    assert answer.reason is FinishReason.LENGTH
    assert answer.calls == [("get_weather", '{"city": "Z\u00fcrich"')]
    assert answer.content == ""


def test_a_missing_closing_tag_is_forgiven():
    parser = chat_format(QWEN2).render(ask(tools=(WEATHER,))).parser
    answer = hear(parser, CALL.removesuffix("\n</tool_call>"))
    assert (answer.calls, answer.content) == ([ZURICH], "")
    assert answer.reason is FinishReason.TOOL_CALLS


def test_truncated_reasoning_is_reasoning():
    parser = chat_format(QWEN3).render(ask()).parser
    answer = hear(parser, "<think>\nHmm, let me", FinishReason.LENGTH)
    assert (answer.content, answer.reasoning) == ("", "Hmm, let me")


def test_text_streams_as_it_comes():
    parser = chat_format(QWEN2).render(ask(tools=(WEATHER,))).parser
    for word in ("One", " two", " three."):
        assert parser.feed(word) == (TextEvent(text=word),)


def test_arguments_stream_as_they_come():
    parser = chat_format(QWEN2).render(ask(tools=(WEATHER,))).parser
    head, text = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "', "Rome:Bonn{["
    answer = Answer()
    answer.add(parser.feed(head))
    for letter in text:
        before = answer.calls[0][1]
        answer.add(parser.feed(letter))
        assert answer.calls[0][1] == before + letter


def test_unreadable_output_streams_too():
    parser = chat_format(QWEN2).render(ask(tools=(WEATHER,))).parser
    text = '<tool_call>\n{"name": "nope"}\n</tool_call> ' + "word " * 100
    answer = Answer()
    for letter in text:
        answer.add(parser.feed(letter))
    assert answer.content == text


def test_without_tools_a_call_is_text_and_no_native_parser_is_made():
    for fields in ({}, {"tools": (WEATHER,), "tool_choice": ToolChoice.NONE}):
        parser = chat_format(QWEN2).render(ask(**fields)).parser
        assert parser._native is None
        assert hear(parser, [CALL]).content == CALL


def test_ids_are_unique_and_mistral_gets_the_form_it_insists_on():
    for template, text, pattern in (
        (QWEN2, CALL, r"call_[0-9a-f]{24}"),
        (MISTRAL, '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Rome"}}]', r"\w{9}"),
    ):
        prompt = chat_format(template)._templates.render(encode_request(ask(tools=(WEATHER,))))
        ids = [hear(ChatParser(prompt), [text]).ids[0] for _ in range(50)]
        assert len(set(ids)) == 50
        for call_id in ids:
            assert re.fullmatch(pattern, call_id)


def test_a_continued_answer_is_not_repeated():
    start = ChatMessage(role="assistant", content="Sure, the")
    parser = chat_format(QWEN3).render(ask(user("Hi"), start)).parser
    assert hear(parser, [" answer", " is 42"]).content == " answer is 42"


PIECES = [
    "Hello ", "\n", "<think>", "</think>", "<tool_call>\n", "</tool_call>", "{", "}", "[", '"',
    '{"name": "get_weather", "arguments": {"city": "Rome"}}', "[TOOL_CALLS]", "<|channel|>", "<",
    "analysis", "<|message|>", "<function=get_weather>\n<parameter=city>\nRome\n</parameter>\n",
    "</function>", "\u00e9\u4e16", "it's ", "word " * 30, "<|START_RESPONSE|>", "final",
    "<|tool_call>call:",
]  # fmt: skip


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.jinja")), ids=lambda path: path.stem)
def test_pieces_do_not_matter(path):
    draw = random.Random(path.stem)
    chat = chat_format(path.stem)
    for tools in ((), (WEATHER,)):
        prompt = chat._templates.render(encode_request(ask(tools=tools)))
        for _ in range(4):
            text = "".join(draw.choices(PIECES, k=draw.randint(1, 9)))
            answers = [hear(ChatParser(prompt), cut(text)) for cut in CUTS.values()]
            assert answers[0] == answers[1] == answers[2], text


def test_a_long_answer_costs_no_more_per_token():
    """Reading everything again for each token would take a minute here."""
    parser = chat_format(QWEN3).render(ask(tools=(WEATHER,))).parser
    line = "Some words of thought, and (more) of them; then a line.\n"
    answer = hear(parser, ["<think>\n", *([line[:28], line[28:]] * 10_000), "</think>Done."])
    assert answer.reasoning == line * 10_000
    assert answer.content == "Done."


def test_long_arguments_arrive_whole():
    city = json.dumps("Rome, \u00e9t\u00e9 'quoted' :( {[x] \\ \"y\"} " * 2000)
    text = f'<tool_call>\n{{"name": "get_weather", "arguments": {{"city": {city}}}}}\n</tool_call>'
    parser = chat_format(QWEN2).render(ask(tools=(WEATHER,))).parser
    answer = hear(parser, CUTS["words"](text))
    assert answer.calls == [("get_weather", f'{{"city": {city}}}')]
    assert answer.reason is FinishReason.TOOL_CALLS
