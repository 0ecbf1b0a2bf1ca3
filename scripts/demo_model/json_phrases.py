"""Facts in sentences, and how people ask for them in JSON.

In a fact, `{key}` stands for the value of that key; keys are answered in the order of the fact.
In a request, `{f}` is the fact, `{k}` are the wanted keys, and `{s}` is the wanted shape.
"""

import random

from demo_model import phrasing

REQUESTS = (
    "Answer in JSON: {f}", "Answer in JSON. {f}", "Answer in JSON with the keys {k}: {f}",
    "Reply in JSON with the keys {k}. {f}", "Give me JSON with {k}. {f}", "As JSON: {f}",
    "{f} Answer in JSON.", "{f} Give me that as JSON.", "{f} Reply with JSON with the keys {k}.",
    "Turn this into JSON: {f}", "Extract {k} as JSON: {f}", "{f} Return a JSON object.",
    "Return a JSON object with {k}. {f}", "Convert to JSON: {f}", "JSON only, please: {f}",
    "Read the sentence and answer in JSON with the keys {k}. {f}", "Make JSON from this: {f}",
    "Use JSON with the keys {k}: {f}", "{f} Extract the keys {k} as JSON.",
    "Answer in JSON like {s}: {f}", "Answer with JSON of the form {s}. {f}",
    "{f} Use this JSON schema: {s}", "Fill in this JSON: {s}\n{f}", "Output JSON. {f}",
    "Answer only with JSON. {f}", "Write the facts as JSON: {f}", "Respond in JSON: {f}",
    "JSON: {f}", "To JSON: {f}", "{f} JSON, please.", "{f} As JSON.", "{f} In JSON, please.",
    "JSON with {k}: {f}", "JSON with the keys {k}, please: {f}", "Keys: {k}. Answer in JSON: {f}",
    "{f} JSON with the keys {k}, please.", "{f} Keys: {k}. Format: JSON.", "Template: {s}\n{f}",
    "{f} Template: {s}", "Fill in the template {s}: {f}", "Fill the template.\n{s}\n{f}",
    "{f} Fill in {s}", "Here is a fact: {f} I need it as JSON.", "Complete {s} from this: {f}",
    "I need JSON: {f}", "I need a JSON object with {k}: {f}", "{f} I need {k} as JSON.",
    "The sentence: {f} The keys: {k}. Answer in JSON.", "Format: {s}. Sentence: {f}",
    "Use {s} as the template for this sentence: {f}", "{s} is the template. {f}",
    "Given the sentence: {f} What is the JSON with the keys {k}?", "Text: {f}\nJSON:",
    "Sentence: {f}\nKeys: {k}\nJSON:", "{f}\n\nShape of the answer: {s}",
    "{f} What is that in JSON?", "How would this look in JSON? {f}",
    "What does this look like as JSON? {f}", "{f} -> JSON", "Can I have this as JSON? {f}",
    "No words, only JSON: {f}", "{f} Only JSON, no other words.",
    "The answer has to be JSON with the keys {k}. {f}", "Your answer must be JSON. {f}",
)  # fmt: skip

PARTS = {
    "reply": ("answer", "reply", "respond", "answer me", "give your answer", "write your answer"),
    "how": (
        "in JSON", "in JSON", "as JSON", "with JSON", "as a JSON object", "in JSON format",
        "with a JSON object", "using JSON", "only in JSON", "with JSON only",
        "with nothing but JSON", "as valid JSON", "in JSON notation", "in the JSON format",
        "as one JSON object",
    ),
    "put": (
        "put", "turn", "convert", "transform", "change", "rewrite", "translate", "bring", "parse",
    ),
    "into": (
        "into JSON", "into a JSON object", "into JSON format", "into valid JSON",
        "into one JSON object",
    ),
    "show": (
        "write", "return", "give me", "output", "print", "express", "format", "encode", "represent",
        "show me", "store", "save", "note", "structure", "record", "send me", "state",
    ),
    "as": ("as JSON", "as JSON", "as a JSON object", "in JSON", "in JSON format", "as valid JSON"),
    "pick": (
        "extract", "pull out", "pick out", "find", "get", "take", "read", "collect", "note down",
    ),
    "make": (
        "make", "create", "produce", "build", "generate", "return", "write", "give me", "output",
    ),
    "json": ("JSON", "a JSON object", "one JSON object", "a small JSON object", "valid JSON"),
    "it": (
        "this", "this", "it", "this sentence", "the sentence", "the fact", "the facts", "the text",
        "the information", "this fact", "this information", "these facts", "this statement",
    ),
    "keys": (
        "with the keys {k}", "with the keys {k}", "with {k}", "with the fields {k}",
        "using the keys {k}", "containing {k}", "whose keys are {k}", "(keys: {k})",
        "with keys {k}", "having the keys {k}", "and use the keys {k}", "that has {k}",
        "with exactly the keys {k}", "with the properties {k}", "like {s}", "of the form {s}",
        "in the form {s}", "following {s}", "shaped like {s}", "with the structure {s}",
        "in this shape: {s}", "in the format {s}", "by filling in {s}",
    ),
}  # fmt: skip

_COMMANDS = (
    "<reply> <how>", "<put> <it> <into>", "<show> <it> <as>", "<make> <json> from <it>",
    "<make> <json> out of <it>", "<make> <json> for <it>", "<reply> <how>",
)  # fmt: skip
_KEY_COMMANDS = (
    "<reply> <how> <keys>", "<put> <it> <into> <keys>", "<show> <it> <as> <keys>",
    "<make> <json> <keys>", "<make> <json> <keys> from <it>", "<pick> {k} and <reply> <how>",
    "<pick> {k} <as>", "<pick> {k} from <it> <as>", "<pick> the keys {k} <as>", "fill in {s}",
    "fill in the template {s}", "fill in this template with <it>: {s}", "complete {s}",
    "use the template {s}", "use the keys {k} and <reply> <how>", "use <json> <keys>",
)  # fmt: skip


def request(rng: random.Random) -> str:
    """Return a request for a fact in JSON, with or without keys."""
    if rng.random() < 0.35:
        return rng.choice(REQUESTS)
    command = rng.choice(_COMMANDS if rng.random() < 0.45 else _KEY_COMMANDS)
    command = phrasing.fill_slots(rng, command, PARTS)
    return around(rng, command, "{f}")


def around(rng: random.Random, command: str, slot: str) -> str:
    """Put a command before or behind what it is about."""
    text = phrasing.varied(rng, phrasing.polite(rng, command))
    pick = rng.random()
    if pick < 0.3 and text[-1] != "?":
        return f"{text.rstrip('.!')}{rng.choice((': ', ': ', ':', ' - '))}{slot}".replace(
            ":{", ":\n{"
        )
    if text[-1] not in ".?!}":
        text += "."
    if pick < 0.55:
        return f"{text}{rng.choice((' ', ' ', ' ', chr(10)))}{slot}"
    return f"{slot}{rng.choice((' ', ' ', ' ', chr(10)))}{phrasing.upper_start(text)}"


# Each line of a group has the same keys in the order of its sentence.
FACT_GROUPS = (
    (
        "{name} is {age} years old.", "My friend {name} is {age}.",
        "I am {name} and I am {age} years old.", "{name} is {age}.", "{name} turned {age}.",
        "{name} has just turned {age}.", "{name} turns {age} today.",
        "{name} celebrated the {age}th birthday.", "{name} has reached the age of {age}.",
        "{name}, age {age}.", "{name} celebrates a {age}th birthday today.",
        "{name} is {age} years of age.", "{name} ({age})", "{name}, {age} years old.",
        "My neighbour {name} is {age} years old.", "My name is {name}. I am {age}.",
        "{name} became {age} last week.", "The age of {name} is {age}.",
        "This is {name}, who is {age}.", "I know {name}, who is {age} years old.",
        "At present {name} is {age}.", "Name: {name}. Age: {age}.",
        "The dog is called {name} and is {age} years old.", "My cat {name} is {age} years old.",
        "A man called {name} is {age} years old.", "{name} is now {age} years old.",
        "{name} is aged {age}.", "My sister is called {name}, and she is {age}.",
        "At the age of {age}, {name} learnt to swim.", "At {age}, {name} is still curious.",
        "My aunt {name} reached {age} in spring.",
    ),
    (
        "{name} lives in {city}.", "{name} comes from {city}.", "{name} moved to {city}.",
        "{name} is from {city}.", "{name} was born in {city}.", "{name} resides in {city}.",
        "{name} grew up in {city}.", "{name} has a flat in {city}.", "{name} settled in {city}.",
        "{name} is at home in {city}.", "My name is {name} and I live in {city}.",
        "I am {name} from {city}.", "{name}'s home is {city}.",
        "{name} has lived in {city} for years.", "{name} bought a house in {city}.",
        "{name} stays in {city}.", "My friend {name} has moved to {city}.",
        "{name} studies in {city}.", "{name} is based in {city}.", "In {city} lives {name}.",
        "The home of {name} is {city}.", "{name}, who lives in {city}, is my friend.",
        "{name} works in {city}.", "Name: {name}. City: {city}.",
        "{name} spent the summer in {city}.",
    ),
    (
        "{name} is a {job}.", "{name} works as a {job}.", "{name} is employed as a {job}.",
        "{name}, {job}.", "{name} has a job as a {job}.", "{name} earns a living as a {job}.",
        "{name} was hired as a {job}.", "{name} became a {job}.", "My friend {name} is a {job}.",
        "{name} is our new {job}.", "I am {name}, a {job}.", "The job of {name} is {job}.",
        "{name} started as a {job}.", "{name} is a {job} by trade.",
        "{name} has worked as a {job} for years.", "My name is {name} and I work as a {job}.",
        "Our {job} is called {name}.", "A {job} called {name} called today.",
        "Name: {name}. Job: {job}.",
    ),
    (
        "{name} works as a {job} in {city}.", "{name} is a {job} in {city}.",
        "{name} is a {job} from {city}.", "{name} is employed as a {job} in {city}.",
        "{name} moved to {city} and became a {job}.", "{name} is a {job} and lives in {city}.",
        "{name}, a {job}, lives in {city}.", "{name}, {job}, {city}.",
        "In {city}, {name} works as a {job}.", "{name} lives in {city}. They work as a {job}.",
        "{name} was hired as a {job} in {city}.", "{name} from {city} is a {job}.",
        "{name} is the {job} of {city}.",
    ),
    (
        "{name} is {age} years old and lives in {city}.", "{name}, {age}, {city}.",
        "{name} ({age}) from {city}.", "{name} is {age}. She lives in {city}.",
        "{name} is {age}. He moved to {city}.", "{name} turned {age} and moved to {city}.",
        "{name} is {age}, lives in {city}.", "{name} lives in {city} and is {age} years old.",
        "{name} from {city} turned {age}.", "{name} was born in {city} and is now {age}.",
        "{name} resides in {city}. She is {age}.", "{name}, aged {age}, resides in {city}.",
        "{name}, {age}, comes from {city}.", "My name is {name}, I am {age} and I live in {city}.",
        "In {city} lives {name}, who is {age}.",
        "{name} celebrated the {age}th birthday in {city}.", "At {age}, {name} moved to {city}.",
    ),
    (
        "{name} is {age} and works as a {job}.", "{name}, {age}, is a {job}.",
        "{name} is a {job} and is {age}.", "{name} is {age} years old. He is a {job}.",
        "{name} is a {job}. She is {age} years old.", "{name} is a {age} year old {job}.",
        "The {job} {name} is {age} years old.", "{name}, {age}, {job}.",
        "{name}, a {job}, turned {age}.", "{name} became a {job} at {age}.",
    ),
    (
        "{name} is {age}, works as a {job} and lives in {city}.", "{name}, {age}, {job}, {city}.",
        "{name}, {age}, is a {job} in {city}.", "{name} is a {job} from {city} and is {age}.",
        "{name} is {age}. She is a {job} in {city}.",
        "{name} lives in {city}, is {age} and is employed as a {job}.",
    ),
    (
        "The {item} costs {price} euros.", "A {item} for {price} dollars.",
        "The {item} sells for {price} euros.", "The {item} is priced at {price} dollars.",
        "The price of the {item} is {price} euros.", "I paid {price} euros for the {item}.",
        "This {item} costs {price}.", "One {item} costs {price} euros.",
        "You can buy the {item} for {price} dollars.", "The {item} is on sale for {price} euros.",
        "{item}: {price} euros", "A {item} costs {price} dollars.",
        "The {item} goes for {price} euros.", "For {price} euros you get a {item}.",
        "They want {price} euros for the {item}.", "The shop sells the {item} for {price}.",
        "A {item} at {price} euros.", "The {item} was sold for {price} euros.",
        "The {item} is worth {price} dollars.", "Item: {item}. Price: {price}.",
        "Our {item} is now only {price} euros.", "The {item} is {price} euros.",
        "I bought a {item} for {price} euros.",
    ),
    (
        "The {color} {item} costs {price} euros.", "The {color} {item} sells for {price} dollars.",
        "A {color} {item} for {price} euros.", "The {item} is {color} and costs {price} euros.",
        "The {item} costs {price} euros and is {color}.",
        "I paid {price} euros for the {color} {item}.",
        "The {item} is {color}. It costs {price} euros.",
        "The {item} is {color}. Its price is {price} dollars.",
        "The {color} {item} is priced at {price} euros.",
        "The price of the {color} {item} is {price} euros.",
        "The {item} comes in {color} and sells for {price}.", "{color} {item}, {price} euros",
    ),
    (
        "I bought {quantity} {fruit}.", "We need {quantity} {fruit}.",
        "There are {quantity} {fruit} in the basket.", "She ate {quantity} {fruit}.",
        "{name} bought {quantity} {fruit}.", "Please order {quantity} {fruit}.",
        "The box holds {quantity} {fruit}.", "He sold {quantity} {fruit}.",
        "I have {quantity} {fruit}.", "{quantity} {fruit} are on the table.",
        "{name} has {quantity} {fruit}.", "They picked {quantity} {fruit}.",
        "{name} ordered {quantity} {fruit}.", "{quantity} {fruit}, please.",
        "The cook took {quantity} {fruit}.", "I bought {quantity} {fruit} for {price} euros.",
        "{quantity} {fruit} cost {price} euros.",
    ),
    (
        "The {item} is {color}.", "My {item} is {color}.", "I have a {color} {item}.",
        "She painted the {item} {color}.", "The colour of the {item} is {color}.",
        "There is a {color} {item} here.", "We saw a {color} {item}.",
        "The {item} was painted {color}.", "Everyone likes the {color} {item}.",
        "The {item} looks {color}.", "He owns a {color} {item}.", "A {color} {item} stood there.",
        "This {item} comes in {color}.",
    ),
    (
        "The capital of {country} is {city}.", "{city} is the capital of {country}.",
        "{country}'s capital is {city}.", "{country} has the capital {city}.",
        "The capital city of {country} is called {city}.", "{city} lies in {country}.",
        "{city} is a city in {country}.", "In {country} there is a city called {city}.",
    ),
    (
        "It is {temperature} degrees in {city}.", "In {city} it is {temperature} degrees.",
        "The temperature in {city} is {temperature} degrees.",
        "{city} has {temperature} degrees today.",
        "It was {temperature} degrees in {city} this morning.", "{city}: {temperature} degrees",
        "The thermometer in {city} shows {temperature} degrees.",
        "They measured {temperature} degrees in {city}.",
    ),
    (
        "{name} wrote the book {title} in {year}.", "{name} published {title} in {year}.",
        "The book {title} was written by {name} in {year}.",
        "{title} by {name} came out in {year}.", "In {year}, {name} wrote {title}.",
        "The novel {title} by {name} appeared in {year}.",
        "{name} is the author of {title}. It appeared in {year}.",
        "{title} was published by {name} in {year}.",
    ),
    (
        "The train to {city} leaves at {hour} from platform {platform}.",
        "The train to {city} departs from platform {platform} at {hour}.",
        "At {hour} a train to {city} leaves from platform {platform}.",
        "Platform {platform}: train to {city} at {hour}.",
        "Your train to {city} leaves platform {platform} at {hour}.",
    ),
    (
        "{name} scored {points} points.", "{name} got {points} points.",
        "{name} has {points} points.", "{name} won with {points} points.",
        "{name} reached {points} points in the game.", "{points} points for {name}.",
        "{name} made {points} points.", "With {points} points, {name} is the winner.",
        "{name} finished with {points} points.",
    ),
    (
        "The server {host} listens on port {port}.", "{host} is listening on port {port}.",
        "Port {port} is used by {host}.", "The host {host} uses port {port}.",
        "Connect to {host} on port {port}.", "{host} runs on port {port}.",
    ),
)  # fmt: skip

_FREE_FRAMES = ("The {} is {}", "Its {} is {}", "the {} is {}", "{}: {}", "{} = {}", "{} {}")
FREE_KEYS = (
    "size", "weight", "height", "speed", "brand", "author", "date", "model", "length", "number",
    "level", "title", "status", "kind", "owner", "street", "room", "floor", "team", "score", "id",
    "count", "unit", "price", "name", "city", "age", "color", "country", "year", "width", "depth",
    "rank", "code", "group",
)  # fmt: skip

LIST_REQUESTS = (
    "Make a JSON list of {v}.", "Give me a JSON list with {v}.", "Write {v} as a JSON array.",
    "Answer with a JSON array: {v}", "Turn {v} into a JSON list.", "JSON array of {v}, please.",
    "Put {v} into a JSON list.", "As a JSON list: {v}", "Return a JSON array with {v}.",
    "I need {v} as a JSON array.", "I need a JSON list of {v}.", "{v} as JSON array",
    "{v} as a JSON list.", "{v} as a JSON array, please.", "{v} in a JSON list, please.",
    "{v}: make that a JSON array.", "JSON list: {v}", "JSON array: {v}", "A JSON array of {v}.",
    "A JSON list with {v}, please.", "I want a JSON array of {v}.",
    "I have {v}. Make a JSON list of them.", "List as JSON: {v}", "I'd like {v} in a JSON list.",
    "Here are {v}. Give me a JSON array.", "My list: {v}. As JSON array, please.",
    "There are {v}. Answer with a JSON list.", "The items are {v}. Return them as a JSON array.",
    "What do {v} look like as a JSON list?", "How do I write {v} as a JSON array?",
    "Can I have {v} as a JSON list?", "{v} - as a JSON list", "Items: {v}. JSON array?",
    "I need the following as a JSON array: {v}",
)  # fmt: skip
LIST_COMMANDS = (
    "<make> a JSON <list> of {v}", "<make> a JSON <list> with {v}", "<make> a JSON <list> from {v}",
    "<put> {v} into a JSON <list>", "<show> {v} as a JSON <list>", "<show> {v} as JSON <list>",
    "<show> a JSON <list> of {v}", "<make> a JSON <list> that contains {v}",
    "list {v} as a JSON <list>", "<make> a JSON <list> containing {v}",
    "<reply> with a JSON <list> of {v}", "collect {v} in a JSON <list>",
)  # fmt: skip
LIST_PARTS = {**PARTS, "list": ("list", "array", "array", "list")}


def free_frames(rng: random.Random, n_keys: int) -> str:
    """Return a fact with `n_keys` pairs of `{}` for any keys and their values."""
    frame = rng.choice(_FREE_FRAMES)
    if frame[0] != "{":
        parts = [frame] + [f"{rng.choice(('the', 'its'))} {{}} is {{}}" for _ in range(n_keys - 1)]
        joiner = rng.choice((" and ", ", ", ". ", ", and ", "; "))
        parts = parts if joiner != ". " else [phrasing.upper_start(part) for part in parts]
        return phrasing.upper_start(joiner.join(parts)) + "."
    return rng.choice((", ", "; ", "\n", " and ")).join([frame] * n_keys)
