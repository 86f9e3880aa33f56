"""Sentence patterns with an infinitive or a gerund: wishes, efforts, purposes and thanks."""

from __future__ import annotations

from dataclasses import replace

from sample_data.clauses import Agreement, Event, Form, clause, inflect
from sample_data.combinations import marker
from sample_data.constructions import FUTURE_TIMES, PAST, PRESENT, finished
from sample_data.phrases import noun_phrase, predicate
from sample_data.picker import Picker, lines
from sample_data.trees import Part, Phrase, join, mark, word

ATTITUDES = """want / try / promise / forget / offer / decide / plan / start / finish / need / refuse /
    would like"""
EXTRA_EFFORTS = """
    | stay | | late
    | come | | early
    | get up | | early
    | come back | |
"""
ENDINGS = """
    | go | | home
    | make | a cup of tea |
    | take | a short break |
    | lock | the door |
    | call | a friend |
    | sit down | | for a moment
"""


def control(pick: Picker) -> Phrase:
    """Somebody wants, tries or promises to do something."""
    event = pick.activity(pronouns=0.3, adjuncts=0.5)
    verb = pick.one(ATTITUDES)
    bare = replace(event, subject="")
    if verb in ("start", "finish"):
        return finished(
            join(clause(Event(event.subject, verb), PAST), ("xcomp", clause(bare, Form("gerund"))))
        )
    form = pick.random.choice([PAST, PRESENT]) if verb in ("want", "need", "plan") else PAST
    if verb == "would like":
        verb, form = "like", Form("present", modal="would")
    bare = bare.plus(pick.one(FUTURE_TIMES)) if form != PAST and pick.chance(0.5) else bare
    matrix = clause(Event(event.subject, verb), form, contracted=True)
    return finished(join(matrix, ("xcomp", clause(bare, Form("to")))))


def object_control(pick: Picker) -> Phrase:
    """Somebody asks, helps or lets somebody else do something."""
    event = pick.activity(adjuncts=0.5)
    verb = pick.one("ask / tell / help / remind / let")
    boss = pick.person(pronouns=0.3)
    while boss == event.subject:
        boss = pick.person(pronouns=0.3)
    form = Form("base") if verb in ("help", "let") else Form("to")
    helped = event.subject if pick.chance(0.7) else "us" if boss not in ("we", "I") else "them"
    matrix = clause(Event(boss, verb, helped), PAST)
    return finished(join(matrix, ("xcomp", clause(replace(event, subject=""), form))))


def effort(pick: Picker) -> Phrase:
    """It takes time, it is easy, or it is somebody's turn to do something."""
    event = replace(pick.activity(transitive=True, adjuncts=0.4), subject="")
    wish = clause(event, Form("to"))
    kind = pick.random.choice(["took", "easy", "turn", "time"])
    it: Part = ("expl", noun_phrase("it"))
    if kind == "took":
        duration = (
            "obj",
            noun_phrase(pick.one("an hour / the whole morning / half an hour / two hours / ages")),
        )
        helper = pick.random.choice(["us", "me", "them", pick.person()])
        verb = clause(Event("", "take"), PAST)
        return finished(join(it, verb, ("iobj", noun_phrase(helper)), duration, ("csubj", wish)))
    if kind == "easy":
        adjective = predicate(
            pick.one("not easy / hard / easy / quite difficult / impossible / necessary / too late")
        )
        verb = inflect("be", "present", Agreement())
        verb.upos = "AUX"
        if pick.chance(0.5):
            verb.form, verb.clitic = "'s", True
        return finished(join(it, ("cop", [verb]), adjective, ("csubj", wish)))
    if kind == "turn":
        turn = clause(
            Event("it", "be", pick.one("Anna's turn / my turn / your turn / Omar's job / their turn")),
            pick.random.choice([PRESENT, PAST]),
            contracted=True,
        )
        return finished(join(turn, ("acl", wish)))
    time = join(noun_phrase(pick.one("no time / no reason / some time")), ("acl", wish))
    return finished(join(clause(Event(pick.one("we / they / I / she"), "have"), PAST), ("obj", time)))


def purpose(pick: Picker) -> Phrase:
    """Somebody makes an effort in order to do something."""
    event = pick.activity(pronouns=0.3, adjuncts=0.4)
    matrix = replace(pick.event(pick.fresh(lines(EXTRA_EFFORTS))), subject=event.subject)
    return finished(join(clause(matrix, PAST), ("advcl", clause(replace(event, subject=""), Form("to")))))


def sideways(pick: Picker) -> Phrase:
    """Before, after or without doing one thing somebody does another."""
    event = pick.activity(pronouns=0.3, adjuncts=0.3)
    kind = pick.random.choice(["after", "before", "without"])
    doing = clause(replace(event, subject=""), Form("gerund"), lead=[marker(kind)])
    if kind == "without":
        matrix = Event(event.subject, "leave", "", ("early",) if pick.chance(0.3) else ())
        return finished(join(clause(matrix, PAST), ("advcl", doing)))
    matrix = replace(pick.event(pick.fresh(lines(ENDINGS)), adjuncts=1.0), subject=event.subject)
    if kind == "after" and pick.chance(0.7):
        return finished(clause(matrix, PAST, lead=[("advcl", join(doing, mark(",")))]))
    return finished(join(clause(matrix, PAST), ("advcl", doing)))


def thanks(pick: Picker) -> Phrase:
    """Thanks for doing something."""
    event = replace(pick.activity(adjuncts=0.4), subject="")
    doing = clause(event, Form("gerund"), lead=[marker("for")])
    if pick.chance(0.5):
        thank = join(
            [word("thank", "thank", "VERB", "VBP", "Mood=Ind|Number=Sing|Person=1|Tense=Pres|VerbForm=Fin")],
            ("obj", _you_object()),
            ("advcl", doing),
        )
        return finished(thank)
    noun = [word("thanks", "thanks", "NOUN", "NNS", "Number=Plur")]
    return finished(join(noun, ("acl", doing)), "!")


def _you_object() -> Phrase:
    return [word("you", "you", "PRON", "PRP", "Case=Acc|Person=2|PronType=Prs")]
