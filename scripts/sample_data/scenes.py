"""The shape of a scene: what people do, what happens, and what is said in one everyday setting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scene:
    """One domain; every field but the name is a block of lines, `/` separates alternatives.

    people: who acts here
    activities: verb | object | where or how (deliberate, takes time)
    incidents: verb | object | where or how (happens to somebody)
    habits: subject | verb | object | when or where
    sequences: verb | object ; verb | object ; ...
    links: connective: subject | verb | object | more || subject | verb | object | more
    states: subject | complement
    places: thing | where it is
    comparisons: thing | adjective | other thing
    """

    name: str
    people: str
    activities: str
    incidents: str
    habits: str
    sequences: str
    links: str
    states: str
    places: str
    comparisons: str
