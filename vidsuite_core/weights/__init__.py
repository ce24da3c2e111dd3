"""Named weights: found in the cache, fetched once and checked, or taken from a user's file.

Weights `NAME` are kept in `weights_home()` as `NAME.pt`, a plain state dict, and `NAME.json`, the
record of where they came from. The record is written last; weights without one count as absent.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidsuite_core.errors import VidsuiteError, WeightsUnavailable
from vidsuite_core.specs import WeightsSpec, resolve
from vidsuite_core.weights.download import Progress, download_package, download_url, extract_member
from vidsuite_core.weights.file import content_sha256, identity, load, load_strictly, pinned

if TYPE_CHECKING:
    from torch import Tensor

SHORTEST_HASH = 8
"""Hex digits of a download's sha256 that a spec gives at least."""

__all__ = [
    "Origin",
    "Progress",
    "content_sha256",
    "fetch",
    "file_sha256",
    "genuine",
    "how_to_get",
    "identity",
    "install",
    "load",
    "load_strictly",
    "locate",
    "pinned",
    "recorded_content",
    "source",
    "verify",
]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where kept weights came from; `NAME.json`.

    Attributes:
        source: address or package and member that was fetched, or the user's file.
        download_sha256: of the file as downloaded; empty where the user gave converted weights.
        checked: the hashes that agreed, as "sha256 and content_sha256" or "first 8 digits of sha256".
        content_sha256: hash of the tensors (`content_sha256`), the weights' identity.
        size: bytes of `NAME.pt`.
        converted_by: function that made the state dict, or empty.
    """

    name: str
    source: str
    trained_on: str
    licence: str
    download_sha256: str
    checked: str
    content_sha256: str
    size: int
    converted_by: str


def locate(spec: WeightsSpec) -> Path | None:
    """The kept file of `spec`, or None where it is absent or not what the spec now names; reads no tensors."""
    path = _place(spec)
    record = _read_origin(path)
    if record is None or not path.is_file() or path.stat().st_size != record.size:
        return None
    if spec.content_sha256 and record.content_sha256 != spec.content_sha256.lower():
        return None
    if record.download_sha256 and not record.download_sha256.startswith(spec.sha256.lower()):
        return None
    return path


def genuine(spec: WeightsSpec) -> Path | None:
    """What `locate` finds, if its tensors are still those that were kept; reads and hashes them."""
    path = locate(spec)
    return path if path is not None and not _changed(path) else None


def fetch(spec: WeightsSpec, progress: Progress | None = None) -> Path:
    """The file of `spec`, downloaded, checked and converted first where what is kept is missing or was changed.

    A package's archive is downloaded by pip, which runs the build script of what the hash names.

    Raises:
        WeightsUnavailable: offline, no source, or the source cannot be reached; the text says what to do.
        VidsuiteError: what came is not what the spec names.
    """
    from vidsuite_core.support.paths import offline, weights_home

    if found := genuine(spec):
        return found
    if offline() or not (spec.url or spec.package):
        raise WeightsUnavailable(how_to_get(spec))
    _require_hash(spec)
    weights_home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=weights_home(), prefix=".fetch-") as scratch:
        file = _download(spec, Path(scratch), progress or _silent)
        found_sha256 = file_sha256(file)
        if not found_sha256.startswith(spec.sha256.lower()):
            raise VidsuiteError(
                f"{source(spec)} gave a file of sha256 {found_sha256} where {spec.sha256} was expected;"
                f" it was not opened, and weights {spec.name} are not installed"
            )
        return _keep(spec, _original(spec, file, Path(scratch)), source(spec), found_sha256)


def install(spec: WeightsSpec, file: Path) -> Path:
    """Keep a file that the user has: the original download, or a file of the converted tensors.

    Raises:
        VidsuiteError: it is neither; files are told apart by their hashes.
    """
    from vidsuite_core.support.paths import weights_home

    file = Path(file)
    if not file.is_file():
        raise VidsuiteError(f"there is no file {file} to take weights {spec.name} from")
    weights_home().mkdir(parents=True, exist_ok=True)
    found_sha256 = file_sha256(file)
    if spec.sha256 and found_sha256.startswith(spec.sha256.lower()):
        _require_hash(spec)
        with tempfile.TemporaryDirectory(dir=weights_home(), prefix=".install-") as scratch:
            return _keep(spec, _original(spec, file, Path(scratch)), str(file), found_sha256)
    expected = f"its sha256 is {found_sha256} and that of {source(spec)} is {spec.sha256 or 'not recorded'}"
    try:
        state = load(file)
    except VidsuiteError as error:
        raise VidsuiteError(f"{file} is not the download of weights {spec.name} ({expected}), and {error}") from error
    if spec.sha256 and not spec.content_sha256:
        raise VidsuiteError(f"{file} cannot be told to be weights {spec.name}: {expected}")
    return _keep(spec, state, str(file), "")


def verify(spec: WeightsSpec) -> list[str]:
    """What is wrong with the kept weights, one line a fault; reads and hashes all tensors."""
    path = locate(spec)
    if path is None:
        return [how_to_get(spec)]
    fault = _changed(path)
    return [fault] if fault else []


def _changed(path: Path) -> str:
    """How the tensors of a kept file differ from what was recorded of them, or ""."""
    try:
        found = identity(path)
    except VidsuiteError as error:
        return str(error)
    recorded = recorded_content(path)
    if found == recorded:
        return ""
    return (
        f"{path} has changed since it was installed: its tensors hash to {found}, recorded was {recorded}; "
        f"'vidsuite weights get {path.stem}' brings it back"
    )


def recorded_content(path: Path) -> str:
    """The content hash in the record of a kept file, without reading its tensors."""
    record = _read_origin(path)
    if record is None:
        raise VidsuiteError(f"{path} has no record beside it; run 'vidsuite weights get {path.stem}'")
    return record.content_sha256


def source(spec: WeightsSpec) -> str:
    """Where `spec` is published, in words."""
    return (
        spec.url or (spec.package and f"the source archive of {spec.package} on the package index") or "no known place"
    )


def how_to_get(spec: WeightsSpec) -> str:
    """One sentence on how a user brings the weights in."""
    name = spec.name
    if not (spec.url or spec.package):
        return (
            f"weights {name} ({spec.summary}) are published nowhere that vidsuite fetches from;"
            f" run 'vidsuite weights get {name} --from FILE', or give --weights {name}=FILE"
        )
    return (
        f"weights {name} ({spec.summary}) are not on this machine; run 'vidsuite weights get {name}' with a network and"
        f" without VIDSUITE_OFFLINE, or 'vidsuite weights get {name} --from FILE' with the file of {source(spec)}"
    )


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(spec: WeightsSpec, folder: Path, progress: Progress) -> Path:
    if spec.url:
        return download_url(spec.url, folder / "download", spec.size, progress)
    return download_package(spec.package, spec.sha256, folder, progress)


def _keep(spec: WeightsSpec, state: Mapping[str, Tensor], origin: str, download_sha256: str) -> Path:
    """Check the tensors against the spec, then save them and, last, their record."""
    import torch

    from vidsuite_core.support.paths import atomic_write

    content = content_sha256(state)
    if spec.content_sha256 and content != spec.content_sha256.lower():
        raise VidsuiteError(
            f"{origin} holds other tensors than weights {spec.name}: their content hash is {content}"
            f" where {spec.content_sha256} was expected"
        )
    path = _place(spec)
    path.with_suffix(".json").unlink(missing_ok=True)
    atomic_write(path, lambda file: torch.save(dict(state), file))
    record = Origin(
        name=spec.name,
        source=f"{origin}: {spec.member}" if spec.member and download_sha256 else origin,
        trained_on=spec.trained_on,
        licence=spec.licence,
        download_sha256=download_sha256,
        checked=_what_vouches(spec, download_sha256),
        content_sha256=content,
        size=path.stat().st_size,
        converted_by=spec.convert if download_sha256 else "",
    )
    atomic_write(path.with_suffix(".json"), (json.dumps(asdict(record), indent=2) + "\n").encode())
    return path


def _what_vouches(spec: WeightsSpec, download_sha256: str) -> str:
    hashes = []
    if download_sha256:
        digits = len(spec.sha256)
        hashes.append("sha256" if digits == len(download_sha256) else f"first {digits} digits of sha256")
    if spec.content_sha256:
        hashes.append("content_sha256")
    return " and ".join(hashes) or "nothing: the spec states no hash"


def _original(spec: WeightsSpec, file: Path, scratch: Path) -> dict[str, Tensor]:
    """The state dict of a checked download."""
    if spec.member:
        file = extract_member(file, spec.member, scratch / "member")
    state: dict[str, Tensor] = resolve(spec.convert)(file) if spec.convert else load(file)
    return state


def _require_hash(spec: WeightsSpec) -> None:
    if len(spec.sha256) < SHORTEST_HASH:
        raise VidsuiteError(
            f"weights {spec.name} cannot be checked: their spec gives {len(spec.sha256)} digits of the download's"
            f" sha256, and {SHORTEST_HASH} are the least"
        )


def _place(spec: WeightsSpec) -> Path:
    from vidsuite_core.support.paths import weights_home

    return weights_home() / f"{spec.name}.pt"


def _read_origin(path: Path) -> Origin | None:
    """The record beside a kept file; None where there is none, or none of this version's."""
    try:
        return Origin(**json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _silent(done: int, total: int | None) -> None:
    """A `Progress` that shows nothing."""
