"""What form a file of weights has, told by its first bytes and its directory before anything in it is unpickled.

A pickle of a few bytes can ask for any amount of memory. So an archive's members must be stored as they are, its
pickle must be small, and no name that it asks for may make a tensor by its size alone; what is left of ways to grow is
bounded by `bounded_memory`.
"""

from __future__ import annotations

import pickletools
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from vidsuite_core.errors import VidsuiteError

Form = Literal["safetensors", "zip", "legacy"]

MAX_PICKLE = 64 << 20
"""Bytes of the pickle beside the tensors: a thousand of these take about 150,000, the log of a long training more."""
MAX_OPERATIONS = 1_000_000
"""Of that pickle: about twenty a tensor."""
MAX_DIRECTORY = 16 << 20
"""Bytes of an archive's directory."""
LEGACY_PICKLES = 5
"""Pickles before the tensors in files of torch before 1.6: magic number, version, system, the object, its storages."""

_BY_SIZE = {
    "builtins bytearray", "torch Tensor", "torch.nn.parameter Parameter",
    "torch._utils _rebuild_sparse_tensor", "torch._utils _rebuild_sparse_csr_tensor", "torch._utils _rebuild_qtensor",
    "torch._utils _rebuild_meta_tensor_no_storage", "torch._utils _rebuild_nested_tensor",
}  # fmt: skip
"""Names in pickles that make something of a size that the pickle states, or that is no plain tensor."""
_SAVE = "save the network's state_dict(), best as safetensors"
_FOREIGN = (
    (b"version https://git-lfs", "is a git-lfs pointer, not the file that it stands for; run 'git lfs pull'"),
    (b"<", "is a web page or XML, not weights; download it again from its real address"),
    (b"\x89HDF\r\n", f"is an HDF5 file, as Keras writes; load it there and {_SAVE}"),
    (b"\x08", f"looks like ONNX or TensorFlow; load it there and {_SAVE}"),
)
"""First bytes of files that people take for weights, and what to do."""


def form_of(path: Path) -> Form:
    """The form of a file of weights.

    Raises:
        VidsuiteError: no file of weights, a damaged one, or one that could take more memory than it has bytes.
    """
    with path.open("rb") as file:
        head = file.read(64)
        size = path.stat().st_size
        if head.startswith(b"PK\3\4"):
            _check_zip(file, size, path)
            return "zip"
        if head.startswith(b"\x80"):
            _check_legacy(file, path)
            return "legacy"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= min(size - 8, MAX_PICKLE):
        return "safetensors"
    for begin, what in _FOREIGN:
        if head.lstrip().startswith(begin):
            raise VidsuiteError(f"{path} {what}")
    raise VidsuiteError(f"{path} is damaged or no file of torch weights; get it anew")


def _check_zip(file: IO[bytes], size: int, path: Path) -> None:
    try:
        if _directory_size(file, size) > MAX_DIRECTORY:
            raise VidsuiteError(f"{path} has a directory of more than {MAX_DIRECTORY >> 20} MiB, as no weights have")
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            pickles = [member for member in members if member.filename.rpartition("/")[2] == "data.pkl"]
            if any(member.filename.rpartition("/")[2] == "constants.pkl" for member in members):
                raise VidsuiteError(
                    f"{path} is a TorchScript archive, which holds a program; {_SAVE} in its place: "
                    "torch.save(torch.jit.load(FILE).state_dict(), NEW)"
                )
            if len(pickles) != 1:
                raise VidsuiteError(f"{path} is an archive, but not one of torch.save; {_SAVE}")
            packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
            if packed or sum(member.file_size for member in members) > size:
                raise VidsuiteError(f"{path} is a packed archive, which torch.save writes none of; unpack and save it")
            if pickles[0].file_size > MAX_PICKLE:
                raise VidsuiteError(f"{path} holds a pickle of more than {MAX_PICKLE >> 20} MiB beside its tensors")
            with archive.open(pickles[0]) as content:
                _check_pickle(content, path)
    except VidsuiteError:
        raise
    except Exception as error:  # a damaged archive makes zipfile and struct raise a dozen types
        raise VidsuiteError(f"{path} is damaged ({error or type(error).__name__}); get it anew") from error


def _directory_size(file: IO[bytes], size: int) -> int:
    """Bytes of a zip file's directory, by its end alone (sections 4.3.14 to 4.3.16 of PKWARE's APPNOTE)."""
    begin = max(0, size - (1 << 16) - 128)
    file.seek(begin)
    tail = file.read()
    file.seek(0)
    at = tail.rindex(b"PK\5\6")
    if tail[at - 20 : at - 16] == b"PK\6\7":  # zip64, which torch writes
        (offset,) = struct.unpack("<Q", tail[at - 12 : at - 4])
        file.seek(offset)
        end = file.read(56)
        file.seek(0)
        return int(struct.unpack("<Q", end[40:48])[0])
    return int(struct.unpack("<L", tail[at + 12 : at + 16])[0])


def _check_legacy(file: IO[bytes], path: Path) -> None:
    file.seek(0)
    try:
        for _ in range(LEGACY_PICKLES):
            _check_pickle(file, path)
    except VidsuiteError:
        raise
    except Exception as error:
        raise VidsuiteError(f"{path} is damaged or no file of torch weights ({error}); get it anew") from error


class _Bounded:
    """The bytes of a file from where it is on, `MAX_PICKLE` of them at most."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, MAX_PICKLE

    def read(self, count: int) -> bytes:
        return self._take(self._file.read(max(0, min(count, self._left + 1))))

    def readline(self) -> bytes:
        return self._take(self._file.readline(self._left + 1))

    def tell(self) -> int:
        return self._file.tell()

    def _take(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"its pickle has more than {MAX_PICKLE >> 20} MiB")
        return data


def _check_pickle(file: IO[bytes], path: Path) -> None:
    """Read one pickle's operations, running none."""
    for number, (operation, argument, _) in enumerate(pickletools.genops(_Bounded(file))):  # type: ignore[arg-type]
        if number > MAX_OPERATIONS:
            raise VidsuiteError(f"{path} holds a pickle of more than {MAX_OPERATIONS} operations beside its tensors")
        if operation.name == "GLOBAL" and argument in _BY_SIZE:
            raise VidsuiteError(f"{path} asks for {argument.replace(' ', '.')}, which vidsuite does not load; {_SAVE}")


@contextmanager
def bounded_memory(extra: int) -> Iterator[None]:
    """Let this process take `extra` bytes more than it has; beyond, an allocation fails. Only where the system can."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * resource.getpagesize() + extra
    bounds = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([wanted, *bounds]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
