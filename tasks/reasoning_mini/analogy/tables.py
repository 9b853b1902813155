"""Fact tables for analogies, with one row per thing and one column per relation. Content only.

The words of one row all have to do with its first word, so that they make choices which are related to it in different
ways. Rows of one paragraph have words that could be exchanged: a carpenter and a shipbuilder both use a saw. Choices
never come from two such rows.
"""

from __future__ import annotations

from typing import NamedTuple


class Relation(NamedTuple):
    """How a column relates to the head of its row.

    `says` is a clause with ``{a}`` for the head and ``{b}`` for the column's word. `same`: the word means the same as
    the head, so what relates to one relates to the other. `mutual`: the relation holds both ways.
    """

    says: str
    same: bool = False
    mutual: bool = False


class Table(NamedTuple):
    """`relations[i]` is the relation of column ``i + 1``; `kin[r]` is the number of the paragraph of row `r`."""

    relations: tuple[Relation, ...]
    rows: tuple[tuple[str, ...], ...]
    kin: tuple[int, ...]


def _table(relations: tuple[Relation, ...], text: str) -> Table:
    """Read a table; a blank line ends a paragraph."""
    rows, kin = [], []
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        for line in paragraph.strip().splitlines():
            rows.append(tuple(word.strip() for word in line.split("|")))
            kin.append(number)
    return Table(relations, tuple(rows), tuple(kin))


TABLES: dict[str, Table] = {
    "animals": _table(
        (
            Relation("the young of a {a} is a {b}"),
            Relation("the sound of a {a} is {b}"),
            Relation("a {a} lives in a {b}"),
            Relation("a {a} has a {b}"),
        ),
        """
        dog    | puppy   | barking    | kennel  | paw
        cow    | calf    | mooing     | byre    | udder
        horse  | foal    | neighing   | stable  | mane
        sheep  | lamb    | bleating   | fold    | fleece
        pig    | piglet  | grunting   | sty     | snout
        cat    | kitten  | purring    | basket  | whisker
        hen    | chick   | clucking   | coop    | comb
        bee    | larva   | buzzing    | hive    | sting
        frog   | tadpole | croaking   | pond    | webbed foot
        lion   | cub     | roaring    | den     | fang
        eagle  | eaglet  | screeching | eyrie   | talon
        pigeon | squab   | cooing     | loft    | wing
        goose  | gosling | honking    | marsh   | bill
        deer   | fawn    | bellowing  | forest  | antler
        """,
    ),
    "countries": _table(
        (
            Relation("the capital of {a} is {b}"),
            Relation("the main language of {a} is {b}"),
            Relation("the currency of {a} is the {b}"),
        ),
        """
        Japan       | Tokyo      | Japanese   | yen

        France      | Paris      | French     | euro

        Poland      | Warsaw     | Polish     | zloty

        Egypt       | Cairo      | Arabic     | pound

        China       | Beijing    | Mandarin   | yuan

        Sweden      | Stockholm  | Swedish    | krona

        Denmark     | Copenhagen | Danish     | krone

        Hungary     | Budapest   | Hungarian  | forint

        Czechia     | Prague     | Czech      | koruna

        Thailand    | Bangkok    | Thai       | baht

        Vietnam     | Hanoi      | Vietnamese | dong

        South Korea | Seoul      | Korean     | won

        Brazil      | Brasília   | Portuguese | real

        Turkey      | Ankara     | Turkish    | lira

        India       | New Delhi  | Hindi      | rupee

        Iran        | Tehran     | Persian    | rial
        """,
    ),
    "trades": _table(
        (
            Relation("a {a} uses a {b}"),
            Relation("a {a} works in a {b}"),
            Relation("a {a} makes a {b}"),
        ),
        """
        carpenter   | saw        | joinery     | table
        smith       | anvil      | forge       | horseshoe
        shipbuilder | crane      | dockyard    | ferry

        baker       | oven       | bakery      | loaf
        cook        | ladle      | kitchen     | soup
        brewer      | vat        | brewery     | beer
        potter      | wheel      | pottery     | jug
        glassblower | blowpipe   | glassworks  | vase
        painter     | brush      | studio      | portrait

        writer      | pen        | study       | novel
        printer     | press      | print shop  | newspaper

        tailor      | needle       | dress shop   | suit
        weaver      | loom         | weaving shed | carpet
        florist     | watering can | flower shop  | bouquet
        """,
    ),
    "objects": _table(
        (
            Relation("a {b} is a part of a {a}"),
            Relation("a {a} is often made of {b}"),
            Relation("a {a} is for {b}"),
            Relation("a {a} is a kind of {b}"),
        ),
        """
        knife    | blade   | steel   | cutting    | cutlery
        chair    | leg     | wood    | sitting    | furniture
        book     | page    | paper   | reading    | publication
        shirt    | sleeve  | cotton  | wearing    | clothing
        bottle   | neck    | glass   | pouring    | container
        hammer   | head    | iron    | nailing    | tool
        pen      | nib     | plastic | writing    | stationery
        boot     | heel    | leather | walking    | footwear
        broom    | bristle | straw   | sweeping   | cleaning gear
        tent     | flap    | canvas  | camping    | dwelling
        necklace | clasp   | gold    | adorning   | jewellery
        guitar   | string  | spruce  | strumming  | instrument
        canoe    | keel    | bark    | paddling   | vessel
        """,
    ),
    "verbs": _table(
        (
            Relation('"{b}" is the past tense of "{a}"'),
            Relation('"{b}" is the past participle of "{a}"'),
            Relation('"{b}" is the form of "{a}" after "she"'),
            Relation("to {a} is what a {b} does"),
        ),
        """
        sing  | sang  | sung    | sings  | singer
        write | wrote | written | writes | writer
        drive | drove | driven  | drives | driver
        swim  | swam  | swum    | swims  | swimmer
        speak | spoke | spoken  | speaks | speaker
        ride  | rode  | ridden  | rides  | rider
        give  | gave  | given   | gives  | giver
        begin | began | begun   | begins | beginner
        break | broke | broken  | breaks | breaker
        fly   | flew  | flown   | flies  | flyer
        eat   | ate   | eaten   | eats   | eater
        drink | drank | drunk   | drinks | drinker
        throw | threw | thrown  | throws | thrower
        grow  | grew  | grown   | grows  | grower
        """,
    ),
    "adjectives": _table(
        (
            Relation('"{b}" is the comparative of "{a}"'),
            Relation('"{b}" is the superlative of "{a}"'),
            Relation('"{b}" is the opposite of "{a}"', mutual=True),
            Relation('"{b}" is the noun of "{a}"'),
        ),
        """
        hot    | hotter    | hottest    | cold     | heat
        strong | stronger  | strongest  | weak     | strength
        long   | longer    | longest    | short    | length
        deep   | deeper    | deepest    | shallow  | depth
        wide   | wider     | widest     | narrow   | width
        happy  | happier   | happiest   | sad      | happiness
        angry  | angrier   | angriest   | calm     | anger
        high   | higher    | highest    | low      | height
        hungry | hungrier  | hungriest  | full     | hunger
        dirty  | dirtier   | dirtiest   | clean    | dirt
        brave  | braver    | bravest    | cowardly | bravery
        poor   | poorer    | poorest    | rich     | poverty
        old    | older     | oldest     | young    | age
        """,
    ),
    "measures": _table(
        (Relation("{a} is measured with a {b}"), Relation("the unit of {a} is the {b}")),
        """
        temperature | thermometer  | kelvin
        angle       | protractor   | degree
        time        | stopwatch    | second

        length      | ruler        | metre

        mass        | balance      | kilogram
        force       | spring scale | newton

        current     | ammeter      | ampere
        voltage     | voltmeter    | volt

        pressure    | barometer    | pascal

        loudness    | sound meter  | decibel
        """,
    ),
    "places": _table(
        (
            Relation("a {b} works in a {a}"),
            Relation("there is a {b} in a {a}"),
            Relation("a {b} takes place in a {a}"),
            Relation("a {a} is there for a {b}"),
        ),
        """
        school     | teacher     | blackboard    | lesson        | pupil
        hospital   | nurse       | sickbed       | operation     | patient
        theatre    | actor       | stage         | play          | spectator
        courtroom  | judge       | witness box   | trial         | defendant
        church     | priest      | altar         | christening   | worshipper
        museum     | curator     | showcase      | exhibition    | visitor
        bakery     | baker       | oven          | baking course | customer
        stadium    | referee     | goalpost      | match         | football fan
        library    | librarian   | bookshelf     | reading       | borrower
        restaurant | waiter      | dining table  | dinner        | diner
        gym        | trainer     | treadmill     | workout       | member
        airport    | pilot       | runway        | take-off      | passenger
        """,
    ),
    "words": _table(
        (
            Relation('"{b}" means the same as "{a}"', same=True),
            Relation('"{b}" is the opposite of "{a}"', mutual=True),
            Relation('"{b}" is the noun of "{a}"'),
        ),
        """
        begin    | start     | finish   | beginning
        depart   | leave     | arrive   | departure

        rapid    | quick     | slow     | rapidity

        silent   | quiet     | noisy    | silence
        timid    | shy       | bold     | timidity
        polite   | courteous | rude     | politeness

        wealthy  | rich      | poor     | wealth

        glad     | happy     | sad      | gladness

        broad    | wide      | narrow   | breadth

        permit   | allow     | forbid   | permission

        hide     | conceal   | reveal   | hiding

        ancient  | old       | modern   | antiquity

        stubborn | obstinate | yielding | stubbornness

        destroy  | ruin      | build    | destruction
        """,
    ),
}
