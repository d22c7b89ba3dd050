"""The image functions: a condition or a value over the images of an arrival.

They must not look at an image more than once per call: an arrival may have tens of thousands.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol.routing.rules.subject import Scope, Subject
from protocol.routing.rules.values import ERROR, MISSING, TRUE, UNKNOWN, Fault, Truth, Value, every, some


def over_images(function: str, condition: Callable[[Scope], Truth], subject: Subject) -> Truth:
    """`any_image`, `all_images` or `first_image` of a condition. Without any image the answer is UNKNOWN."""
    if not subject.images:
        return UNKNOWN
    if function == "first_image":
        return condition(subject.image_scope(subject.first))
    truths = (condition(subject.image_scope(index)) for index in range(len(subject.images)))
    return some(truths) if function == "any_image" else every(truths)


def first_value(getter: Callable[[Scope], Value], subject: Subject) -> Value:
    """`first_image` of a value."""
    return getter(subject.image_scope(subject.first)) if subject.images else MISSING


def count_images(condition: Callable[[Scope], Truth], subject: Subject) -> Value:
    """How many images the condition is true of; an ERROR on one of them makes the number a Fault."""
    count = 0
    for index in range(len(subject.images)):
        truth = condition(subject.image_scope(index))
        if truth is ERROR:
            return Fault("the condition to be counted is an error for one of the images")
        count += truth is TRUE
    return count
