"""The pairs file of a point, where those are kept: that of the equivalent single run."""

from __future__ import annotations

from pathlib import Path

from ... import store
from ...config import RunConfig
from ...pairs import ChunkResult
from .. import until
from ..identity import engine_for, run_info


class PointFile:
    """The file of a point's run while chunks come in; begun, or gone on with.

    Raises `StoreError` where it is another run's, or the disk cannot hold it.
    """

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path = path
        self._config = config
        info = run_info(config, engine_for(config, path))
        laid_out = until.asked(config, info, path)
        durability = config.output.durability
        self.store = store.PairStore.open(
            path,
            laid_out,
            launch={"ranks": 1},
            durability=durability,
        )
        self._course = None
        if config.until:
            self._course = until.course_of_store(config, self.store)

    def append(self, chunk: ChunkResult, rank: int) -> None:
        """Take the next chunk."""
        self.store.append(chunk, rank=rank)
        if self._course is not None:
            until.follow(self._course, self.store, chunk.record)

    def finish(self) -> bool:
        """Publish the file if all chunks are in, or as many as the goal takes; whether it was."""
        course = self._course
        if course is None and self.store.is_complete:
            self.store.finish()
            return True
        if course is not None and until.is_enough(course, self.store):
            self.store.finish(until.stopped(self._config, course))
            return True
        return False

    def make_room(self) -> None:
        """Make room for more chunks where there is none and the goal takes them."""
        if self._course is not None and self.store.is_complete:
            until.grow(self._course, self.store)

    def close(self) -> None:
        """Commit what was appended, and release the file."""
        self.store.close()
