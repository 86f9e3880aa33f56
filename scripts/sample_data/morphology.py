"""English inflection: how verbs, nouns and adjectives change their form."""

import re

IRREGULAR_VERBS = {
    verb: (past, participle)
    for verb, past, participle in (
        entry.split("/")
        for entry in """
    beat/beat/beaten become/became/become begin/began/begun bite/bit/bitten blow/blew/blown
    break/broke/broken bring/brought/brought build/built/built burn/burnt/burnt buy/bought/bought
    catch/caught/caught choose/chose/chosen come/came/come cost/cost/cost cut/cut/cut dig/dug/dug
    do/did/done draw/drew/drawn drink/drank/drunk drive/drove/driven eat/ate/eaten fall/fell/fallen
    feed/fed/fed feel/felt/felt find/found/found fly/flew/flown forget/forgot/forgotten
    freeze/froze/frozen get/got/got give/gave/given go/went/gone grow/grew/grown hang/hung/hung
    have/had/had hear/heard/heard hide/hid/hidden hit/hit/hit hold/held/held hurt/hurt/hurt
    keep/kept/kept know/knew/known leave/left/left lend/lent/lent let/let/let light/lit/lit
    lose/lost/lost make/made/made mean/meant/meant meet/met/met pay/paid/paid put/put/put read/read/read
    ride/rode/ridden ring/rang/rung rise/rose/risen run/ran/run say/said/said see/saw/seen
    sell/sold/sold send/sent/sent set/set/set sew/sewed/sewn shake/shook/shaken shine/shone/shone
    show/showed/shown shut/shut/shut sing/sang/sung sit/sat/sat sleep/slept/slept speak/spoke/spoken
    spend/spent/spent spill/spilt/spilt stand/stood/stood steal/stole/stolen stick/stuck/stuck
    sweep/swept/swept swim/swam/swum take/took/taken teach/taught/taught tear/tore/torn tell/told/told
    think/thought/thought throw/threw/thrown understand/understood/understood wake/woke/woken
    wear/wore/worn win/won/won write/wrote/written
""".split()
    )
}
DOUBLING_VERBS = frozenset("begin cancel control forget label refer travel".split())
IRREGULAR_PLURALS = {
    "children": "child",
    "knives": "knife",
    "leaves": "leaf",
    "loaves": "loaf",
    "mice": "mouse",
    "people": "person",
    "sheep": "sheep",
    "shelves": "shelf",
}
PLURAL_ONLY = frozenset("clothes scissors trousers pliers".split())
SINGULAR_IN_S = frozenset("gas lens atlas canvas news".split())
IRREGULAR_DEGREES = {"good": ("better", "best"), "bad": ("worse", "worst"), "far": ("further", "furthest")}


def _doubles(verb: str) -> bool:
    return verb in DOUBLING_VERBS or re.fullmatch(r"[^aeiou]*[aeiou][bdgmnprt]", verb) is not None


def third_person(verb: str) -> str:
    """The -s form of a verb."""
    if verb in ("be", "have"):
        return {"be": "is", "have": "has"}[verb]
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ies"
    return verb + ("es" if re.search(r"(s|x|z|ch|sh|o)$", verb) else "s")


def ing_form(verb: str) -> str:
    """The -ing form of a verb."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not re.search(r"(ee|oe|ye)$", verb) and verb != "be":
        return verb[:-1] + "ing"
    return verb + (verb[-1] if _doubles(verb) else "") + "ing"


def past_forms(verb: str) -> tuple[str, str]:
    """The past tense and the past participle of a verb."""
    if verb in IRREGULAR_VERBS:
        return IRREGULAR_VERBS[verb]
    if verb.endswith("e"):
        form = verb + "d"
    elif re.search(r"[^aeiou]y$", verb):
        form = verb[:-1] + "ied"
    else:
        form = verb + (verb[-1] if _doubles(verb) else "") + "ed"
    return form, form


def noun_lemma(noun: str) -> tuple[str, str]:
    """The lemma of a common noun and its grammatical number."""
    if noun in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[noun], "Plur"
    if noun.endswith("men"):
        return noun[:-3] + "man", "Plur"
    if noun in PLURAL_ONLY:
        return noun, "Ptan"
    if not noun.endswith("s") or noun in SINGULAR_IN_S or re.search(r"(ss|us|is)$", noun):
        return noun, "Sing"
    if noun.endswith("ies"):
        return noun[:-3] + "y", "Plur"
    if re.search(r"(ches|shes|xes|sses|zes|toes)$", noun):
        return noun[:-2], "Plur"
    return noun[:-1], "Plur"


def degrees(adjective: str) -> tuple[str, str]:
    """The comparative and the superlative of a short adjective."""
    if adjective in IRREGULAR_DEGREES:
        return IRREGULAR_DEGREES[adjective]
    if adjective.endswith("y"):
        stem = adjective[:-1] + "i"
    elif adjective.endswith("e"):
        stem = adjective[:-1]
    elif re.fullmatch(r"[^aeiou]*[aeiou][bdgmnpt]", adjective):
        stem = adjective + adjective[-1]
    else:
        stem = adjective
    return stem + "er", stem + "est"
