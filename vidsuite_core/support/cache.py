"""Arrays kept on disk under a hash of all that decided them, shared by all processes of a user.

An entry is an uncompressed `.npz`, which numpy reads anywhere. Its CRC-32 is checked whenever it is
read, and once where it is mapped. No entry is ever changed, so readers need no locks: a file appears
whole, and may vanish, which counts as a miss.
"""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from vidsuite_core.errors import Note, VidsuiteError
from vidsuite_core.support import code, environment
from vidsuite_core.support.files import why
from vidsuite_core.support.ids import digest
from vidsuite_core.support.paths import cache_home, stale_temporaries, temporary_file

DEFAULT_LIMIT = "20GB"
"""Of each cache, unless `VIDSUITE_CACHE_LIMIT` says otherwise."""

_KEPT_SHARE = 0.9
"""What eviction leaves of the limit, so that it does not run at every entry."""

_RESCAN_SHARE = 0.05
"""How much of the limit a process may write before it looks again at what the others wrote."""

_PIECE = 2**20
"""Bytes of an entry that are checked at a time."""

_NAME_LENGTHS = 26
"""Where a ZIP member's local header says how long the name and the extra field after it are (two bytes each)."""

_KEY = re.compile(r"[0-9a-z_-]{3,128}\Z")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?\Z", re.IGNORECASE)


class CacheWarning(Note):
    """Entries cannot be written, so that work is done again each time."""


_identity = ""


def computed_by(identity: str) -> None:
    """Say for this process what code computes what it keeps, see `vidsuite_core.support.code.identity`."""
    global _identity
    _identity = identity


def cache_key(**parts: Any) -> str:
    """The key of what `parts` (JSON values) decide: sha256 (hex) of their canonical JSON and of the code's identity.

    The code is that which `computed_by` named, or else the core's and the libraries': other code finds nothing of it.
    """
    by = _identity or code.identity({"core": code.of_core()}, environment.software())
    return digest({"parts": parts, "code": by})


def frame_cache() -> ArrayCache:
    """Clips as models see them: decoded, cropped and resized; in the folder `frames` of the cache."""
    return _shared(cache_home() / "frames", _limit())


def feature_cache() -> ArrayCache:
    """What frozen networks and detectors made of clips; in the folder `features` of the cache."""
    return _shared(cache_home() / "features", _limit())


def network_cache() -> ArrayCache:
    """Networks as back ends have converted them, and which was fastest; in the folder `networks` of the cache."""
    return _shared(cache_home() / "networks", _limit())


class ArrayCache:
    """A folder of entries, each some named arrays; safe for many processes at once.

    Args:
        root: the folder, made when the first entry is written.
        max_bytes: beyond this the entries that were not used for longest are removed; None for no limit.
    """

    def __init__(self, root: Path, max_bytes: int | None = None) -> None:
        self.root = Path(root)
        self.max_bytes = max_bytes
        self._known_bytes: int | None = None
        self._written_since_scan = 0
        self._warned = False

    def get(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays under `key`, the caller's own; None where there are none or they are damaged."""
        return self._opened(key, _read)

    def map(self, key: str) -> dict[str, np.ndarray] | None:
        """As `get`, but read only, and left on the disk: bytes come into memory as they are looked at.

        All are checked once, here. The arrays stay good when the entry is removed meanwhile.
        """
        return self._opened(key, _mapped)

    def _opened(self, key: str, read: Callable[[Path], dict[str, np.ndarray]]) -> dict[str, np.ndarray] | None:
        path = self._path(key)
        try:
            arrays = read(path)
        except OSError:
            return None
        except Exception:  # whatever zipfile and numpy raise on damaged bytes: all mean the same
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):  # somebody else's cache may be read only
            os.utime(path)  # the time of last use, for eviction
        return arrays

    def put(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep `arrays` under `key`. Where the disk does not take them, warn once and go on without."""
        path = self._path(key)
        needed = sum(array.nbytes for array in arrays.values())
        if self.max_bytes is not None and needed > self.max_bytes:
            return
        try:
            with temporary_file(path) as temporary, temporary.open("xb") as file:
                _write(file, arrays)
            self._make_room(needed)
        except OSError as error:
            self._warn(error)

    def get_or_compute(self, key: str, fn: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The arrays under `key`, or else those of `fn()`, kept for the next time.

        Two processes that miss at once both compute; either result is kept.
        """
        found = self.get(key)
        if found is not None:
            return found
        arrays = dict(fn())
        self.put(key, arrays)
        return arrays

    def size(self) -> tuple[int, int]:
        """(entries, bytes)."""
        sizes = [size for _, size, _ in self._entries()]
        return len(sizes), sum(sizes)

    def clear(self) -> tuple[int, int]:
        """Remove all entries and what dead processes left half written; returns (entries, bytes) removed."""
        removed = freed = 0
        for path, size, _ in self._entries():
            path.unlink(missing_ok=True)
            removed, freed = removed + 1, freed + size
        for folder in self._folders():
            for path in stale_temporaries(folder):
                path.unlink(missing_ok=True)
        self._known_bytes = None
        return removed, freed

    def _path(self, key: str) -> Path:
        if not _KEY.match(key):
            raise VidsuiteError(f"{key!r} is no cache key; make keys with cache_key()")
        return self.root / key[:2] / f"{key}.npz"

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.root.glob("??") if path.is_dir())

    def _entries(self) -> Iterator[tuple[Path, int, int]]:
        """(path, bytes, time of last use in ns) of each entry."""
        for folder in self._folders():
            for path in folder.glob("*.npz"):
                try:
                    status = path.stat()
                except FileNotFoundError:  # another process removed it meanwhile
                    continue
                yield path, status.st_size, status.st_mtime_ns

    def _make_room(self, added: int) -> None:
        """Remove the entries unused for longest once the limit is passed."""
        if self.max_bytes is None:
            return
        self._written_since_scan += added
        if self._known_bytes is None or self._written_since_scan > _RESCAN_SHARE * self.max_bytes:
            self._known_bytes, self._written_since_scan = self.size()[1], 0
        else:
            self._known_bytes += added
        if self._known_bytes > self.max_bytes:
            self._evict()

    def _evict(self) -> None:
        assert self.max_bytes is not None
        entries = sorted(self._entries(), key=lambda entry: entry[2])
        total = sum(size for _, size, _ in entries)
        for path, size, _ in entries:
            if total <= _KEPT_SHARE * self.max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
        self._known_bytes, self._written_since_scan = total, 0

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"nothing can be added to the cache {self.root}: {why(error, self.root)}; "
                "set VIDSUITE_CACHE to choose another folder",
                CacheWarning,
                stacklevel=3,
            )


def _write(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    from numpy.lib import format as npy

    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = _comment(len(arrays))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)


def _read(path: Path) -> dict[str, np.ndarray]:
    from numpy.lib import format as npy

    arrays = {}
    with zipfile.ZipFile(path) as archive:
        if archive.comment != _comment(len(archive.namelist())):
            raise ValueError("the directory of the archive lacks entries")
        for name in archive.namelist():
            with archive.open(name) as member:
                arrays[name.removesuffix(".npy")] = npy.read_array(member, allow_pickle=False)
                if member.read(1):  # the CRC is compared at the member's end
                    raise ValueError("the array ends before the entry does")
    return arrays


def _mapped(path: Path) -> dict[str, np.ndarray]:
    from numpy.lib import format as npy

    arrays: dict[str, np.ndarray] = {}
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        if archive.comment != _comment(len(archive.namelist())):
            raise ValueError("the directory of the archive lacks entries")
        for member in archive.infolist():
            with archive.open(member) as packed:
                version = npy.read_magic(packed)
                read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, fortran, dtype = read_header(packed)
                header = packed.tell()
                while packed.read(_PIECE):  # the CRC is compared at the member's end
                    pass
            if dtype.hasobject or member.compress_type != zipfile.ZIP_STORED:
                raise ValueError("the array is not stored as it is in memory")
            file.seek(member.header_offset + _NAME_LENGTHS)
            names = sum(int.from_bytes(file.read(2), "little") for _ in range(2))
            start = member.header_offset + _NAME_LENGTHS + 4 + names + header
            order: Literal["F", "C"] = "F" if fortran else "C"
            name = member.filename.removesuffix(".npy")
            if 0 in shape:  # nothing can be mapped of nothing
                arrays[name] = np.zeros(shape, dtype)
            else:
                arrays[name] = np.memmap(file, dtype, "r", start, shape, order)
    return arrays


def _comment(count: int) -> bytes:
    """What the archive says of itself, since nothing in a ZIP guards its directory."""
    return f"vidsuite cache entry of {count} arrays".encode()


def _limit() -> int:
    """`VIDSUITE_CACHE_LIMIT` in bytes: a number with B, KB, MB, GB or TB, or their binary kin (GiB)."""
    text = os.environ.get("VIDSUITE_CACHE_LIMIT") or DEFAULT_LIMIT
    found = _SIZE.match(text.strip())
    if not found:
        raise VidsuiteError(f"VIDSUITE_CACHE_LIMIT is {text!r}; give a size such as 20GB")
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(prefix.upper() or " "))


@lru_cache(maxsize=16)
def _shared(root: Path, max_bytes: int) -> ArrayCache:
    """One object a folder, which remembers how full the folder is and that it has warned."""
    return ArrayCache(root, max_bytes)
