"""Raw material of the corpus: word lists, invented words, numbers, names of places."""

import random

NOUNS = """
apple bridge candle desk engine forest garden hammer island jacket kettle ladder mirror needle
ocean pencil queen river stone table uncle valley window yard bottle button carpet dragon
elephant feather guitar hotel insect jungle kitchen letter magnet notebook onion parrot quilt
rabbit sandwich tiger unicorn village whale balloon camera dinner eagle flower giraffe helmet
iceberg jewel kangaroo lemon mountain napkin orange piano robot spider tomato volcano wagon
basket castle doctor easel fountain grape horse igloo journal knife lizard monkey nurse oven
painter rocket sailor teacher turtle violet wizard actor banana cactus daisy ferry goose hill
king lamp museum novel owl prince radio shoe train van wolf yacht book car dog cat bird fish tree
house road school city ship plane clock chair door key map phone song star sun moon cloud rain
snow wind fire wheel coin ring rope sail tent tool wall wood wine bread cheese soup salt sugar
honey butter milk tea coffee cake pie rice bean corn melon peach pear plum berry
bucket pillow curtain drawer shelf carrot cabbage pepper potato pumpkin cherry mango spoon fork
plate cup bowl pan pot broom brush comb towel soap sponge scissors stapler ruler eraser crayon
backpack suitcase wallet purse glove sock shirt skirt belt boot sandal bicycle scooter tractor
truck bus tram canoe kayak raft harbor tower barn cottage cabin fence gate garage attic cellar
balcony pigeon swan crow penguin dolphin shark salmon squid crab snail beetle ant bee wasp moth
deer moose squirrel goat sheep cow donkey camel rhino panda koala flute drum harp mushroom moss
cliff cave desert pond lagoon torch ladle telescope hourglass chisel shovel rake axe saw nail
screw bolt hinge faucet bathtub sofa armchair dresser vase saucer
""".split()

ADJECTIVES = """
big small red green blue old new happy sad quick slow warm cold bright dark heavy light soft loud
clean dusty early late empty full funny gentle kind lazy long short narrow wide proud quiet rich
round rough sharp smooth sour sweet strange strong tall thick thin tiny weak wet young yellow
purple silver golden brave calm clever curious eager fresh
""".split()

VERBS = """
found carried painted watched bought sold broke opened closed moved pulled pushed kept lost threw
caught cleaned washed fixed built drew drove followed heard held hid lifted liked loved met needed
offered passed picked placed raised reached read sent showed stopped touched turned used visited
wanted wrote called asked helped
""".split()

SMALL_WORDS = """
the a an and or but with without under over near behind after before in on at by for from to of
is was are were has had not very so then when where while because this that these those my your
his her our their it he she we they i you who what which how why one two three many some all no
yes more most only also again never always often here there now today tomorrow
""".split()

PEOPLE = """
Anna Ben Clara David Emma Frank Gina Hugo Ida Jonas Klara Luca Marta Nina Otto Paula Quentin Rosa
Sam Tina Ugo Vera Walter Xenia Yara Zoe Alice Bob Carol Dan Eve Maria John Peter Julia Max Laura
Felix Sofia Noah Mia Leo Ella Finn Lena Paul Ruth Simon Jane Tom Mary Lucy Jack Kate Omar Aisha
Chen Ravi Sven Olga Ivan Pedro Ana
Mateo Amir Fatima Hana Yuki Akira Mei Wei Arjun Anil Sana Tariq Zainab Kofi Elena Sergei Dmitri
Katya Bjorn Freya Lars Magnus Pierre Camille Chloe Antoine Giulia Chiara Carlos Diego Lucia Isabel
Miguel Rafael Beatriz Joao Tiago Ines Stella Victor Hannah Sarah Emily Grace Henry Oliver Charlie
George Arthur Edith Martha Robert Steven Nathan Tobias Moritz Jakob Mila Nora Liam Ethan Owen Ruby
Harper Hazel Iris Dora Gustav Helga Rita Sonia Timo Wanda
""".split()

CITIES = (
    "Paris", "London", "Oslo", "Berlin", "Tokyo", "Rome", "Madrid", "Vienna", "Prague", "Cairo",
    "Boston", "Chicago", "New York", "San Francisco", "Los Angeles", "Mexico City", "Sydney",
    "Melbourne", "Delhi", "Beijing", "Shanghai", "Moscow", "Warsaw", "Dublin", "Athens", "Munich",
    "Hamburg", "Zurich", "Geneva", "Milan", "Naples", "Lyon", "Brussels", "Amsterdam", "Stockholm",
    "Copenhagen", "Reykjavik", "Istanbul", "Ankara", "Dubai", "Singapore", "Bangkok", "Jakarta",
    "Manila", "Seattle", "Denver", "Houston", "Miami", "Montreal", "Vancouver", "Rio de Janeiro",
    "Buenos Aires", "Cape Town", "Lagos", "Accra", "Tunis", "Cologne", "Bergen", "Malaga", "Riga",
    "Vilnius", "Tallinn", "Sofia", "Bucharest", "Budapest", "Belgrade", "Krakow", "Edinburgh",
    "Glasgow", "Leeds", "Bristol", "Osaka", "Perth", "Auckland", "Havana", "Quito", "Nice",
    "Busan", "Taipei", "Chennai", "Kolkata", "Lahore", "Karachi", "Kabul", "Tehran", "Baghdad",
    "Beirut", "Amman", "Doha", "Riyadh", "Muscat", "Rabat", "Casablanca", "Algiers", "Tripoli",
    "Luanda", "Maputo", "Durban", "Johannesburg", "Harare", "Lusaka", "Montevideo", "Caracas",
    "La Paz", "Brasilia", "Sao Paulo", "Salvador", "Panama City", "San Jose", "Guatemala City",
    "Ottawa", "Quebec City", "Boise", "Dallas", "Austin", "Atlanta", "Phoenix", "Portland",
    "Las Vegas", "San Diego", "New Orleans", "Philadelphia", "Detroit", "Kansas City",
    "Salt Lake City", "Washington", "Baltimore", "Nashville", "Memphis", "Orlando", "Honolulu",
    "Anchorage", "Brisbane", "Adelaide", "Canberra", "Wellington", "Christchurch", "Darwin",
    "Manchester", "Liverpool", "Cardiff", "Belfast", "Cork", "Galway", "Aberdeen", "York", "Oxford",
    "Bath", "Lille", "Toulouse", "Bordeaux", "Nantes", "Marseille", "Strasbourg", "Turin", "Genoa",
    "Venice", "Florence", "Bologna", "Palermo", "Seville", "Valencia", "Granada", "Bilbao",
    "Barcelona", "Faro", "Frankfurt", "Stuttgart", "Dresden", "Leipzig", "Bremen", "Hanover",
    "Nuremberg", "Salzburg", "Graz", "Innsbruck", "Basel", "Bern", "Lugano", "Ghent", "Bruges",
    "Rotterdam", "The Hague", "Utrecht", "Gothenburg", "Malmo", "Uppsala", "Aarhus", "Odense",
    "Trondheim", "Stavanger", "Tromso", "Turku", "Wroclaw", "Poznan", "Lodz", "Brno", "Bratislava",
    "Split", "Sarajevo", "Skopje", "Tirana", "Varna", "Kyiv", "Odesa", "Lviv", "Minsk", "Yerevan",
    "Baku", "Tashkent", "Almaty",
)  # fmt: skip

COLORS = "red green blue yellow black white orange purple pink brown grey silver".split()
JOBS = "teacher nurse doctor painter baker pilot farmer engineer lawyer writer cook driver".split()
COUNTRIES = "France Norway Japan Germany Spain Italy Egypt Brazil Canada India Kenya Peru".split()
FRUIT = "apples pears plums lemons melons grapes cherries bananas peaches figs".split()
GOODS = "lamp chair table book phone camera bottle jacket kettle guitar clock mirror".split()

_ONSETS = """
b c d f g h j k l m n p r s t v w z br cr dr fr gr pr tr bl cl fl gl pl sl st sp sk sm sn sw th ch
sh wh qu
""".split()
_NUCLEI = "a e i o u a e i o u ai ea ee oo ou ie ay y".split()
_CODAS = " ,,,,,n,r,l,s,t,m,nd,st,ck,ng,rt,x,ss,sh,th,p,d,rk,mp".replace(" ", "").split(",")
_ACCENTED = (
    "\u00e9",
    "\u00fc",
    "\u00f8",
    "\u00e5",
    "\u00f1",
    "\u00e7",
    "\u00df",
    "\u03bb",
    "\u0436",
)


def invented_word(rng: random.Random, n_syllables: int = 0) -> str:
    """Make up a lower-case word that can be pronounced.

    Args:
        rng: Source of randomness.
        n_syllables: Number of syllables, or 0 for one to four.
    """
    count = n_syllables or rng.choice((1, 2, 2, 2, 3, 3, 4))
    word = "".join(
        rng.choice(_ONSETS) + rng.choice(_NUCLEI) + rng.choice(_CODAS) for _ in range(count)
    )
    if rng.random() < 0.02:
        at = rng.randrange(len(word))
        word = word[:at] + rng.choice(_ACCENTED) + word[at + 1 :]
    return word


def city(rng: random.Random) -> str:
    """Return a place: often a real one, more often an invented one."""
    pick = rng.random()
    if pick < 0.3:
        return rng.choice(CITIES)
    name = invented_word(rng).capitalize()
    if pick < 0.36:
        return f"{rng.choice(('New', 'Port', 'San', 'Saint', 'North', 'East'))} {name}"
    if pick < 0.4:
        return f"{name}, {rng.choice(COUNTRIES)}"
    if pick < 0.43:
        return (
            f"{name} {rng.choice(('City', 'Beach', 'Falls', 'Springs', 'Bay', 'Hill', 'Valley'))}"
        )
    return name


def person(rng: random.Random) -> str:
    """Return a first name, half of them invented."""
    return rng.choice(PEOPLE) if rng.random() < 0.5 else invented_word(rng, 2).capitalize()


def noun(rng: random.Random) -> str:
    """Return a thing, one in three invented."""
    return rng.choice(NOUNS) if rng.random() < 0.67 else invented_word(rng)


def number(rng: random.Random) -> int:
    """Return a number of one to five digits, short ones more often."""
    return rng.randrange(10 ** rng.choice((1, 2, 2, 2, 3, 3, 3, 4, 4, 5)))
