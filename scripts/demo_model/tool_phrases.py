"""How people ask for the weather, for a calculation, for the time and for other tools.

`{c}` is a place, `{a}` and `{b}` are numbers, `{e}` is a calculation; `<...>` is one of PARTS.
"""

WEATHER_QUESTIONS = (
    "What is the weather in {c}?", "What's the weather like in {c}?", "Weather in {c}?",
    "How is the weather in {c}?", "How is the weather in {c} today?", "Is it raining in {c}?",
    "Tell me the weather in {c}.", "What is the temperature in {c}?", "How warm is it in {c}?",
    "How cold is it in {c} now?", "Do I need an umbrella in {c}?", "Is it sunny in {c}?",
    "Give me the weather for {c}.", "What is it like outside in {c}?", "Will it rain in {c}?",
    "I am going to {c}. How is the weather?", "Check the weather in {c}.", "{c} weather",
    "Please look up the weather in {c}.", "What is the current weather in {c}?",
    "Could you check the weather in {c} for me?", "I live in {c}. Is it cold outside?",
    "Is it windy in {c} today?", "In {c}, what is the weather?", "Does it snow in {c}?",
    "What are the weather conditions in {c}?", "Tell me if it rains in {c}.",
    "Do I need {thing} in {c}?", "Do I need {thing} in {c} tomorrow?",
    "Should I take {thing} to {c} today?", "Will I want {thing} in {c} now?",
    "What do they say about the weather in {c}?", "Forecast for {c}?",
)  # fmt: skip

THINGS = (
    "an umbrella", "gloves", "a scarf", "boots", "sunglasses", "a hat", "warm clothes", "a jacket",
    "a coat", "a raincoat", "my umbrella", "a sweater", "my winter coat", "sun cream", "shorts",
    "a warm coat", "rubber boots", "a cap", "my gloves", "snow boots", "a thick jacket",
    "a pullover",
)  # fmt: skip

PARTS = {
    "when": (
        "", "", "", "", "", " right now", " now", " today", " at the moment", " tonight",
        " currently", " this weekend", " over the weekend", " at night", " tomorrow",
        " tomorrow morning", " this evening", " this morning", " this afternoon", " this week",
        " next week", " on Monday", " on Sunday", " at noon", " later today", " at present",
        " just now", " these days", " in the morning", " in the evening", " at this hour",
        " the day after tomorrow", " all day",
    ),
    "first": (
        "Today", "Right now", "At the moment", "This weekend", "Tomorrow", "Tonight", "Currently",
        "This morning", "Over the weekend", "This evening", "At night", "Now", "This week",
    ),
    "go": (
        "I am going to", "I'm off to", "I am flying to", "We are travelling to", "I will visit",
        "I am about to leave for", "We drive to", "My train goes to", "I have a meeting in",
        "I am on my way to", "My sister lives in", "I live in", "We are staying in",
        "I just landed in", "I want to go for a walk in", "My parents are in", "I am packing for",
        "We have a picnic in", "I am in", "Here in", "I plan a trip to", "We spend the weekend in",
        "I work in",
    ),
    "weather": (
        "weather", "weather", "weather", "temperature", "current weather", "forecast",
        "weather forecast", "current temperature", "weather report", "outside temperature",
    ),
    "state": (
        "raining", "snowing", "sunny", "windy", "cold", "warm", "hot", "cloudy", "foggy", "stormy",
        "freezing", "dry", "wet", "rainy", "chilly", "nice", "mild", "humid", "icy", "clear",
        "very hot", "really cold", "too hot", "below zero", "nice outside",
        "warm enough for a walk",
    ),
    "will": (
        "rain", "snow", "be sunny", "be cold", "be windy", "be hot", "freeze", "stay dry",
        "get warm", "be cloudy", "get cold", "be stormy", "clear up", "be foggy", "be warm",
    ),
    "how": ("How warm", "How cold", "How hot", "How windy", "How wet", "How bad", "How nice"),
    "wear": (
        " and what should I wear", " and do I need <thing>", " and is it raining", " or is it dry",
        " and will it rain", " or should I take <thing>", " and is it windy", " so I can plan",
        " because I want to go out", " before I leave", " and can I go swimming", "", "", "", "",
        " since I am travelling", " and how do I dress", ", I want to hang out the washing",
    ),
    "thing": THINGS,
    "ask": (
        "What is the weather?", "How is the weather?", "What is it like outside?", "Is it <state>?",
        "Do I need <thing>?", "Will it <will>?", "What should I wear?",
        "How is the <weather> there?", "Should I pack <thing>?", "What's the <weather>?",
        "Is it <state> there<when>?", "What weather do I have to expect?",
        "Do I have to take <thing>?", "<how> is it there?",
    ),
    "if": ("if", "whether"),
    "in": ("in", "in", "in", "for", "at"),
}  # fmt: skip

WEATHER_ASKED = (
    "What is the <weather> in {c}<when><wear>?", "What's the <weather> in {c}<when><wear>?",
    "What is the weather like in {c}<when><wear>?", "How is the weather in {c}<when><wear>?",
    "How's the weather in {c}<when>?", "How does the weather look in {c}<when>?",
    "Is it <state> in {c}<when>?", "Is it <state><when> in {c}?", "Will it <will> in {c}<when>?",
    "Does it <will> in {c}<when>?", "Is it going to <will> in {c}<when>?",
    "<how> is it in {c}<when>?", "<how> does it get in {c}<when>?",
    "Do I need <thing> in {c}<when>?", "Do you think I need <thing> in {c}<when>?",
    "Should I take <thing> to {c}<when>?", "Should I bring <thing> to {c}<when>?",
    "Should I wear <thing> in {c}<when>?", "Can I leave <thing> at home in {c}<when>?",
    "Is <thing> needed in {c}<when>?", "Is there any rain in {c}<when>?",
    "Is there snow in {c}<when>?", "Any rain in {c}<when>?", "Any snow in {c}<when>?",
    "Any chance of rain in {c}<when>?", "Is the sun shining in {c}<when>?",
    "Is there a lot of wind in {c}<when>?", "Is there a storm in {c}<when>?",
    "Sun or rain in {c}<when>?", "How many degrees is it in {c}<when>?",
    "How many degrees are there in {c}<when>?", "What temperature is it in {c}<when>?",
    "What temperature does {c} have<when>?", "What kind of weather does {c} have<when>?",
    "What sort of weather is it in {c}<when>?", "What should I wear in {c}<when>?",
    "What clothes do I need in {c}<when>?", "What is it like in {c}<when>?",
    "What's it like outside in {c}<when>?", "Is the weather good in {c}<when>?",
    "Is the sky clear over {c}<when>?", "Is {c} <state><when>?", "Will {c} be <state><when>?",
    "How is {c}<when>, weather-wise?", "Does {c} get rain<when>?",
    "Is it a good day for a walk in {c}?", "What does the sky look like over {c}<when>?",
    "Are there clouds over {c}<when>?", "What does the forecast say for {c}<when>?",
    "What is the forecast for {c}<when>?", "What does the thermometer show in {c}<when>?",
    "How strong is the wind in {c}<when>?", "Do you know the <weather> in {c}<when>?",
    "Do you know how the weather is in {c}<when>?", "Do you know <if> it is <state> in {c}<when>?",
    "Have you got the <weather> for {c}<when>?", "May I have the <weather> for {c}<when>?",
    "Can I get the <weather> for {c}<when>?", "Can I have a forecast for {c}<when>?",
    "I wonder <if> it is <state> in {c}<when>.", "I need the <weather> for {c}<when>.",
    "I want to know the <weather> in {c}<when>.",
    "I would like to know how the weather is in {c}<when>.",
    "I'd like the <weather> for {c}<when>.", "I want to know <if> I need <thing> in {c}<when>.",
    "I am looking for the <weather> in {c}<when>.", "In {c}, is it <state><when>?",
    "In {c}, what is the <weather><when>?", "In {c}, will it <will><when>?",
    "In {c}<when>, do I need <thing>?", "In {c}, how is the weather<when>?",
    "In {c}, <how> is it<when>?", "For {c}, what is the <weather><when>?",
    "Over in {c}, is it <state>?", "<first>, is it <state> in {c}?",
    "<first>, what is the <weather> in {c}?", "<first>, how is the weather in {c}?",
    "<first>, will it <will> in {c}?", "<first> in {c}, do I need <thing>?",
    "<go> {c}<when>. <ask>", "<go> {c}<when>. <ask>", "<go> {c}<when>, <ask>", "<go> {c}. <ask>",
    "<go> {c} and wonder how the weather is<when>.", "<ask> I am in {c}.", "<ask> I mean in {c}.",
    "If I go to {c}<when>, do I need <thing>?", "When I get to {c}, will it <will>?",
)  # fmt: skip

WEATHER_TERSE = (
    "{c} weather?", "{c} weather<when>", "{c} <weather><when>?", "{c} <weather>, please",
    "{c}: <state>?", "{c}: weather?", "{c}, is it <state><when>?", "{c}, how is the weather<when>?",
    "{c} - <weather>?", "{c} forecast<when>?", "{c}'s weather<when>?", "weather: {c}",
    "Weather {c}", "weather {c}<when>?", "Weather for {c}<when>", "Weather for {c}<when>, please.",
    "Weather in {c}<when>?", "Weather, {c}", "Temperature in {c}<when>?",
    "Temperature in {c}<when>, please.", "Temperature for {c}<when>", "Forecast for {c}<when>.",
    "A forecast for {c}<when>, thanks.", "The forecast for {c}<when>, please.",
    "A weather report for {c}<when>.", "The <weather> <in> {c}<when>, please.",
    "The <weather> in {c}<when>?", "Current conditions in {c}?", "Conditions in {c}<when>?",
    "Rain in {c}<when>?", "Snow in {c}<when>?", "Wind in {c}<when>?", "Sun in {c}<when>?",
    "Umbrella in {c}<when>?", "Coat for {c}<when>?", "Rain or sun in {c}<when>?",
    "<state> in {c}<when>?", "Degrees in {c}<when>?", "<thing> in {c}<when>?", "{c} <state><when>?",
    "{c}, rain or sun<when>?", "{c}, <weather>", "<weather>? {c}.",
    "{c}'s <weather><when>, please.", "Quick weather check for {c}<when>.",
    "Weather update for {c}<when>, please.", "{c} temperature<when>",
)  # fmt: skip

WEATHER_COMMANDS = (
    "tell me the <weather> in {c}<when><wear>", "tell me how the weather is in {c}<when><wear>",
    "tell me what the weather is like in {c}<when>", "tell me <if> it is <state> in {c}<when>",
    "tell me <if> I need <thing> in {c}<when>", "tell me how warm it is in {c}<when>",
    "tell me how cold it is in {c}<when>", "give me the <weather> <in> {c}<when>",
    "give me a forecast for {c}<when>", "give me a weather report for {c}<when>",
    "check the <weather> <in> {c}<when>", "check <if> it is <state> in {c}<when>",
    "check <if> I need <thing> in {c}<when>", "look up the <weather> <in> {c}<when><wear>",
    "look up how warm it is in {c}<when>", "find out the <weather> in {c}<when>",
    "find out <if> it will <will> in {c}<when>", "find out <if> it is <state> in {c}<when>",
    "find the <weather> for {c}<when>", "show me the <weather> <in> {c}<when>",
    "see <if> it is <state> in {c}<when>", "get the <weather> for {c}<when>",
    "get me the <weather> in {c}<when>", "fetch the <weather> for {c}<when>",
    "report the <weather> in {c}<when>", "let me know the <weather> in {c}<when>",
    "let me know <if> it will <will> in {c}<when>", "let me know how the weather is in {c}<when>",
    "have a look at the <weather> in {c}<when>", "say how the weather is in {c}<when>",
    "say <if> it is <state> in {c}<when>", "read me the <weather> for {c}<when>",
    "use the tool to get the <weather> in {c}<when>", "ask the weather service about {c}<when>",
    "describe the weather in {c}<when>", "help me decide <if> I need <thing> in {c}<when>",
)  # fmt: skip

TWO_PLACES = (
    "Is it warmer in {a} or in {b}?", "Is it warmer in {a} or {b}<when>?",
    "Compare the weather in {a} and {b}.", "Compare {a} and {b}: how is the weather<when>?",
    "What is the weather in {a} and in {b}<when>?",
    "How is the weather in {a}, and how is it in {b}?",
    "Where is it colder<when>, in {a} or in {b}?", "Weather in {a} and {b}<when>, please.",
    "Is it <state> in {a} and {b}<when>?", "I need the <weather> for both {a} and {b}.",
    "The <weather> for {a} and also for {b}, please.",
    "Tell me the weather for {a} and for {b}<when>.", "First {a}, then {b}: what is the weather?",
    "{a} and {b}, how is the weather<when>?", "Check the weather in {a} as well as in {b}.",
    "I travel from {a} to {b}. How is the weather in both places?", "Weather: {a}, {b}",
)  # fmt: skip

UNITS = (
    "{q}. Use {u}.", "{q}? Answer in {u}.", "{q}? In {u}.", "{q} in {u}?", "{q}, in {u} please.",
    "{q} (in {u})", "{q}? Use {u}, please.", "{q}, in {u}.", "{q}? Please use {u}.",
    "{q}? I prefer {u}.",
)  # fmt: skip

CALC_FRAMES = (
    "What is {e}?", "Calculate {e}.", "Compute {e}.", "How much is {e}?", "{e}", "{e} = ?",
    "Please calculate {e}", "Work out {e}.", "What do I get for {e}?", "Solve {e}.", "What's {e}?",
    "Tell me what {e} is.", "Can you calculate {e}?", "I need the result of {e}.", "Evaluate {e}",
    "Use the calculator: {e}", "How much does {e} make?", "Find {e}.", "{e}?", "{e} =",
    "{e} is what?", "{e} equals?", "{e} equals what?", "{e} makes how much?", "{e}, please.",
    "What does {e} equal?", "What does {e} come to?", "What does {e} give?",
    "What is the result of {e}?", "Result of {e}?", "What is the value of {e}?", "Value of {e}?",
    "What would {e} be?", "How much would {e} be?", "What comes out of {e}?",
    "What do you get for {e}?", "What do we get if we compute {e}?", "I want to know what {e} is.",
    "I want to know {e}.", "I'd like to know how much {e} is.", "I need to know {e}.",
    "I need {e}.", "I have to calculate {e}.", "My homework: {e}", "Do you know what {e} is?",
    "Do the maths: {e}", "Quick maths: {e}", "Maths question: what is {e}?", "Calculation: {e}",
    "Expression: {e}", "Result for {e}, please.", "The result of {e}, please.",
    "The answer to {e}?", "What's the answer to {e}?", "And {e}?", "So what is {e}?", "Now {e}.",
    "The calculator should evaluate {e}.", "With the calculator, what is {e}?", "calc {e}",
    "{e} please", "Here is a calculation: {e}", "I wonder what {e} is.", "Could you tell me {e}?",
    "solve: {e}",
)  # fmt: skip

CALC_COMMANDS = (
    "<work> {e}", "<work> {e}", "<work> the value of {e}", "<work> the result of {e}",
    "<say> what {e} is", "<say> how much {e} is", "<say> what {e} makes",
    "use the calculator for {e}", "use your calculator to <work> {e}", "do this calculation: {e}",
    "do the maths for {e}", "solve {e}", "use the tool to <work> {e}", "help me calculate {e}",
    "run the numbers: {e}", "do {e}",
)  # fmt: skip

CALC_PARTS = {
    "work": (
        "calculate", "compute", "work out", "evaluate", "find", "determine", "figure out", "get",
        "give me",
    ),
    "say": (
        "tell me", "find out", "figure out", "say", "let me know", "check", "show me", "work out",
    ),
}  # fmt: skip

# A calculation put into words, to be asked for like any other.
CALC_NOUNS = (
    ("the sum of {a} and {b}", "{a} + {b}"), ("the product of {a} and {b}", "{a} * {b}"),
    ("the difference between {a} and {b}", "{a} - {b}"),
    ("the difference of {a} and {b}", "{a} - {b}"), ("the quotient of {a} and {b}", "{a} / {b}"),
    ("{a} added to {b}", "{a} + {b}"), ("{b} subtracted from {a}", "{a} - {b}"),
    ("{a} less {b}", "{a} - {b}"), ("{a} over {b}", "{a} / {b}"),
    ("{a} and {b} together", "{a} + {b}"), ("{a} take away {b}", "{a} - {b}"),
    ("the sum of {a}, {b} and {c}", "{a} + {b} + {c}"), ("{a} and {b} added together", "{a} + {b}"),
    ("the product of {a}, {b} and {c}", "{a} * {b} * {c}"), ("{a} and {b} multiplied", "{a} * {b}"),
    ("the sum of {a} and {b}, multiplied by {c}", "({a} + {b}) * {c}"),
    ("the total of {a} and {b}", "{a} + {b}"),
    ("the sum of {a} and {b}, divided by {c}", "({a} + {b}) / {c}"),
    ("the difference of {a} and {b}, times {c}", "({a} - {b}) * {c}"),
    ("{a} times the sum of {b} and {c}", "{a} * ({b} + {c})"),
    ("{a} multiplied by the sum of {b} and {c}", "{a} * ({b} + {c})"),
    ("{a} divided by the sum of {b} and {c}", "{a} / ({b} + {c})"),
)  # fmt: skip

CALC_SENTENCES = (
    ("Add {a} and {b}.", "{a} + {b}"), ("Add {a} to {b}.", "{a} + {b}"),
    ("What is the sum of {a} and {b}?", "{a} + {b}"), ("Multiply {a} by {b}.", "{a} * {b}"),
    ("What is the product of {a} and {b}?", "{a} * {b}"), ("Divide {a} by {b}.", "{a} / {b}"),
    ("Multiply {a} and {b}.", "{a} * {b}"), ("Subtract {b} from {a}.", "{a} - {b}"),
    ("Take {b} away from {a}.", "{a} - {b}"), ("Sum up {a} and {b}.", "{a} + {b}"),
    ("What is the difference between {a} and {b}?", "{a} - {b}"),
    ("I have {a} apples and buy {b} more. How many do I have?", "{a} + {b}"),
    ("One box weighs {a} kilos. How much do {b} boxes weigh?", "{a} * {b}"),
    ("I have {a} euros and spend {b}. How much is left?", "{a} - {b}"),
    ("There were {a} birds and {b} flew away. How many are left?", "{a} - {b}"),
    ("A ticket costs {a} euros. How much are {b} tickets?", "{a} * {b}"),
    ("There are {a} rows with {b} seats each. How many seats are there?", "{a} * {b}"),
    ("We share {a} sweets among {b} children. How many does each child get?", "{a} / {b}"),
    ("{a} euros are split between {b} people. How much is that for each?", "{a} / {b}"),
    ("I read {a} pages a day. How many pages is that in {b} days?", "{a} * {b}"),
    ("Yesterday I walked {a} steps and today {b}. How many in total?", "{a} + {b}"),
    ("A shop sold {a} lamps in May and {b} in June. How many altogether?", "{a} + {b}"),
    ("If I take {b} from {a}, what is left?", "{a} - {b}"),
    ("How often does {b} fit into {a}?", "{a} / {b}"),
    ("What do I get if I add {a} and {b}?", "{a} + {b}"),
    ("What do {a} and {b} add up to?", "{a} + {b}"),
    ("What do I get when I multiply {a} by {b}?", "{a} * {b}"),
    ("Sum of {a} and {b}?", "{a} + {b}"), ("What do I get when I divide {a} by {b}?", "{a} / {b}"),
    ("Product of {a} and {b}?", "{a} * {b}"),
    ("What remains when I subtract {b} from {a}?", "{a} - {b}"),
    ("Difference of {a} and {b}?", "{a} - {b}"), ("How much more is {a} than {b}?", "{a} - {b}"),
    ("By how much is {a} larger than {b}?", "{a} - {b}"),
)  # fmt: skip

CALC_TASKS = (
    ("add {a} and {b}", "{a} + {b}"), ("add {a} to {b}", "{a} + {b}"),
    ("sum {a} and {b}", "{a} + {b}"), ("add up {a} and {b}", "{a} + {b}"),
    ("add {a}, {b} and {c}", "{a} + {b} + {c}"), ("add {a} and {b} together", "{a} + {b}"),
    ("put {a} and {b} together", "{a} + {b}"), ("subtract {b} from {a}", "{a} - {b}"),
    ("take {b} from {a}", "{a} - {b}"), ("deduct {b} from {a}", "{a} - {b}"),
    ("take {b} away from {a}", "{a} - {b}"), ("subtract {b} from {a}", "{a} - {b}"),
    ("multiply {a} by {b}", "{a} * {b}"), ("multiply {a} with {b}", "{a} * {b}"),
    ("multiply {a} and {b}", "{a} * {b}"), ("multiply {a}, {b} and {c}", "{a} * {b} * {c}"),
    ("divide {a} by {b}", "{a} / {b}"), ("split {a} by {b}", "{a} / {b}"),
    ("divide {a} by {b}", "{a} / {b}"),
    ("add {a} and {b} and multiply the result by {c}", "({a} + {b}) * {c}"),
    ("add {a} and {b}, then multiply by {c}", "({a} + {b}) * {c}"),
    ("add {a} and {b}, then divide by {c}", "({a} + {b}) / {c}"),
    ("subtract {b} from {a}, then multiply by {c}", "({a} - {b}) * {c}"),
    ("subtract {b} from {a} and divide the result by {c}", "({a} - {b}) / {c}"),
    ("multiply {a} by {b} and add {c}", "{a} * {b} + {c}"),
    ("multiply {a} by {b}, then subtract {c}", "{a} * {b} - {c}"),
    ("divide {a} by {b} and add {c}", "{a} / {b} + {c}"),
)  # fmt: skip

TIME_QUESTIONS = (
    "What time is it in {c}?", "Tell me the time in {c}.", "How late is it in {c}?", "Time in {c}?",
    "What is the time in {c}?", "What's the time in {c} right now?",
    "What is the local time in {c}?", "Local time in {c}?", "{c} time?",
    "What time is it now in {c}?", "What time do they have in {c}?",
    "Is it late in {c}? What time is it there?", "In {c}, what time is it?",
    "The time in {c}, please.", "I want to call {c}. What time is it there?",
    "What does the clock say in {c}?", "Current time in {c}", "Give me the time in {c}.",
    "Check the local time of {c}.", "What hour is it in {c} at the moment?",
)  # fmt: skip
SEARCH_QUESTIONS = (
    "Search for {q}.", "Search the web for {q}.", "Look up {q}.", "Find {q} online.", "Google {q}.",
    "Search {q}", "Do a search for {q}.", "Can you search for {q}?", "Run a web search for {q}.",
    "Find something about {q}.", "Look for {q} on the web.", "Find {q} on the internet.",
    "search: {q}", "Please look up {q} online.", "What does the web say about {q}?",
    "Find pages about {q}.", "I need search results for {q}.", "Use the search for {q}.",
    "Web search: {q}", "Look {q} up.",
)  # fmt: skip
CALL_FRAMES = (
    "Call {n} with {p}.", "Use {n} with {p}.", "Use the tool {n}: {p}", "Please call {n} with {p}.",
    "Run {n} with {p}.", "Run the tool {n} with {p}.", "Invoke {n}: {p}", "Execute {n} with {p}.",
    "Call the function {n} with {p}.", "{n} with {p}, please.", "I need {n} with {p}.", "{n}: {p}",
    "With {p}, call {n}.", "Can you run {n} with {p}?", "Could you call {n} with {p}?",
    "Do {n} with {p}.", "Start {n} with {p}.", "Use {p} and call {n}.",
    "I want you to call {n} with {p}.", "Trigger {n}: {p}.",
)  # fmt: skip
