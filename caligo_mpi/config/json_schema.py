"""What is made from the models, or for their users: JSON Schema and the starter configuration."""

from __future__ import annotations

from importlib import resources
from typing import Any

from .run import RunConfig


def starter_config() -> str:
    """A commented configuration that runs as it is."""
    return resources.files(__package__).joinpath("starter.yaml").read_text("utf-8")


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a configuration file."""
    body = tidy(RunConfig.model_json_schema())
    # A run with until takes its emissions from there.
    body["required"].remove("pairs")
    body["anyOf"] = [{"required": ["pairs"]}, {"required": ["until"]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of a caligo-mpi run",
        **body,
    }


def tidy(part: Any) -> Any:
    """Without generated titles and without defaults that only repeat a section's own."""
    if isinstance(part, list):
        return [tidy(item) for item in part]
    if not isinstance(part, dict):
        return part
    noise = set()
    if isinstance(part.get("title"), str):
        noise.add("title")
    default = part.get("default", 0)
    if default is None or isinstance(default, dict):
        noise.add("default")
    return {key: tidy(value) for key, value in part.items() if key not in noise}
