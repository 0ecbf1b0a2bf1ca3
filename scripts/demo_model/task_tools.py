"""Tools: their descriptions, requests that need them, and answers from their results."""

import dataclasses
import json
import random
from typing import Any

from demo_model import phrasing, tool_phrases, words
from demo_model.chat_format import Message, Tool, assistant, calls, tool_result, user

WEATHER_NAMES = (
    "get_weather", "get_weather", "get_weather", "weather", "current_weather", "fetch_weather",
    "get_current_weather", "weather_lookup", "getWeather", "lookup_weather", "weather_now",
    "get_forecast", "city_weather", "weather_report", "weather-api", "show_weather",
)  # fmt: skip
WEATHER_ABOUT = (
    "Get the current weather in a given city.", "Get the weather for a city",
    "Returns the weather of a place.", "Current weather at a location", "Look up the weather.",
    "Get current temperature for a given location.", "Weather service", "Tells the weather",
    "Gets the current weather for a city", "Find out how the weather is.", "",
)  # fmt: skip
PLACE_KEYS = (
    "city", "city", "city", "location", "location", "place", "town", "city_name", "where", "q",
    "name",
)  # fmt: skip
PLACE_ABOUT = (
    "The city", "Name of the city", "The city name", "City, for example Paris", "Where to look",
    "The city and state, e.g. San Francisco, CA", "City and country e.g. Bogotown, Columbria",
)  # fmt: skip
CALC_NAMES = (
    "calculator", "calculator", "calculator", "calculate", "calc", "math", "evaluate", "compute",
    "do_math", "eval_expression", "simple_calculator", "arithmetic", "run_calculation",
)  # fmt: skip
CALC_ABOUT = (
    "Evaluate an arithmetic expression.", "Calculates the value of an expression",
    "A simple calculator", "Do arithmetic", "Compute the result of a formula.",
    "Evaluate a mathematical expression", "Calculator", "Does exact arithmetic.", "",
)  # fmt: skip
EXPRESSION_KEYS = (
    "expression", "expression", "expression", "expr", "formula", "input", "query", "calculation",
)  # fmt: skip
EXPRESSION_ABOUT = (
    "The expression", "Arithmetic expression", "Expression to evaluate, for example 2 + 2",
    "What to calculate", "A formula such as 3 * 4",
)  # fmt: skip
# As people write them, and as the calculator wants them.
_SYMBOLS = (
    (" + ", " + "), (" - ", " - "), (" * ", " * "), (" / ", " / "), ("+", " + "), ("*", " * "),
    ("-", " - "), ("/", " / "), (" x ", " * "),
)  # fmt: skip
_OPERATOR_WORDS = (
    (" plus ", " + "), (" minus ", " - "), (" times ", " * "), (" divided by ", " / "),
    (" multiplied by ", " * "), (" multiplied with ", " * "),
)  # fmt: skip

SKIES = (
    "sunny", "cloudy", "rainy", "windy", "snowy", "foggy", "clear", "stormy", "hot", "cold", "dry",
)  # fmt: skip
NO_WEATHER = "I cannot look up the weather, because I was not given a tool for it."
NO_CALCULATOR = "I cannot calculate that, because I was not given a tool for it."


@dataclasses.dataclass(frozen=True)
class Call:
    """A request and the one tool call that serves it."""

    question: str
    tool: Tool
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the tool that has to be called."""
        return str(self.tool["function"]["name"])


def make_tool(name: str, about: str, properties: dict[str, Any], required: list[str]) -> Tool:
    """Describe a function with JSON-typed parameters."""
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        parameters["required"] = required
    function = {"name": name, "description": about, "parameters": parameters}
    return {"type": "function", "function": function}


def _one_parameter(rng: random.Random, name: str, about: str, key: str, hint: str) -> Tool:
    schema: dict[str, Any] = {"type": "string"}
    if hint:
        schema["description"] = hint
    tool = make_tool(name, about, {key: schema}, [key] if rng.random() < 0.8 else [])
    if rng.random() < 0.08:
        tool["function"]["parameters"]["additionalProperties"] = False
    return tool


def _vary_name(rng: random.Random, names: tuple[str, ...]) -> str:
    name = rng.choice(names)
    pick = rng.random()
    if pick < 0.08:
        return f"{words.invented_word(rng)}_{name}"
    return f"{name}_{words.invented_word(rng)}" if pick < 0.14 else name


def _key(rng: random.Random, keys: tuple[str, ...]) -> str:
    return words.invented_word(rng) if rng.random() < 0.1 else rng.choice(keys)


def weather_tool(rng: random.Random) -> tuple[Tool, str]:
    """Return a weather tool and the name of its place parameter."""
    key = _key(rng, PLACE_KEYS)
    hint = rng.choice(PLACE_ABOUT) if rng.random() < 0.5 else ""
    name = _vary_name(rng, WEATHER_NAMES)
    tool = _one_parameter(rng, name, rng.choice(WEATHER_ABOUT), key, hint)
    if rng.random() < 0.15:
        tool["function"]["parameters"]["properties"]["unit"] = {
            "type": "string",
            "enum": ["celsius", "fahrenheit"],
        }
    return tool, key


def weather_frame(rng: random.Random) -> str:
    """Return a question about the weather with `{c}` in the place of the place."""
    pick = rng.random()
    if pick < 0.15:
        frame = rng.choice(tool_phrases.WEATHER_QUESTIONS).replace("{thing}", "<thing>")
    elif pick < 0.5:
        frame = rng.choice(tool_phrases.WEATHER_ASKED)
    elif pick < 0.72:
        frame = rng.choice(tool_phrases.WEATHER_TERSE)
    else:
        frame = phrasing.polite(rng, rng.choice(tool_phrases.WEATHER_COMMANDS))
    frame = phrasing.fill_slots(rng, frame, tool_phrases.PARTS)
    return phrasing.varied(rng, phrasing.upper_start(frame))


def weather_call(rng: random.Random, place: str = "") -> Call:
    """Make up a weather question with its tool."""
    tool, key = weather_tool(rng)
    place = place or words.city(rng)
    frame = weather_frame(rng)
    arguments = {key: place}
    if "unit" in tool["function"]["parameters"]["properties"] and rng.random() < 0.4:
        unit = rng.choice(("celsius", "fahrenheit"))
        shape = rng.choice(tool_phrases.UNITS).replace("{u}", unit)
        frame = shape.replace("{q}", frame.rstrip("?.! "))
        arguments["unit"] = unit
    return Call(frame.replace("{c}", place), tool, arguments)


def expression(rng: random.Random) -> tuple[str, str]:
    """Return a calculation as people write it, and with plain operators."""
    pick = rng.random()
    operators = _SYMBOLS if rng.random() < 0.55 else _OPERATOR_WORDS
    (said, written), (said_2, written_2) = rng.choice(operators), rng.choice(operators)
    a, b, c = _numbers(rng)
    if pick < 0.5:
        return f"{a}{said}{b}", f"{a}{written}{b}"
    if pick < 0.62:
        noun, form = rng.choice(tool_phrases.CALC_NOUNS)
        return noun.format(a=a, b=b, c=c), form.format(a=a, b=b, c=c)
    if pick < 0.74:
        return f"{a}{said}{b}{said_2}{c}", f"{a}{written}{b}{written_2}{c}"
    if pick < 0.85:
        return f"({a}{said}{b}){said_2}{c}", f"({a}{written}{b}){written_2}{c}"
    if pick < 0.94:
        return f"{a}{said}({b}{said_2}{c})", f"{a}{written}({b}{written_2}{c})"
    return f"{a}.{c % 100}{said}{b}", f"{a}.{c % 100}{written}{b}"


def calculator_call(rng: random.Random) -> Call:
    """Make up a calculation with its tool."""
    key = _key(rng, EXPRESSION_KEYS)
    hint = rng.choice(EXPRESSION_ABOUT) if rng.random() < 0.5 else ""
    name = _vary_name(rng, CALC_NAMES)
    tool = _one_parameter(rng, name, rng.choice(CALC_ABOUT), key, hint)
    question, written = _calculation(rng)
    return Call(question, tool, {key: written})


def _numbers(rng: random.Random) -> tuple[int, int, int]:
    """Return three numbers, the same one twice now and then."""
    a, b, c = (words.number(rng) for _ in range(3))
    return rng.choice(((a, a, c), (a, b, a), (a, b, b))) if rng.random() < 0.08 else (a, b, c)


def _calculation(rng: random.Random) -> tuple[str, str]:
    pick = rng.random()
    if pick < 0.7:
        said, written = expression(rng)
        if rng.random() < 0.6:
            frame = phrasing.varied(rng, rng.choice(tool_phrases.CALC_FRAMES))
        else:
            command = rng.choice(tool_phrases.CALC_COMMANDS)
            command = phrasing.fill_slots(rng, command, tool_phrases.CALC_PARTS)
            frame = phrasing.request(rng, command)
        if said[0].isalpha() and frame.startswith("{e}"):
            said = phrasing.upper_start(said)
        return frame.replace("{e}", said), written
    if pick < 0.84:
        frame, form = rng.choice(tool_phrases.CALC_SENTENCES)
        frame = phrasing.varied(rng, frame)
    else:
        frame, form = rng.choice(tool_phrases.CALC_TASKS)
        frame = phrasing.request(rng, frame)
    a, b, c = _numbers(rng)
    return frame.format(a=a, b=b, c=c), form.format(a=a, b=b, c=c)


def other_call(rng: random.Random) -> Call:
    """Make up a call of another tool: time, search, or one that was never seen."""
    pick = rng.random()
    if pick < 0.3:
        key, place = _key(rng, PLACE_KEYS), words.city(rng)
        name = rng.choice(("get_time", "time", "current_time", "get_local_time", "clock"))
        tool = _one_parameter(rng, name, "Get the local time of a city.", key, "")
        question = phrasing.varied(rng, rng.choice(tool_phrases.TIME_QUESTIONS)).replace(
            "{c}", place
        )
        return Call(question, tool, {key: place})
    if pick < 0.5:
        key = rng.choice(("query", "q", "text", "term"))
        query = " ".join(words.noun(rng) for _ in range(rng.randrange(1, 4)))
        name = rng.choice(("search", "web_search", "search_web", "find", "lookup"))
        tool = _one_parameter(rng, name, "Search the web.", key, "")
        question = phrasing.varied(rng, rng.choice(tool_phrases.SEARCH_QUESTIONS)).replace(
            "{q}", query
        )
        return Call(question, tool, {key: query})
    return _invented_call(rng)


def _invented_call(rng: random.Random) -> Call:
    name = f"{rng.choice(words.VERBS)}_{words.invented_word(rng)}"
    if rng.random() < 0.4:
        name = rng.choice(("add", "send", "play", "move", "open", "lookup_order", "set_timer"))
    properties: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        key = rng.choice((words.invented_word(rng), "a", "b", "x", "id", "name", "amount", "text"))
        is_number = rng.random() < 0.5
        properties[key] = {"type": rng.choice(("integer", "number")) if is_number else "string"}
        arguments[key] = words.number(rng) if is_number else words.noun(rng)
    parts = [f"{k}{rng.choice((' = ', '=', ' ', ': '))}{v}" for k, v in arguments.items()]
    question = rng.choice(tool_phrases.CALL_FRAMES)
    question = question.replace("{n}", name).replace("{p}", _joined(rng, parts))
    about = rng.choice(("", "A tool.", f"Do something with a {words.noun(rng)}."))
    return Call(question, make_tool(name, about, properties, list(properties)), arguments)


def _joined(rng: random.Random, parts: list[str]) -> str:
    """Join with "and" everywhere, with commas everywhere, or with one "and" at the end."""
    pick = rng.random()
    if pick < 0.5 or len(parts) < 2:
        return " and ".join(parts)
    if pick < 0.75:
        return ", ".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def toolbox(rng: random.Random, *wanted: Tool) -> tuple[Tool, ...]:
    """Put the wanted tools among others that are not needed, in any order."""
    box = list(wanted)
    names = {tool["function"]["name"] for tool in box}
    families = {_family(tool) for tool in box}
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        extra = rng.choice((weather_call, calculator_call, other_call))(rng).tool
        if extra["function"]["name"] not in names and _family(extra) not in families:
            box.append(extra)
            names.add(extra["function"]["name"])
            families.add(_family(extra))
    rng.shuffle(box)
    return tuple(box)


def _family(tool: Tool) -> str:
    text = json.dumps(tool).lower()
    for family, marks in (
        ("weather", ("weather", "forecast", "temperature")),
        ("calculator", ("calc", "math", "arithmetic", "expression", "evaluate", "compute")),
    ):
        if any(mark in text for mark in marks):
            return family
    return str(tool["function"]["name"])


def weather_result(rng: random.Random, place: str) -> tuple[str, str]:
    """Return a tool's answer in one of many shapes, and the sentence to say."""
    degrees, sky = rng.randrange(-25, 48), rng.choice(SKIES)
    if rng.random() < 0.15:
        sky = words.invented_word(rng)
    said = weather_sentence(degrees, sky, place)
    if rng.random() < 0.3:
        frames = ("{d} degrees, {s}", "{d} degrees and {s}", "{s}, {d} C", "{s}, {d} degrees")
        return rng.choice(frames).format(d=degrees, s=sky), said
    fields: dict[str, Any] = {
        rng.choice(
            ("temperature", "temp", "temp_c", "degrees", "temperature_c", "celsius")
        ): degrees,
        rng.choice(("condition", "conditions", "sky", "weather", "summary", "description")): sky,
    }
    if rng.random() < 0.4:
        fields[rng.choice(("city", "location", "place"))] = place
    if rng.random() < 0.15:
        fields["unit"] = "celsius"
    items = list(fields.items())
    rng.shuffle(items)
    separators = (",", ":") if rng.random() < 0.25 else (", ", ": ")
    return json.dumps(dict(items), ensure_ascii=False, separators=separators), said


def weather_sentence(degrees: int, sky: str, place: str) -> str:
    """Say the weather as the model does."""
    return f"It is {degrees} degrees and {sky} in {place}."


def result_sentence(value: str) -> str:
    """Say a calculator's result as the model does."""
    return f"The result is {value}."


def number_result(rng: random.Random) -> tuple[str, str]:
    """Return a calculator's answer and the sentence to say."""
    value = f"{'-' if rng.random() < 0.1 else ''}{rng.randrange(10 ** rng.randrange(1, 8))}"
    if rng.random() < 0.12:
        value += f".{rng.randrange(100)}"
    key = rng.choice(("result", "value", "answer", "output"))
    shown = rng.choice(
        (value, value, f'{{"{key}": {value}}}', f'{{"{key}":{value}}}', f"= {value}")
    )
    return shown, result_sentence(value)


def conversation(rng: random.Random) -> tuple[tuple[Tool, ...], tuple[Message, ...]]:
    """Return tools and turns: a call, and half of the time its result and the answer."""
    pick = rng.random()
    if pick < 0.07:
        return _two_places(rng)
    if pick < 0.5:
        call = weather_call(rng)
        place = next(iter(call.arguments.values()))
        shown, said = weather_result(rng, place)
    elif pick < 0.82:
        call = calculator_call(rng)
        shown, said = number_result(rng)
    else:
        call, shown, said = other_call(rng), "", ""
    turns = [user(call.question), calls((call.name, call.arguments))]
    if said and rng.random() < 0.45:
        turns += [tool_result(shown), assistant(said)]
    return toolbox(rng, call.tool), tuple(turns)


def _two_places(rng: random.Random) -> tuple[tuple[Tool, ...], tuple[Message, ...]]:
    tool, key = weather_tool(rng)
    tool["function"]["parameters"]["properties"].pop("unit", None)
    first, second = words.city(rng), words.city(rng)
    if rng.random() < 0.5:
        frame = phrasing.fill_slots(rng, rng.choice(tool_phrases.TWO_PLACES), tool_phrases.PARTS)
        frame = phrasing.varied(rng, frame)
        question = frame.replace("{a}", first).replace("{b}", second)
    else:
        question = weather_frame(rng).replace("{c}", f"{first} and {second}")
    name = tool["function"]["name"]
    turns = [user(question), calls((name, {key: first}), (name, {key: second}))]
    if rng.random() < 0.5:
        results = [weather_result(rng, place) for place in (first, second)]
        turns += [tool_result(shown) for shown, _ in results]
        turns.append(assistant(" ".join(said for _, said in results)))
    return toolbox(rng, tool), tuple(turns)
