"""How tries are counted in a group, and when a member that does not take a delivery is followed by another one. Pure.
It names the member that comes next: left to the claim, the one that failed would be taken again as soon as it answers others.

`attempts` of a delivery is one number for all members, so they have it in rounds: the tries of one member, then those of the
next. Each round has room for as many tries as the member with the most has.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from protocol.records import record
from protocol.routing.model import RoutingConfiguration


@record
class Tries:
    """`round` is how many tries each member's round has, 0 if the one that has the delivery does not count them; `most` how many
    there are altogether, None if one of the members does not count. `other` is another member that can be used now, ""
    if there is none; `untried` whether it has not failed since the delivery was first tried, which those come first that have not.
    """

    round: int = 0
    most: int | None = None
    other: str = ""
    untried: bool = False

    def before(self, failed: int) -> int:
        """How many of so many failures were of the member that has the delivery now."""
        return failed % self.round if self.round else failed

    def earlier(self, failed: int) -> int:
        """How many count as those of members before it."""
        return failed - self.before(failed)

    def next_round(self, failed: int, *, for_good: bool) -> int | None:
        """How many tries count as used up when another member follows; None: none is to. `failed` as it was before this one.

        `for_good`: what failed is no matter of time. Where nobody counts tries only one that has not failed meanwhile follows
        then: two that take other deliveries would hand this one to and fro for ever.
        """
        if not self.round:
            return failed + 1 if for_good and self.untried else None
        used = self.earlier(failed) + self.round
        return None if self.most is not None and used >= self.most else used


NOBODY = Tries()


def tries_in(
    configuration: RoutingConfiguration, group: str, member: str, others: Sequence[str], failed: Collection[str] = ()
) -> Tries:
    """Of a delivery that this member of a group has; `others` are the other ones that can be used now, the best first
    (groups.others), `failed` those that did since it was first tried.
    """
    found = configuration.groups.get(group)
    if found is None:
        return NOBODY
    fresh = [name for name in others if name not in failed]
    other, untried = next(iter(fresh or others), ""), bool(fresh)
    limits = {
        name: configuration.targets[name].retry.max_attempts for name in found.members if name in configuration.targets
    }
    if limits.get(member) is None:
        return Tries(other=other, untried=untried)
    counted = [limit for limit in limits.values() if limit is not None]
    most = max(counted) * len(limits) if len(counted) == len(limits) else None
    return Tries(max(counted), most, other, untried)
