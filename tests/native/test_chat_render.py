"""Conversations to prompts, compared with what the templates say when read by a person."""

import json

import pytest
from support.chat_talk import TEMPLATES, WEATHER, ask, chat_format, user, vocabulary

from pyrunner.chat import ChatFormat
from pyrunner.errors import InvalidParameterError, TemplateError
from pyrunner.types import ChatMessage, ChatRequest, Tool, ToolCall, ToolChoice

pytestmark = pytest.mark.native

CALLED = ChatMessage(
    role="assistant",
    tool_calls=(ToolCall(id="123456789", name="get_weather", arguments='{"city": "Bonn"}'),),
)
SUNNY = ChatMessage(role="tool", content="sunny", tool_call_id="123456789")


def _prompt(template: str, *messages: ChatMessage, **fields: object) -> str:
    return chat_format(template).render(ask(*messages, **fields)).prompt


def test_qwen_without_a_system_message():
    assert _prompt("Qwen-Qwen2.5-7B-Instruct", user("Hi")) == (
        "<|im_start|>system\n"
        "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_developer_message_is_a_system_message():
    developer = ChatMessage(role="developer", content="Be brief.")
    text = _prompt("Qwen-Qwen2.5-7B-Instruct", developer, user("Hi"))
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi")


def test_qwen_with_tools_a_call_and_its_result():
    text = _prompt("Qwen-Qwen2.5-7B-Instruct", user("Hi"), CALLED, SUNNY, tools=(WEATHER,))
    schema = json.dumps(
        {
            "type": "function",
            "function": {
                "name": WEATHER.name,
                "description": WEATHER.description,
                "parameters": json.loads(WEATHER.parameters),
            },
        }
    )
    assert f"<tools>\n{schema}\n</tools>" in text
    assert text.endswith(
        "<|im_start|>user\nHi<|im_end|>\n"
        '<|im_start|>assistant\n<tool_call>\n{"name": "get_weather", "arguments": '
        '{"city": "Bonn"}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\nsunny\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_llama_writes_the_call_its_own_way():
    text = _prompt("meta-llama-Llama-3.1-8B-Instruct", user("Hi"), CALLED, SUNNY, tools=(WEATHER,))
    assert text.endswith(
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
        '{"name": "get_weather", "parameters": {"city": "Bonn"}}<|eot_id|>'
        '<|start_header_id|>ipython<|end_header_id|>\n\n"sunny"<|eot_id|>'
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_gemma_has_no_system_role_so_it_joins_the_user():
    system = ChatMessage(role="system", content="Be brief.")
    assert _prompt("google-gemma-2-2b-it", system, user("Hi")).endswith(
        "<start_of_turn>user\nBe brief.\nHi<end_of_turn>\n<start_of_turn>model\n"
    )


def test_thinking_can_be_switched_off():
    thinking = _prompt("Qwen-Qwen3-0.6B", user("Hi"))
    silent = _prompt("Qwen-Qwen3-0.6B", user("Hi"), template_kwargs='{"enable_thinking": false}')
    assert thinking.endswith("<|im_start|>assistant\n")
    assert silent == thinking + "<think>\n\n</think>\n\n"


def test_template_variables_arrive():
    source = "{{ mood }} {{ numbers[1] }}{{ messages[0].content }}"
    chat = ChatFormat(vocabulary("qwen2"), source)
    kwargs = '{"mood": "gr\\u00fcn", "numbers": [1, 2]}'
    assert chat.render(ask(user("Hi"), template_kwargs=kwargs)).prompt == "gr\u00fcn 2Hi"


def test_a_last_message_of_the_assistant_is_continued():
    start = ChatMessage(role="assistant", content="Sure, the")
    rendered = chat_format("Qwen-Qwen2.5-7B-Instruct").render(ask(user("Hi"), start))
    assert rendered.prompt.endswith("<|im_start|>assistant\nSure, the")
    (event,) = rendered.parser.feed(" answer")
    assert event.text == " answer"  # type: ignore[union-attr]  # a TextEvent


def test_no_template_at_all_is_chatml():
    chat = ChatFormat(vocabulary("llama-spm"))
    assert not chat.is_explicit
    assert chat.render(ask(user("Hi"))).prompt == (
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    "source", ["{{ bos_token }}{{ messages[0].content }}", "{{ messages[0].content }}"]
)
def test_there_is_one_beginning_of_sequence(source: str):
    model = vocabulary("llama-spm")
    tokens = ChatFormat(model, source).render(ask(user("Hi"))).tokens
    assert tokens == model.tokenize("Hi", add_special=True)
    assert tokens.count(1) == 1


def test_turn_delimiters_become_control_tokens():
    rendered = chat_format("Qwen-Qwen2.5-7B-Instruct").render(ask(user("Hi")))
    start, end = 151644, 151645  # <|im_start|>, <|im_end|> of the qwen2 vocabulary
    assert rendered.tokens.count(start) == 3
    assert rendered.tokens.count(end) == 2


def test_delimiters_that_are_tokens_are_preserved():
    source = "{{ messages[0].content }}"
    assert ChatFormat(vocabulary("qwen2"), source).render(ask()).preserved_tokens == ()
    rendered = chat_format("deepseek-ai-DeepSeek-V3.1", "deepseek-llm").render(
        ask(tools=(WEATHER,))
    )
    model = vocabulary("deepseek-llm")
    kept = [model.detokenize([token], render_special=True) for token in rendered.preserved_tokens]
    assert len(kept) == len(set(kept))


def test_the_schema_is_shown_in_the_order_the_client_wrote_it():
    tool = Tool(name="t", parameters='{"zebra": 1, "type": "object", "apple": {"b": 2, "a": 1}}')
    text = _prompt("Qwen-Qwen2.5-7B-Instruct", user("Hi"), tools=(tool,))
    assert '"parameters": {"zebra": 1, "type": "object", "apple": {"b": 2, "a": 1}}' in text


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.jinja")), ids=lambda path: path.stem)
def test_every_collected_template_renders(path):
    chat = chat_format(path.stem)
    for fields in (
        {},
        {"tools": (WEATHER,)},
        {"tools": (WEATHER,), "tool_choice": ToolChoice.NONE},
    ):
        rendered = chat.render(ask(user("What is new?"), **fields))
        assert "What is new?" in rendered.prompt
        assert rendered.tokens


UNKNOWN_TYPE = {"type": "object", "properties": {"x": {"type": "file"}}}
DEEP = "[" * 200 + "]" * 200


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"template_kwargs": "[1]"}, "not a JSON object"),
        ({"template_kwargs": "{"}, "not valid JSON"),
        ({"template_kwargs": f'{{"a": {DEEP}}}'}, "nested too deep"),
        ({"template_kwargs": '{"enable_thinking": "no"}'}, "not a boolean"),
        ({"tools": (Tool(name="t", parameters="[]"),)}, "not a JSON object"),
        ({"tools": (Tool(name="t", parameters="{"),)}, "'t': not valid JSON"),
        ({"tools": (Tool(name="t", parameters='{}},{"a":{'),)}, "not valid JSON"),
        ({"tools": (Tool(name="t", parameters=f'{{"a": {DEEP}}}'),)}, "nested too deep"),
        ({"tools": tuple(Tool(name=f"t{i}") for i in range(600))}, "too many tools"),
    ],
)  # fmt: skip
def test_hostile_requests_are_refused(fields, problem: str):
    with pytest.raises(TemplateError, match=problem):
        _prompt("Qwen-Qwen2.5-7B-Instruct", user("Hi"), **fields)


def test_parameters_that_are_no_schema_are_the_tools_fault():
    tools = (Tool(name="t", parameters=json.dumps(UNKNOWN_TYPE)),)
    with pytest.raises(InvalidParameterError, match=r"'tools' .* unrecognized type"):
        _prompt("Qwen-Qwen2.5-7B-Instruct", user("Hi"), tools=tools)


def test_a_chain_of_references_is_refused():
    chain = {
        f"d{i}": {"type": "array", "items": {"$ref": f"#/$defs/d{i + 1}"}} for i in range(9000)
    }
    parameters = json.dumps({"type": "object", "properties": {}, "$defs": chain})
    with pytest.raises(TemplateError, match="too many references"):
        _prompt(
            "Qwen-Qwen2.5-7B-Instruct", user("Hi"), tools=(Tool(name="t", parameters=parameters),)
        )


def test_too_many_properties_are_refused():
    properties = {f"p{i}": {"type": "string"} for i in range(300)}
    parameters = json.dumps({"type": "object", "properties": properties})
    with pytest.raises(TemplateError, match="too many properties"):
        _prompt(
            "Qwen-Qwen2.5-7B-Instruct", user("Hi"), tools=(Tool(name="t", parameters=parameters),)
        )


@pytest.mark.parametrize("arguments", ["oops", '{"a": ' + "[" * 5000 + "]" * 5000 + "}"])
def test_arguments_of_the_history_are_checked(arguments: str):
    call = ToolCall(id="123456789", name="get_weather", arguments=arguments)
    said = ChatMessage(role="assistant", tool_calls=(call,))
    with pytest.raises(TemplateError, match="arguments"):
        _prompt("Qwen-Qwen2.5-7B-Instruct", user("Hi"), said, SUNNY)


def test_a_call_without_arguments_is_rendered_as_an_empty_object():
    call = ToolCall(id="123456789", name="get_weather", arguments="")
    said = ChatMessage(role="assistant", tool_calls=(call,))
    text = _prompt("Qwen-Qwen2.5-7B-Instruct", user("Hi"), said, SUNNY)
    assert '{"name": "get_weather", "arguments": {}}' in text


def test_no_messages():
    with pytest.raises(TemplateError, match="no messages"):
        chat_format("Qwen-Qwen2.5-7B-Instruct").render(ChatRequest(messages=()))


def test_a_conversation_cannot_end_with_open_calls():
    with pytest.raises(TemplateError, match="no results"):
        _prompt("Qwen-Qwen2.5-7B-Instruct", user("Hi"), CALLED)


def test_what_the_template_objects_to_is_said():
    source = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(TemplateError, match=r"roles must alternate\."):
        ChatFormat(vocabulary("qwen2"), source).render(ask())


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{% if %}", "Unexpected token"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "too deep"),
        ("{{ 1" + "+1" * 40000 + " }}", "too long"),
        ("{{ 'a'" + "|trim" * 40000 + " }}", "too long"),
        ("{% if 1 %}" * 40000 + "{% endif %}" * 40000, "nest too deep"),
        ("{% if 0 %}" + "{% elif 0 %}" * 40000 + "{% endif %}", "nest too deep"),
        ("x" * (1 << 20) + "x", "larger than 1 MiB"),
    ],
)
def test_hostile_templates_are_refused(source: str, problem: str):
    with pytest.raises(TemplateError, match=problem):
        ChatFormat(vocabulary("qwen2"), source)
