"""Names, numbers, words and texts kept for the second examination.

They were written after the wrong answers of the first examination had been read, by someone
who did not take part in that. `corpus.py` drops every training sample that contains one.
"""

CITIES = (
    "Marseille", "Sapporo", "Bratislava", "Karachi", "Ljubljana", "Caracas", "Adelaide",
    "Winnipeg", "Antwerp", "Chennai", "Gdansk", "Kampala",
)  # fmt: skip

PEOPLE = (
    "Dmitri", "Fatima", "Giorgio", "Heidi", "Ines", "Lukas", "Mehmet", "Sanjay", "Thea", "Wanda",
)  # fmt: skip

NUMBERS = (
    27, 34, 41, 53, 68, 72, 87, 168, 276, 387, 392, 517, 659, 728, 943, 1387, 2649, 5036, 6274,
    9751,
)  # fmt: skip

# Whole ranges, so that counting can be examined with numbers that were never written.
NUMBER_RANGES = ((211, 219), (534, 541), (873, 881))

WORDS = (
    "beacon", "cobbler", "juniper", "kestrel", "mustard", "otter", "pretzel", "rhubarb",
    "sapphire", "scaffold", "tambourine", "thimble", "turnip", "vinegar", "wicker", "badger",
    "lavender",
    "dravonel", "skimbert", "olvenna", "praxulo", "tintogar", "ushmere", "velkariot", "yompadil",
)  # fmt: skip

UNKNOWN_NOUNS = (
    "hedgehog", "submarine", "harpsichord", "blizzard", "pancake", "penguin", "telescope",
)  # fmt: skip

ECHO_TEXTS = (
    "kestrel",
    "My sister lost one glove on the tram.",
    "olvenna skimbert yompadil praxulo",
    "Room 387 is free until 1387 guests have arrived.",
    (
        "The baker's cat slept on the warm roof all winter, and nobody had the heart to chase it "
        "away."
    ),
    "milk, rhubarb, two lemons, mustard, a loaf of rye, vinegar, soap",
    "user_id=6274&token=b91e-juniper-07&mode=fast",
    "5036 27 9751 41 2649 392 68",
    "First wash the turnip.\nThen cut it into thin slices.\nServe it with salt and a little oil.",
    (
        "We stayed at a small inn near the border. The owner spoke four languages, cooked three "
        "soups and asked no questions, and in the evening he played the tambourine until the last "
        "guest had gone to bed."
    ),
    (
        "The red door leads to the hall, the green door leads to the cellar, and the white door "
        "leads to the hall again. Take the green door if you want to see the cellar."
    ),
    "Is the otter still in the bath? No: the otter is in the kitchen!",
    (
        "When the beacon on the cliff went dark, Thea climbed the hill with a box of matches and a "
        "bottle of oil. The wind blew out the first match and the second. With the third she lit "
        "the lamp, and far away a ship answered with one long note of its horn."
    ),
    (
        "Our neighbour repairs old radios in a shed behind his house. He says that every radio has "
        "a favourite station, and that you only have to listen long enough to find it. Last Sunday "
        "he gave me a brown one with a broken dial. It took two evenings, but now it plays dance "
        "music from a town that I cannot find on any map, and my mother hums along while she peels "
        "potatoes."
    ),
)

REPLACE_CASES = (
    ("The badger dug a hole behind the barn.", "badger", "otter"),
    ("She keeps her rings in a wicker box on the shelf.", "wicker", "sapphire"),
    ("Our bus was late because of the heavy fog.", "bus", "tram"),
    ("praxulo tintogar ushmere dravonel velkariot", "ushmere", "yompadil"),
    ("Please buy mustard, bread and a bag of flour on your way home.", "bread", "vinegar"),
    ("Two old men were playing cards under the juniper tree.", "cards", "chess"),
    ("The cobbler sold me a pair of boots and a tin of wax.", "boots", "sandals"),
    ("Every pretzel in this town is made by hand before sunrise.", "pretzel", "thimble"),
    ("velkariot dravonel olvenna tintogar", "velkariot", "scaffold"),
    (
        "They planted lavender along the path, painted the fence and waited for the bees.",
        "lavender",
        "rhubarb",
    ),
)

COUNT_CASES = ((211, 219), (534, 541), (873, 881), (536, 540))
