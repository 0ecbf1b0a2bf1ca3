"""Where a tool call begins in an answer that comes in pieces."""

import pytest

from pyrunner.chat.trigger import MAX_TRIGGER_BYTES, Thinking, TriggerSearch

WORD = (rb"<tool_call>\n",)
QWEN = Thinking(b"<think>", (b"\n</think>", b"</think>", b"<tool_call>"))


def _found(search: TriggerSearch, *pieces: bytes) -> tuple[int, bytes] | None:
    """In which piece, and the text from the call on."""
    for i, piece in enumerate(pieces):
        call = search.feed(piece)
        if call is not None:
            return i, call
    return None


@pytest.mark.parametrize(
    ("expressions", "pieces", "found"),
    [
        (WORD, (b"Sure. <tool", b"_call", b">", b"\n{"), (3, b"<tool_call>\n{")),
        (WORD, (b"<tool_call>", b" ", b"\n"), None),
        (WORD, (b"a<tool_call>\nb",), (0, b"<tool_call>\nb")),
        ((rb"no", rb"b+"), (b"ab", b"b"), (0, b"b")),
        ((rb"a(x)?(b)",), (b"ab",), (0, b"b")),
        ((rb"a(x*)b",), (b"..ab",), (0, b"ab")),
        ((rb"^\s+to$",), (b" ", b"to"), (1, b" to")),
        ((rb"^\s+to$",), (b" to\n",), None),
        ((rb"^\s+to$",), (b".", b" to"), None),
        ((rb"(?:^|<s>)( to=[^<]*?<m>)",), (b"x to=a<m>",), None),
        ((rb"(?:^|<s>)( to=[^<]*?<m>)",), (b"x<s>", b" to=a", b"<m>"), (2, b" to=a<m>")),
        ((rb"\xe2\x82\xac",), (b"\xe2", b"\x82", b"\xac1"), (2, b"\xe2\x82\xac1")),
    ],
)
def test_call_begins_where_llama_cpp_has_it_begin(expressions, pieces, found):
    assert _found(TriggerSearch(expressions), *pieces) == found


@pytest.mark.parametrize(
    ("begun", "pieces", "found"),
    [
        (b"", (b"<think>", b"<tool_call>\n"), (1, b"<tool_call>\n")),
        (b"<think>\n", (b"hm\n</thi", b"nk><tool_call>\n"), (1, b"<tool_call>\n")),
        (b"<think></think>", (b"<tool_call>\n",), (0, b"<tool_call>\n")),
    ],
)
def test_end_of_a_thought_may_be_the_beginning_of_a_call(begun, pieces, found):
    assert _found(TriggerSearch(WORD, QWEN, begun), *pieces) == found


def test_call_in_a_thought_is_none():
    thinking = Thinking(b"<think>", (b"</think>",))
    pieces = (b" <thi", b"nk>x<tool_call>\n</thi")
    assert _found(TriggerSearch(WORD, thinking), *pieces) is None
    search = TriggerSearch(WORD, thinking)
    assert _found(search, *pieces, b"nk><tool_call>\n!") == (2, b"<tool_call>\n!")


@pytest.mark.parametrize(
    ("begun", "words"),
    [(b"", b"Well, "), (b"", b"<think>x</think>"), (b"x<think>", b"y</think>"), (b"x", b"y")],
)
def test_thought_that_does_not_come_first_is_none(begun, words):
    thinking = Thinking(b"<think>", (b"</think>",))
    pieces = (words, b" <th", b"ink><tool_call>\n")
    assert _found(TriggerSearch(WORD, thinking, begun), *pieces) == (2, b"<tool_call>\n")


def test_marks_of_a_thought_are_text_that_a_pattern_sees():
    thinking = Thinking(b"<a>", (b"<e>",))
    search = TriggerSearch((rb"^<a><e><s>(to)",), thinking)
    assert _found(search, b"<a>hm", b"m<e><", b"s>to") == (2, b"to")


def test_copy_does_not_move_with_the_other():
    search = TriggerSearch(WORD)
    search.feed(b"<tool_call>")
    copied = search.copy()
    assert copied.feed(b"\n") == b"<tool_call>\n"
    assert search.feed(b" ") is None
    assert search.feed(b"\n") is None


def test_what_lies_far_back_is_not_searched_again():
    search = TriggerSearch((rb"a[^b]*b",))
    assert search.feed(b"a") is None
    assert search.feed(b"." * (MAX_TRIGGER_BYTES + 1)) is None
    assert search.feed(b"b") is None


def test_expression_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no regular expression"):
        TriggerSearch((rb"(",))
