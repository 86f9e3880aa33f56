"""Closed word classes, adjectives and names; what is not listed here is a common noun."""

from sample_data.morphology import degrees

THIRD = "Number=Sing|Person=3|PronType=Prs"
PRONOUNS = {
    "I": ("I", "PRP", "Case=Nom|Number=Sing|Person=1|PronType=Prs"),
    "you": ("you", "PRP", "Case=Nom|Person=2|PronType=Prs"),
    "he": ("he", "PRP", f"Case=Nom|Gender=Masc|{THIRD}"),
    "she": ("she", "PRP", f"Case=Nom|Gender=Fem|{THIRD}"),
    "it": ("it", "PRP", f"Gender=Neut|{THIRD}"),
    "we": ("we", "PRP", "Case=Nom|Number=Plur|Person=1|PronType=Prs"),
    "they": ("they", "PRP", "Case=Nom|Number=Plur|Person=3|PronType=Prs"),
    "me": ("I", "PRP", "Case=Acc|Number=Sing|Person=1|PronType=Prs"),
    "us": ("we", "PRP", "Case=Acc|Number=Plur|Person=1|PronType=Prs"),
    "them": ("they", "PRP", "Case=Acc|Number=Plur|Person=3|PronType=Prs"),
    "mine": ("mine", "PRP", "Number=Sing|Person=1|Poss=Yes|PronType=Prs"),
    "somebody": ("somebody", "NN", "Number=Sing|PronType=Ind"),
    "nobody": ("nobody", "NN", "Number=Sing|PronType=Neg"),
    "everyone": ("everyone", "NN", "Number=Sing|PronType=Tot"),
    "nothing": ("nothing", "NN", "Number=Sing|PronType=Neg"),
    "what": ("what", "WP", "PronType=Int"),
    "who": ("who", "WP", "PronType=Int"),
    "that": ("that", "DT", "Number=Sing|PronType=Dem"),
    "this": ("this", "DT", "Number=Sing|PronType=Dem"),
    "these": ("this", "DT", "Number=Plur|PronType=Dem"),
}
POSSESSIVES = {
    "my": ("my", "Case=Gen|Number=Sing|Person=1|Poss=Yes|PronType=Prs"),
    "your": ("your", "Case=Gen|Person=2|Poss=Yes|PronType=Prs"),
    "his": ("his", "Case=Gen|Gender=Masc|Number=Sing|Person=3|Poss=Yes|PronType=Prs"),
    "her": ("her", "Case=Gen|Gender=Fem|Number=Sing|Person=3|Poss=Yes|PronType=Prs"),
    "its": ("its", "Case=Gen|Gender=Neut|Number=Sing|Person=3|Poss=Yes|PronType=Prs"),
    "our": ("our", "Case=Gen|Number=Plur|Person=1|Poss=Yes|PronType=Prs"),
    "their": ("their", "Case=Gen|Number=Plur|Person=3|Poss=Yes|PronType=Prs"),
}
DETERMINERS = {
    "the": ("the", "Definite=Def|PronType=Art"),
    "a": ("a", "Definite=Ind|PronType=Art"),
    "an": ("a", "Definite=Ind|PronType=Art"),
    "this": ("this", "Number=Sing|PronType=Dem"),
    "that": ("that", "Number=Sing|PronType=Dem"),
    "these": ("this", "Number=Plur|PronType=Dem"),
    "every": ("every", "PronType=Tot"),
    "all": ("all", "PronType=Tot"),
    "both": ("both", "PronType=Tot"),
    "some": ("some", "PronType=Ind"),
    "no": ("no", "PronType=Neg"),
    "half": ("half", "NumForm=Word|NumType=Frac|PronType=Ind"),
    "which": ("which", "PronType=Int"),
}
NUMBER_WORDS = frozenset(
    """one two three four five six seven eight nine ten twelve eighteen twenty twenty-six thirty forty
    sixty""".split()
)
ORDINALS = {"first": "one", "second": "two", "third": "three"}
PREPOSITIONS = frozenset(
    """
    up down
    about above across after against along around at before behind below beside between beyond by during
    for from in inside into near of off on onto outside over round than through to under until with
    without as
    """.split()
)
FIXED_PREPOSITIONS = (("out", "of"), ("because", "of"))
PARTICLES = frozenset("apart away back down in off on out over up".split())
TIME_NOUNS = frozenset(
    """
    afternoon day evening hour hours month morning night summer time today tomorrow tonight week weekend
    winter year yesterday Monday Tuesday Wednesday Thursday Friday Saturday Sunday
    """.split()
)
MONTHS = frozenset(
    "January February March April May June July August September October November December".split()
)
TITLES = frozenset("Mr Mrs Ms Dr Uncle".split())
GIVEN_NAMES = frozenset("Anna Omar Nora Felix Ruth Tomas Priya Samuel".split())
PLAIN_ADVERBS = """
    again ago almost alone already away down downstairs even ever finally fully home indoors just not
    only outside overnight quite rather right slightly so still together too upstairs very yet
""".split()
GRADED_ADVERBS = """
    bitterly carefully early far finely hard heavily late loudly much often probably quickly rarely
    slowly soon usually well
""".split()
ADVERBS = (
    dict.fromkeys(PLAIN_ADVERBS, "")
    | dict.fromkeys(GRADED_ADVERBS, "Degree=Pos")
    | {
        "here": "PronType=Dem",
        "never": "PronType=Neg",
        "now": "PronType=Dem",
        "once": "NumType=Mult",
        "sometimes": "PronType=Ind",
        "then": "PronType=Dem",
        "there": "PronType=Dem",
        "twice": "NumType=Mult",
        "always": "PronType=Tot",
        "somewhere": "PronType=Ind",
    }
)
SHORT_ADJECTIVES = """
    big small short long strong quiet cheap fast easy bright dry cold warm hot heavy light sweet sunny
    large high old new young low tall deep thick thin sharp clean tidy brave safe late early mild smooth
    soft calm pale dark wide narrow good bad funny cosy busy shy noisy friendly great fine hard icy wet
    dirty lovely muddy salty slow kind greasy sandy neat loose ripe
""".split()
LONG_ADJECTIVES = """
    marked afraid annual black blue booked boring borrowed broken brown clear clever closed complicated
    confusing cracked crowded cut damp delicious different difficult double due empty exciting expensive
    fair flat flooded fond former fragile free fresh frightened frozen full generous gentle glad gone
    green home-made human ill important impossible junior lame large-print last leaky left little loud
    main much necessary nervous next open orphaned other own patient perfect plain pleasant polite
    popular pressed proud public ready red regular reserved retired returned same second-hand sick spare
    stale steep strange strict sure surprising tiny tired torn useful usual valuable weekly white whole
    winning wonderful wooden wrong yellow younger
""".split()
ADJECTIVES: dict[str, tuple[str, str, str]] = {}
for _adjective in LONG_ADJECTIVES + SHORT_ADJECTIVES:
    ADJECTIVES[_adjective] = (_adjective, "JJ", "Pos")
for _adjective in SHORT_ADJECTIVES:
    _comparative, _superlative = degrees(_adjective)
    ADJECTIVES[_comparative] = (_adjective, "JJR", "Cmp")
    ADJECTIVES[_superlative] = (_adjective, "JJS", "Sup")
ADJECTIVES |= {"more": ("more", "JJR", "Cmp"), "most": ("most", "JJS", "Sup")}
