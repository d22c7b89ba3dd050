"""The functions of a rule that ask the images of an arrival one by one: any, all, first, how many.

It must not look at images that are alike for the question more than once; the subject groups them.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol.routing.rules.images import Reads
from protocol.routing.rules.subject import Scope, Subject
from protocol.routing.rules.values import ERROR, MISSING, TRUE, UNKNOWN, Fault, Truth, Value, every, some


def over_images(function: str, condition: Callable[[Scope], Truth], reads: Reads, subject: Subject) -> Truth:
    """`any_image`, `all_images` or `first_image` of a condition. Without any image the answer is UNKNOWN."""
    if not subject.images:
        return UNKNOWN
    if function == "first_image":
        return condition(subject.image_scope(subject.first))
    truths = (condition(scope) for scope, _ in subject.grouped(reads))
    return some(truths) if function == "any_image" else every(truths)


def first_value(getter: Callable[[Scope], Value], subject: Subject) -> Value:
    """`first_image` of a value."""
    return getter(subject.image_scope(subject.first)) if subject.images else MISSING


def count_images(condition: Callable[[Scope], Truth], reads: Reads, subject: Subject) -> Value:
    """How many images the condition is true of; an ERROR on one of them makes the number a Fault."""
    count = 0
    for scope, alike in subject.grouped(reads):
        truth = condition(scope)
        if truth is ERROR:
            return Fault("the condition to be counted is an error for one of the images")
        if truth is TRUE:
            count += alike
    return count
