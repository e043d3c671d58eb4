"""Stand-in for netsquid_netbuilder.yaml_loadable, for tests only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel


class YamlLoadable(BaseModel):
    @classmethod
    def _from_file(cls, path: str) -> Any:
        return cls(**yaml.safe_load(Path(path).read_text()))

    @classmethod
    def from_file(cls, path: str) -> Any:
        return cls._from_file(path)
