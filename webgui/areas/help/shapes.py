"""What the API says about itself, as a model. It must not make answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class OpenApiAnswer(BaseModel):
    """An OpenAPI 3.1 document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]
