"""Initial weights of a run: given by the user, kept, or fetched once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import UsageError, WeightsUnavailable

if TYPE_CHECKING:
    from vidsuite_core.datasets import Progress
    from vidsuite_core.specs import WeightsSpec
    from vidsuite_core.suite import Suite


@dataclass(frozen=True)
class Found:
    """A model's initial weights: files and content hashes by name ("random" where none), and what to warn of."""

    files: dict[str, str | None] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


GET = "pass --weights FILE, or see 'vidsuite weights list'"


class InitialWeights:
    """Finds the files behind the names in configs.

    Args:
        given: `[NAME=]FILE` texts of the user's, which come before what is kept.
        may_be_random: whether a run goes on without weights that cannot be had (the quick preset).
        say: called with a line for the user.

    Raises:
        UsageError: a text names no file, or no weights that are known.
    """

    def __init__(
        self,
        suite: Suite,
        given: Sequence[str],
        may_be_random: bool,
        say: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self.suite, self.may_be_random, self.say, self.progress = suite, may_be_random, say, progress
        self.may_fetch = True
        self.unknown: list[str] = []
        """Names of weights that are not here, and whose content is known only once they are."""
        self.foreseen: list[str] = []
        """What a run would fetch, where it may not fetch now."""
        self._given = dict(self._parse(text) for text in given)
        self._used: set[str] = set()
        self._found: dict[str, tuple[Path | None, str]] = {}

    def find(self, model: str, config: Mapping[str, Any]) -> Found:
        """The weights that a model's config names."""
        from vidsuite_core.engine.config import named_weights
        from vidsuite_core.engine.recipe import way_of

        found, names = Found(), named_weights(config)
        predicts = way_of(config) == "predicts"
        if "" in self._given and len(names) != 1:
            named = ", ".join(sorted(names)) or "none"
            raise UsageError(
                f"--weights FILE fits no single name of {model}, which has {named}; say --weights NAME=FILE"
            )
        for name in sorted(names):
            if predicts and not {name, ""} & set(self._given) and name not in self.suite.weights:
                raise UsageError(f"{model} only predicts, and names no weights; give trained ones with --weights FILE")
            if name not in self._found:
                self._found[name] = self._find(name)
            path, sha256 = self._found[name]
            found.files[name] = str(path) if path else None
            found.hashes[name] = sha256
            if path is None and predicts:
                raise WeightsUnavailable(f"{model} only predicts, so it needs {name}, which could not be had; {GET}")
            if path is None:
                found.warnings.append(self._warning(name))
            elif predicts:
                found.warnings.append(self._origin(name))
        return found

    def refuse_unused(self) -> None:
        """Raise UsageError if the user gave weights that no config asked for: a name was mistaken."""
        unused = set(self._given) - self._used
        if unused:
            asked = ", ".join(sorted(self._found)) or "none"
            raise UsageError(
                f"--weights {min(unused)}: no model of this run starts from these; they start from {asked}"
            )

    def _warning(self, name: str) -> str:
        without = self.suite.weights[name].spec.without
        return f"without {name} {without}" if without else f"random weights were used in place of {name}"

    def _origin(self, name: str) -> str:
        """What is known of where the weights of a model that only predicts come from."""
        if {name, ""} & self._used:
            return "not trained here, but by weights that were given; what these were trained on is not known"
        return f"not trained here, but by weights {name}, trained on {self.suite.weights[name].spec.trained_on}"

    def _find(self, name: str) -> tuple[Path | None, str]:
        from vidsuite_core import weights

        for key in (name, ""):
            if key in self._given:
                self._used.add(key)
                return self._given[key], weights.identity(self._given[key])
        spec = self.suite.weights[name].spec
        kept = self._kept(spec)
        if kept is None and not self.may_fetch:
            return self._foreseen(spec)
        try:
            path = kept or self._fetch(spec)
        except WeightsUnavailable as error:
            if not self.may_be_random:
                raise
            self.say(f"{error} - going on without, which every number shown will say")
            return None, "random"
        return path, weights.recorded_content(path)

    def _foreseen(self, spec: WeightsSpec) -> tuple[None, str]:
        """What is known of weights that a run would fetch: what they are, or that this is not known."""
        size = f"{spec.size / 1e6:.0f} MB" if spec.size else "of unknown size"
        self.foreseen.append(f"weights {spec.name} ({spec.summary}), {size}")
        if not spec.content_sha256:
            self.unknown.append(spec.name)
        return None, spec.content_sha256 or "random"

    def _kept(self, spec: WeightsSpec) -> Path | None:
        """What is kept, unless it is not what was kept any more, which is said."""
        from vidsuite_core import weights

        if weights.locate(spec) is None or not (faults := weights.verify(spec)):
            return weights.locate(spec)
        if self.may_fetch:
            self.say(faults[0])
        return None

    def _fetch(self, spec: WeightsSpec) -> Path:
        from vidsuite_core import weights

        def progress(done: int, total: int | None) -> None:
            self.progress(f"fetching weights {spec.name}", done, total or 0)

        path = weights.fetch(spec, progress)
        self.say(f"fetched weights {spec.name} ({spec.trained_on}; {spec.licence}) to {path}")
        return path

    def _parse(self, text: str) -> tuple[str, Path]:
        name, separator, file = text.rpartition("=")
        path = Path(file).absolute()
        if not path.is_file():
            raise UsageError(f"--weights {text}: there is no file {path}")
        if not separator:
            return "", path
        own = self.suite.models if name in self.suite.models and name not in self.suite.weights else self.suite.weights
        return own[name].spec.name, path
