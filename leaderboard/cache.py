"""What an earlier build computed: attempts that were read, entries that were scored, pages that were written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vidsuite_core.errors import VidsuiteError

_TABLES = ("attempts", "entries", "details", "pages", "reproductions")
_BATCH = 500


class Cache:
    """Texts by key in an SQLite file, which may be deleted at any time; a damaged one is begun anew.

    A key is a digest of all that its value was computed from, code included, so that nothing needs to be invalidated.
    What a build did not ask for is forgotten at its end.
    """

    def __init__(self, path: Path | None) -> None:
        self._asked: dict[str, set[str]] = {table: set() for table in _TABLES}
        self._path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = self._open()
            sound = self._connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
        except sqlite3.OperationalError as error:
            raise VidsuiteError(f"cannot open the cache {path}: {error}; is another build under way?") from error
        except sqlite3.DatabaseError:
            sound = False
        if not sound:
            assert path is not None
            path.unlink()
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path or ":memory:")
        connection.execute("PRAGMA synchronous = OFF")  # what a power cut damages is made anew
        connection.execute("PRAGMA journal_mode = MEMORY")
        for table in _TABLES:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (key TEXT PRIMARY KEY, text TEXT, data BLOB)")
        return connection

    def get(self, table: str, keys: Iterable[str]) -> dict[str, tuple[str, bytes | None]]:
        """(text, data) of each key that is known."""
        wanted = list(dict.fromkeys(keys))
        self._asked[table].update(wanted)
        found: dict[str, tuple[str, bytes | None]] = {}
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            marks = ",".join("?" * len(batch))
            rows = self._connection.execute(f"SELECT key, text, data FROM {table} WHERE key IN ({marks})", batch)  # noqa: S608
            found |= {key: (text, data) for key, text, data in rows}
        return found

    def put(self, table: str, rows: Mapping[str, tuple[str, bytes | None]]) -> None:
        """Keep (text, data) by key."""
        self._asked[table].update(rows)
        values = ((key, text, data) for key, (text, data) in rows.items())
        self._connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", values)  # noqa: S608
        self._connection.commit()

    def used(self, table: str, keys: Iterable[str]) -> None:
        """Keep what is known of `keys` without reading it."""
        self._asked[table].update(keys)

    def forget_unused(self) -> None:
        """Drop what was neither asked for nor put since the cache was opened."""
        for table, asked in self._asked.items():
            known = {key for (key,) in self._connection.execute(f"SELECT key FROM {table}")}  # noqa: S608
            self._connection.executemany(
                f"DELETE FROM {table} WHERE key = ?",  # noqa: S608
                ((key,) for key in known - asked),
            )
        self._connection.commit()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


@contextmanager
def opened(path: Path | None) -> Iterator[Cache]:
    """The cache at `path` (in memory where None); forgets what was not used where all went well.

    Raises:
        VidsuiteError: the file cannot be read or written.
    """
    cache = Cache(path)
    try:
        yield cache
        cache.forget_unused()
    except sqlite3.Error as error:
        raise VidsuiteError(f"the cache {path} failed: {error}; make room on the disk, or delete the file") from error
    finally:
        cache.close()
