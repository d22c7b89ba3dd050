"""What one may ask of the logs. It must not read them."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from webgui.areas.logs.reading import Place, Wanted

PAGE = 200
MOST_PLACES = 100


class LogQuery(BaseModel):
    """Filters of a list of log lines."""

    model_config = ConfigDict(extra="ignore")
    program: str = Field(
        "", max_length=80, pattern=r"^[A-Za-z0-9_-]*$", description="receiver, router, dispatcher-0, ..."
    )
    level: Literal["", "debug", "info", "warning", "error"] = Field("", description="At least this level")
    text: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        "", max_length=200, description="Contains this text"
    )
    arrival: int | None = Field(None, ge=1, le=2**62, description="Tells of this arrival")
    after: str = Field(
        "", max_length=6000, pattern=r"^[A-Za-z0-9_.\-:,]*$", description="The `next` of the page before"
    )
    limit: int = Field(PAGE, ge=1, le=5000, description="So many lines")
    format: Literal["", "jsonl"] = Field("", description="jsonl: the lines as a file, as they were written")

    @property
    def wanted(self) -> Wanted:
        """As the reader wants it."""
        return Wanted(self.program, self.level, self.text, self.arrival)

    @property
    def place(self) -> Place | None:
        """Offset by file; what cannot be read is ignored."""
        if not self.after:
            return None
        pairs = (part.rpartition(":") for part in self.after.split(",")[:MOST_PLACES])
        return {name: int(offset) for name, _, offset in pairs if name and offset.isdecimal() and len(offset) < 16}

    def query(self, **more: str) -> str:
        """The same filters as a query string."""
        named = {"program": self.program, "level": self.level, "text": self.text, "arrival": self.arrival or "", **more}
        return urlencode({name: value for name, value in named.items() if value})


def written(place: Place | None) -> str:
    """A place as text."""
    return ",".join(f"{name}:{offset}" for name, offset in (place or {}).items())
