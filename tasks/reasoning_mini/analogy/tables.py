"""Fact tables for analogies, with one row per thing and one column per relation. Content only.

The words of one row all have to do with its first word, so that the other columns give distractors which are related to
it in another way. A column without a relation serves as distractor only.
"""

from __future__ import annotations

from typing import NamedTuple


class Relation(NamedTuple):
    """How a column relates to the head of its row.

    `says` is a clause with ``{a}`` for the head and ``{b}`` for the column's word. `loose`: a word of another row might
    fit as well (a hammer may be of steel too), so none is used as a distractor. `mutual`: it holds both ways.
    """

    says: str
    loose: bool = False
    mutual: bool = False


class Table(NamedTuple):
    """`relations[i]` is the relation of column ``i + 1``; None if it would be ambiguous."""

    relations: tuple[Relation | None, ...]
    rows: tuple[tuple[str, ...], ...]


def _table(relations: tuple[Relation | None, ...], text: str) -> Table:
    rows = tuple(tuple(word.strip() for word in line.split("|")) for line in text.strip().splitlines())
    return Table(relations, rows)


TABLES: dict[str, Table] = {
    "animals": _table(
        (
            Relation("the young of a {a} is a {b}"),
            Relation("the sound of a {a} is {b}"),
            Relation("a {a} lives in a {b}", loose=True),
            Relation("a {a} has a {b}", loose=True),
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
        """,
    ),
    "countries": _table(
        (
            Relation("the capital of {a} is {b}"),
            Relation("the main language of {a} is {b}"),
            Relation("the currency of {a} is the {b}"),
            None,
            None,
        ),
        """
        Japan       | Tokyo      | Japanese   | yen    | Osaka      | Asia
        France      | Paris      | French     | euro   | Lyon       | Europe
        Poland      | Warsaw     | Polish     | zloty  | Krakow     | Europe
        Egypt       | Cairo      | Arabic     | pound  | Alexandria | Africa
        China       | Beijing    | Mandarin   | yuan   | Shanghai   | Asia
        Sweden      | Stockholm  | Swedish    | krona  | Gothenburg | Europe
        Denmark     | Copenhagen | Danish     | krone  | Aarhus     | Europe
        Hungary     | Budapest   | Hungarian  | forint | Debrecen   | Europe
        Czechia     | Prague     | Czech      | koruna | Brno       | Europe
        Thailand    | Bangkok    | Thai       | baht   | Chiang Mai | Asia
        Vietnam     | Hanoi      | Vietnamese | dong   | Da Nang    | Asia
        South Korea | Seoul      | Korean     | won    | Busan      | Asia
        Brazil      | Brasília   | Portuguese | real   | Recife     | South America
        Turkey      | Ankara     | Turkish    | lira   | Istanbul   | Asia
        India       | New Delhi  | Hindi      | rupee  | Mumbai     | Asia
        Iran        | Tehran     | Persian    | rial   | Shiraz     | Asia
        """,
    ),
    "trades": _table(
        (
            Relation("a {a} uses a {b}", loose=True),
            Relation("a {a} works in a {b}", loose=True),
            Relation("a {a} makes a {b}", loose=True),
        ),
        """
        carpenter   | saw        | joinery     | table
        baker       | oven       | bakery      | loaf
        painter     | brush      | studio      | portrait
        smith       | anvil      | forge       | horseshoe
        writer      | pen        | study       | novel
        weaver      | loom       | mill        | carpet
        brewer      | vat        | brewery     | beer
        potter      | wheel      | pottery     | jug
        shipbuilder | crane      | dockyard    | ferry
        printer     | press      | print shop  | newspaper
        tailor      | needle     | dress shop  | suit
        florist     | ribbon     | flower shop | bouquet
        glassblower | blowpipe   | glassworks  | goblet
        cook        | ladle      | kitchen     | soup
        """,
    ),
    "objects": _table(
        (
            Relation("a {b} is a part of a {a}", loose=True),
            Relation("a {a} is often made of {b}", loose=True),
            Relation("a {a} is for {b}", loose=True),
            Relation("a {a} is a kind of {b}"),
        ),
        """
        knife   | blade   | steel   | cutting  | cutlery
        chair   | leg     | wood    | sitting  | furniture
        book    | page    | paper   | reading  | publication
        shirt   | sleeve  | cotton  | wearing  | clothing
        bottle  | neck    | glass   | pouring  | container
        hammer  | head    | iron    | nailing  | tool
        pen     | nib     | plastic | writing  | stationery
        boot    | sole    | leather | walking  | footwear
        broom   | bristle | straw   | sweeping | cleaning gear
        tent    | flap    | canvas  | camping  | shelter
        ring    | stone   | gold    | adorning | jewellery
        guitar  | string  | spruce  | strumming | instrument
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
            Relation('"{b}" is a much stronger word than "{a}"', loose=True),
        ),
        """
        hot    | hotter    | hottest    | cold     | heat      | scorching
        strong | stronger  | strongest  | weak     | strength  | mighty
        long   | longer    | longest    | short    | length    | endless
        deep   | deeper    | deepest    | shallow  | depth     | bottomless
        wide   | wider     | widest     | narrow   | width     | vast
        happy  | happier   | happiest   | sad      | happiness | ecstatic
        angry  | angrier   | angriest   | calm     | anger     | furious
        high   | higher    | highest    | low      | height    | towering
        hungry | hungrier  | hungriest  | full     | hunger    | starving
        dirty  | dirtier   | dirtiest   | clean    | dirt      | filthy
        brave  | braver    | bravest    | cowardly | bravery   | heroic
        poor   | poorer    | poorest    | rich     | poverty   | destitute
        old    | older     | oldest     | young    | age       | ancient
        """,
    ),
    "measures": _table(
        (Relation("{a} is measured with a {b}"), Relation("the unit of {a} is the {b}"), None),
        """
        temperature | thermometer  | kelvin   | weather
        length      | ruler        | metre    | road
        mass        | balance      | kilogram | load
        time        | stopwatch    | second   | calendar
        current     | ammeter      | ampere   | wire
        voltage     | voltmeter    | volt     | battery
        pressure    | barometer    | pascal   | pump
        force       | spring scale | newton   | push
        angle       | protractor   | degree   | corner
        """,
    ),
    "places": _table(
        (
            Relation("a {b} works in a {a}", loose=True),
            Relation("there is a {b} in a {a}", loose=True),
            Relation("a {b} takes place in a {a}", loose=True),
        ),
        """
        school     | teacher | blackboard    | lesson
        hospital   | nurse   | sickbed       | operation
        theatre    | actor   | stage         | play
        courtroom  | judge   | witness box   | trial
        church     | priest  | altar         | christening
        museum     | curator | showcase      | exhibition
        bakery     | baker   | oven          | baking course
        circus     | clown   | trapeze       | juggling act
        farm       | farmer  | barn          | harvest
        laboratory | chemist | microscope    | experiment
        stadium    | referee | goalpost      | match
        parliament | deputy  | lectern       | debate
        """,
    ),
    "words": _table(
        (
            Relation('"{b}" means the same as "{a}"', mutual=True),
            Relation('"{b}" is the opposite of "{a}"', mutual=True),
            Relation('"{b}" is the noun of "{a}"'),
        ),
        """
        begin    | start     | finish   | beginning
        rapid    | quick     | slow     | rapidity
        silent   | quiet     | noisy    | silence
        wealthy  | rich      | poor     | wealth
        glad     | happy     | sad      | gladness
        broad    | wide      | narrow   | breadth
        permit   | allow     | forbid   | permission
        hide     | conceal   | reveal   | hiding
        ancient  | old       | modern   | antiquity
        stubborn | obstinate | yielding | stubbornness
        polite   | courteous | rude     | politeness
        timid    | shy       | bold     | timidity
        destroy  | ruin      | build    | destruction
        depart   | leave     | arrive   | departure
        """,
    ),
}
