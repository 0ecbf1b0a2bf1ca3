"""The JSON between Python and csrc's chat part."""

import json

from pyrunner.chat.wire_json import decode_events, encode_request
from pyrunner.types import (
    ChatMessage,
    ChatRequest,
    ReasoningEvent,
    TextEvent,
    Tool,
    ToolCall,
    ToolCallEvent,
    ToolChoice,
)


def test_a_request_carries_what_a_template_needs():
    request = ChatRequest(
        messages=(
            ChatMessage(role="user", content="Gr\u00fc\u00dfe", name="ann"),
            ChatMessage(
                role="assistant",
                reasoning_content="Hmm.",
                tool_calls=(ToolCall(id="c1", name="t", arguments='{"a": 1}'),),
            ),
            ChatMessage(role="tool", content="2", tool_call_id="c1"),
        ),
        tools=(Tool(name="t", description="d", parameters='{"b": 1, "a": 2}'),),
        tool_choice=ToolChoice.NONE,
        parallel_tool_calls=False,
        template_kwargs='{"x": 1}',
    )
    assert json.loads(encode_request(request)) == {
        "messages": [
            {"role": "user", "content": "Gr\u00fc\u00dfe", "name": "ann"},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Hmm.",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "t", "arguments": '{"a": 1}'},
                    }
                ],
            },
            {"role": "tool", "content": "2", "tool_call_id": "c1"},
        ],
        "tools": [{"name": "t", "description": "d", "parameters": '{"b": 1, "a": 2}'}],
        "tool_choice": "none",
        "parallel_tool_calls": False,
        "template_kwargs": '{"x": 1}',
    }


def test_nothing_to_report_is_no_event():
    assert decode_events(b"") == ()


def test_events_become_the_types_everyone_shares():
    events = decode_events(
        b'[{"type":"reasoning","text":"a"},{"type":"text","text":"b"},'
        b'{"type":"tool_call","index":1,"id":"i","name":"n","arguments":"{"}]'
    )
    assert events == (
        ReasoningEvent(text="a"),
        TextEvent(text="b"),
        ToolCallEvent(index=1, id="i", name="n", arguments="{"),
    )
