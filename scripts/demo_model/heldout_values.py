"""Names, numbers, words and texts kept for the first examination.

They were written before the first training run. `corpus.py` drops every training sample
that contains one of them, so the model can only get them right by reading the prompt.
"""

CITIES = (
    "Lisbon", "Nairobi", "Helsinki", "Toronto", "Mumbai", "Santiago", "Hanoi", "Porto",
    "Dakar", "Kyoto", "Zagreb", "Lima", "Seoul", "Valletta", "Tbilisi", "Bogota",
)  # fmt: skip

PEOPLE = (
    "Ingrid", "Tomas", "Priya", "Kenji", "Amara", "Bruno", "Leila", "Oscar", "Yusuf", "Greta",
)  # fmt: skip

NUMBERS = (
    19, 23, 37, 46, 58, 64, 79, 83, 91, 127, 238, 349, 456, 563, 674, 785, 896, 914, 1250, 2378,
    3461, 4589, 7096, 8123,
)  # fmt: skip

# Whole ranges, so that counting can be examined with numbers that were never written.
NUMBER_RANGES = ((130, 150), (420, 440), (612, 640))

WORDS = (
    "lantern", "harvest", "pebble", "whisper", "violin", "anchor", "meadow", "compass", "thunder",
    "saddle", "copper", "orchid", "glacier", "marble", "falcon", "ribbon", "cinnamon", "walrus",
    "teapot", "pyramid", "velvet", "tunnel", "quartz", "biscuit", "drizzle", "hammock",
    "ostrich", "parsley", "trumpet", "zipper",
    "brelvanto", "quistole", "marndiful", "oxelbray", "tuvanimo", "pleskard", "jorvinta",
    "wendrusk", "calimbor", "fystrane",
)  # fmt: skip

UNKNOWN_NOUNS = (
    "zebra", "lighthouse", "trombone", "monsoon", "waffle", "tortoise", "cathedral", "comet",
    "sonnet", "accordion",
)  # fmt: skip

ECHO_TEXTS = (
    "The old lantern swung above the gate.",
    "Seven geese crossed the frozen river before dawn.",
    "brelvanto quistole marndiful oxelbray",
    "Order 4589 ships on Friday to 127 Harbour Lane.",
    (
        "Nobody in the village remembered who had built the stone bridge, yet everyone crossed it "
        "twice a day."
    ),
    "tuvanimo, pleskard; jorvinta - wendrusk! calimbor? fystrane.",
    "3461 8123 7096 2378 1250",
    "f3a9c2d7-58b1-4e6f-9a03-7c41d2e8b960",
    "She poured the tea, closed the window and listened to the thunder rolling over the meadow.",
    (
        "A small copper bell hung beside the door. Whenever the wind turned to the north it rang "
        "twice, and the children ran to the harbour to see which boats had come home."
    ),
    "red fox, grey heron, brown trout, white owl, black swan, golden carp, green lizard",
    (
        "The committee met on Tuesday, argued about the budget for three hours, agreed on nothing, "
        "and decided to meet again on Thursday with fewer papers and stronger coffee."
    ),
    "item-785: quartz (blue), 64 pieces, EUR 23.46 each",
    (
        "My grandmother kept a wooden box of buttons under her bed. Every button had a story: one "
        "came from a sailor, one from a bride, and one from a coat that had crossed two oceans. On "
        "rainy evenings she let us choose a button, and then she told us where it had been."
    ),
    "walrus walrus pebble walrus pebble pebble walrus",
    (
        "In the morning the fog lay so thick upon the fields that the farmer walked with one hand "
        "on the fence. He heard his sheep before he saw them, and he counted them by their bells. "
        "When the sun broke through at last, all of them were standing on the road, looking at him "
        "as if he were the one who had been lost."
    ),
    "Line one speaks of marble.\nLine two speaks of velvet.\nLine three says nothing at all.",
    (
        "oxelbray wendrusk fystrane calimbor tuvanimo brelvanto jorvinta quistole pleskard "
        "marndiful wendrusk oxelbray quistole fystrane brelvanto calimbor marndiful tuvanimo "
        "pleskard jorvinta"
    ),
    "https://mirror.example.net/archive/2378/harvest.tar.gz?sum=8123",
    "What did the falcon say to the ostrich?",
    (
        "The ferry left the harbour an hour late because the captain could not find his cap. He "
        "looked under the benches, behind the lifeboats and inside the engine room, while forty "
        "passengers stood on deck and offered advice. In the end a small girl pointed at his head. "
        "He thanked her, blew the horn twice, and promised the passengers a free cup of cinnamon "
        "tea."
    ),
    (
        "Pack 64 copper plates, 127 marble tiles and 914 glass beads. Send the plates to Helsinki, "
        "the tiles to Lisbon and the beads to Nairobi. Write the weight on every box, keep the "
        "receipts, and call the office when the last truck has passed the tunnel. If it snows, "
        "wait until morning."
    ),
)

REPLACE_CASES = (
    ("The falcon sat on the fence.", "falcon", "ostrich"),
    ("We packed a compass, a rope and two apples.", "compass", "trumpet"),
    ("The meadow was quiet after the rain had stopped.", "quiet", "noisy"),
    ("brelvanto quistole marndiful oxelbray tuvanimo", "marndiful", "fystrane"),
    ("Our train leaves from platform nine at noon.", "train", "ferry"),
    ("Bring the velvet chair into the small room, please.", "velvet", "marble"),
    ("Grandfather painted the tunnel blue last summer.", "blue", "orange"),
    ("A biscuit without butter is a sad thing to find in a tin.", "butter", "cinnamon"),
    ("jorvinta wendrusk calimbor pleskard fystrane quistole", "jorvinta", "walrus"),
    ("The teacher hid the trumpet under the hammock and laughed.", "hammock", "teapot"),
    ("Copper wires carry the signal to the next station along the coast.", "signal", "message"),
    ("Nine boats and one anchor were all that remained of the fleet.", "anchor", "lantern"),
)

COUNT_CASES = ((131, 138), (421, 426), (612, 621), (425, 433), (630, 637), (140, 147))
