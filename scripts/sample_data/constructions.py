"""Sentence patterns in one clause: statements, questions and requests."""

from __future__ import annotations

from dataclasses import replace

from sample_data.clauses import Event, Form, agreement_of, clause, inflect
from sample_data.phrases import adjunct, noun_phrase
from sample_data.picker import Picker
from sample_data.trees import Part, Phrase, join, mark, word

PAST = Form("past")
PRESENT = Form("present")
RECENTLY = """yesterday / last week / this morning / last night / on Friday evening / an hour ago /
    on Monday morning"""
PAST_TIMES = """yesterday / last week / on Friday evening / this morning / last night / two days ago /
    on 3 May / in March / on Monday morning / the day before yesterday / an hour ago / on 21 June /
    last summer / last Saturday"""
FUTURE_TIMES = """tomorrow / next week / on Saturday / this afternoon / after work / before the weekend /
    on 12 June / tomorrow morning / on Sunday morning / tonight / next month / on Thursday"""
PRESENT_TIMES = "at the moment / this week / today / this morning / right now"
HABIT_TIMES = "every morning / on Saturdays / every day / every Friday / on Mondays"
EVENINGS = "yesterday / last night / an hour ago / at noon"
HABIT_ADVERBS = "usually / often / always"
FORMS: dict[str, tuple[Form, str, str]] = {
    "past": (PAST, PAST_TIMES, ""),
    "perfect": (Form("present", perfect=True), "", "already / just / finally"),
    "future": (Form("present", modal="will"), FUTURE_TIMES, ""),
    "progressive": (Form("present", progressive=True), PRESENT_TIMES, ""),
    "past progressive": (Form("past", progressive=True), EVENINGS, "still"),
    "must": (Form("present", modal="must"), FUTURE_TIMES, ""),
    "can": (Form("present", modal="can"), FUTURE_TIMES, ""),
    "should": (Form("present", modal="should"), FUTURE_TIMES, ""),
    "might": (Form("present", modal="might"), FUTURE_TIMES, ""),
    "going to": (Form("to"), FUTURE_TIMES, ""),
}
WEIGHTS = {
    "past": 8,
    "perfect": 3,
    "future": 4,
    "progressive": 3,
    "past progressive": 2,
    "must": 1,
    "can": 1,
    "should": 1,
    "might": 1,
    "going to": 2,
}


def finished(phrase: Phrase, end: str = ".") -> Phrase:
    """The phrase as a sentence."""
    return join(phrase, mark(end))


def statement(pick: Picker, passive: bool = False, negative: bool = False) -> Phrase:
    """Somebody does something at some time."""
    event = pick.activity(pronouns=0 if passive else 0.35, transitive=passive)
    if passive and (pick.chance(0.6) or event.subject in ("she", "he", "they", "we", "I")):
        event = replace(event, subject="")
    kind = pick.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    if passive and "progressive" in kind or negative and kind in ("must", "might", "past progressive"):
        kind = "past"
    form, times, adverbs = FORMS[kind]
    if negative and kind == "perfect":
        times, adverbs = "yet", ""
    timed = bool(times) and pick.chance(0.6)
    front = timed and times != "yet" and pick.chance(0.3)
    lead = [adjunct(pick.one(times), comma=pick.chance(0.7))] if front else []
    if timed and not front:
        event = event.plus(pick.one(times))
    middle = pick.one(adverbs) if adverbs and not negative and pick.chance(0.7) else ""
    if kind == "going to":
        return finished(_going_to(pick, event, passive, negative, lead))
    return finished(
        clause(
            event,
            form,
            passive=passive,
            negative=negative,
            contracted=pick.chance(0.7),
            adverb=middle,
            lead=lead,
        )
    )


def _going_to(pick: Picker, event: Event, passive: bool, negative: bool, lead: list[Part]) -> Phrase:
    subject = event.object if passive else event.subject
    inner = clause(replace(event, subject=event.subject if passive else ""), Form("to"), passive=passive)
    form, contracted = FORMS["progressive"][0], pick.chance(0.7)
    going = clause(Event(subject, "go"), form, negative=negative, contracted=contracted, lead=lead)
    return join(going, ("xcomp", inner))


def passive(pick: Picker) -> Phrase:
    """Something is done, with or without the doer."""
    return statement(pick, passive=True)


def negation(pick: Picker) -> Phrase:
    """Somebody does not do something."""
    return statement(pick, negative=True)


def incident(pick: Picker) -> Phrase:
    """Something happens to somebody."""
    event = pick.event(pick.line(pick.scene.incidents), pick.person(pronouns=0.4), 0.8)
    kind = pick.random.choice(["past", "past", "past", "perfect"])
    form = FORMS[kind][0]
    if kind == "past" and pick.chance(0.5):
        if pick.chance(0.35):
            return finished(clause(event, form, lead=[adjunct(pick.one(RECENTLY), comma=True)]))
        event = event.plus(pick.one(RECENTLY))
    middle = "just" if kind == "perfect" else ""
    return finished(clause(event, form, contracted=pick.chance(0.6), adverb=middle))


def habit(pick: Picker) -> Phrase:
    """Something that happens regularly."""
    event = pick.event(pick.line(pick.scene.habits), adjuncts=0.85)
    if not event.adjuncts and pick.chance(0.5):
        return finished(clause(event.plus(pick.one(HABIT_TIMES)), PRESENT))
    if pick.chance(0.08):
        return finished(clause(event, PRESENT, negative=True, contracted=pick.chance(0.8)))
    middle = pick.one(HABIT_ADVERBS) if pick.chance(0.35) and "most" not in event.subject else ""
    return finished(clause(event, PRESENT, adverb=middle))


def yes_no_question(pick: Picker) -> Phrase:
    """Did somebody do something?"""
    event = pick.activity(pronouns=0.2, adjuncts=0.4)
    kind = pick.random.choice(["past", "past", "perfect", "future", "progressive"])
    form, times, _ = FORMS[kind]
    if pick.chance(0.35):
        event = replace(event, subject="you")
    if event.subject == "I":
        form, times = Form("present", modal="should"), FUTURE_TIMES
    if kind == "perfect":
        event = event.plus("yet")
    elif pick.chance(0.4):
        event = event.plus(pick.one(times))
    negative = kind == "past" and event.subject != "I" and pick.chance(0.25)
    return finished(clause(event, form, question=True, negative=negative, contracted=True), "?")


def interrogative(form: str) -> Phrase:
    """A single question adverb."""
    return [word(form, form, "ADV", "WRB", "PronType=Int")]


def wh_question(pick: Picker) -> Phrase:
    """Who, what, which, where, when, why or how."""
    event = pick.activity(transitive=True, adjuncts=0.3)
    kind = pick.random.choice(["who", "what", "where", "when", "when", "why", "why", "how", "why not"])
    if kind == "who":
        return finished(clause(replace(event, subject="who").plus(pick.one(PAST_TIMES)), PAST), "?")
    if kind == "what":
        tense = pick.random.choice([PAST, FORMS["future"][0], FORMS["progressive"][0]])
        asked = clause(replace(event, object=""), tense, question=True, lead=[("obj", noun_phrase("what"))])
        return finished(asked, "?")
    if kind == "why not":
        return finished(
            clause(
                replace(event, subject="we", adjuncts=()),
                PRESENT,
                question=True,
                negative=True,
                contracted=True,
                lead=[("advmod", interrogative("why"))],
            ),
            "?",
        )
    if kind in ("where", "how"):
        event = replace(event, adjuncts=())
    tense = FORMS["future"][0] if kind == "when" else PAST
    asked = clause(event, tense, question=True, lead=[("advmod", interrogative(kind))])
    return finished(asked, "?")


def polite(form: str = "please") -> Part:
    """An interjection that makes a request friendly."""
    return "discourse", [word(form, form, "INTJ", "UH")]


def imperative(pick: Picker) -> Phrase:
    """An order or a request in the imperative."""
    event = replace(pick.activity(), subject="")
    kind = pick.random.choice(["plain", "please", "not", "forget", "vocative"])
    plain = Form("imperative")
    if kind == "please":
        return finished(clause(event, plain, lead=[polite()]))
    if kind == "not":
        return finished(
            clause(event.plus(pick.one("yet / today / without me")), plain, negative=True, contracted=True)
        )
    if kind == "forget":
        forget = clause(Event("", "forget"), plain, negative=True, contracted=True)
        return finished(join(forget, ("xcomp", clause(event, Form("to")))), pick.random.choice(".!"))
    if kind == "vocative":
        name = join(noun_phrase(pick.one("Anna / Omar / Nora / Felix / Ruth")), mark(","))
        return finished(clause(event, plain, lead=[("vocative", name), polite()]))
    return finished(clause(event.plus(pick.one("before lunch / now / this time / together")), plain))


def suggestion(pick: Picker) -> Phrase:
    """A proposal or an offer to the listener."""
    event = pick.activity(adjuncts=0.5, transitive=True)
    kind = pick.random.choice(["let", "could", "would you mind", "shall", "help"])
    if kind == "let":
        us = word("'s", "we", "PRON", "PRP", "Case=Acc|Number=Plur|Person=1|PronType=Prs")
        us.clitic = True
        let = [inflect("let", "imperative", agreement_of(noun_phrase("you")))]
        wish = clause(replace(event, subject=""), Form("base"))
        return finished(join(let, ("obj", [us]), ("xcomp", wish)))
    if kind == "could":
        modal = Form("present", modal=pick.random.choice(["could", "can", "will"]))
        request = clause(replace(event, subject="you"), modal, question=True)
        return finished(join(request, join_comma(polite())) if pick.chance(0.5) else request, "?")
    if kind == "would you mind":
        mind = clause(Event("you", "mind"), Form("present", modal="would"), question=True)
        return finished(join(mind, ("xcomp", clause(replace(event, subject=""), Form("gerund")))), "?")
    if kind == "help":
        helper = clause(Event("I", "help", "you"), Form("present", modal="can"), question=True)
        return finished(join(helper, ("xcomp", clause(replace(event, subject=""), Form("base")))), "?")
    offer = clause(replace(event, subject="we"), Form("present", modal="should"), question=True)
    return finished(offer, "?")


def join_comma(part: Part) -> Part:
    """The part behind a comma that belongs to it."""
    relation, phrase = part
    return relation, join(mark(","), phrase)
