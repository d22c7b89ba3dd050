"""Settings of storage commitment (PS3.4 Annex J): what counts for a source's requests, and what is asked of a target.

It must not judge a request (the router does) nor speak to anybody.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from protocol.routing import shapes
from protocol.routing.fields import AETitle, Frozen, Host, Name, Port, Seconds, Timeout

CommitmentPolicy = Literal["target", "spool", "off"]


class SourceCommitment(Frozen):
    """What we answer a source that asks us to commit to its images; a text alone is the policy. Times in seconds.

    Attributes:
        policy: "target": committed is what the reference target has; "spool": what is durable here (kept until a target
            has it); "off": the service is not offered.
        target: the reference, a target or group; None: every target that the decision routed the image to.
        host, port, ae_title: where reports go that cannot be sent on the association of the request. None: the address
            it came from, `receiver.commitment_port`, its calling AE title.
        wait_s: images that are not committed this long after the request have failed (0110).
        unknown_s: images that are still unknown this long after the request have failed (0112).
        report_s: reports that did not reach the source this long after the answer are given up, with an alert.
    """

    model_config = shapes.config(
        shapes.needs("host", "port"),
        {"if": shapes.given("target"), "then": {"properties": {"policy": {"const": "target"}}}},
    )

    policy: CommitmentPolicy = "target"
    target: Name | None = None
    host: Host | None = None
    port: Port | None = None
    ae_title: AETitle | None = None
    wait_s: Seconds = 86_400.0
    unknown_s: Seconds = 600.0
    report_s: Seconds = 259_200.0

    @model_validator(mode="after")
    def _fits_together(self) -> SourceCommitment:
        if self.target is not None and self.policy != "target":
            raise ValueError('a reference target is of no use unless policy is "target"')
        if self.host is not None and self.port is None:
            raise ValueError("host needs a port")
        return self


class TargetCommitment(Frozen):
    """Asking a DICOM target to commit to what it was sent; `true` alone means these values. Times in seconds.

    Attributes:
        answer_s: how long its report is waited for on the association of the request; then it comes to our port.
        wait_s: a delivery without a report this long after the request is parked, with an alert.
    """

    answer_s: Annotated[Timeout, Field(le=60)] = 5.0
    wait_s: Timeout = 86_400.0


def as_commitment(value: Any) -> Any:
    """`"spool"` is short for `{"policy": "spool"}`."""
    return {"policy": value} if isinstance(value, str) else value


def as_target_commitment(value: Any) -> Any:
    """`true` is short for `{}`, `false` for null."""
    if isinstance(value, bool):
        return {} if value else None
    return value
