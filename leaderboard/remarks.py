"""What a reader has to know before taking an entry's scores at their word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidsuite_core.support.text import printable
from vidsuite_leaderboard.entries import REPRODUCED, SUBMITTED, Entry

WHOLE = "paper"
"""The preset with the settings that the paper publishes."""
_RANDOM = ": random"
_BARE = "without "
EPOCHS = {
    "best_on_test": "the best one on the fold that is reported",
    "inner": "chosen on training subjects",
    "last": "the last one",
}
"""How the scored epoch was chosen, by `Entry.selection`."""


@dataclass(frozen=True)
class Remark:
    """A caveat: a word or two to recognise it by, and the sentence."""

    label: str
    text: str


def clean(text: str) -> str:
    """`printable`, without looking at each sign of a text that is so already."""
    return text if text.isprintable() else printable(text)


def remarks(entry: Entry, variants: Sequence[str] = ()) -> list[Remark]:
    """Every caveat of an entry; `variants` names its second sets of predictions."""
    found = [_whose(entry), _synthetic(entry), _random(entry), _preset(entry), _epoch(entry, variants)]
    return [remark for remark in [*found, _missing(entry), _alone(entry), _untested(entry)] if remark]


def further_notes(entry: Entry) -> list[str]:
    """Notes of the entry that no remark tells."""
    told = ("is a synthetic dataset", "random weights were used in place of")
    return [clean(note) for note in entry.notes if not any(part in note for part in told)]


def random_weights(entry: Entry) -> list[str]:
    """Names of initial weights in whose place random ones stood; those of a detector that was left out are none."""
    names = (name.removesuffix(_RANDOM) for name in entry.weights if name.endswith(_RANDOM))
    return [name for name in names if not any(note.startswith(f"{_BARE}{name} ") for note in entry.notes)]


def _whose(entry: Entry) -> Remark | None:
    if entry.status == SUBMITTED:
        text = "their scores are recomputed here from their predictions, and nobody else has reproduced them yet"
        return Remark(f"Submitted by {clean(entry.by)}", text)
    if entry.status == REPRODUCED:
        return Remark("Reproduced", f"run again from its record by {clean(entry.by) or 'somebody else'}")
    return None


def _synthetic(entry: Entry) -> Remark | None:
    if not entry.synthetic:
        return None
    return Remark("Synthetic data", "its recordings are generated, so scores say nothing about real ones")


def _random(entry: Entry) -> Remark | None:
    names = random_weights(entry)
    if not names:
        return None
    return Remark("Random initial weights", f"in place of {clean(', '.join(names))}; expect more with it")


def _preset(entry: Entry) -> Remark | None:
    if entry.preset == WHOLE:
        return None
    return Remark(f"Preset {clean(entry.preset)}", "less data and fewer steps than the paper's settings")


def _epoch(entry: Entry, variants: Sequence[str]) -> Remark | None:
    if entry.selection != "best_on_test":
        return None
    beside = "; the last epoch's scores stand beside" if "last" in variants else ""
    return Remark("Epoch chosen on the test fold", f"by the paper's own rule, which favours some rows more{beside}")


def _missing(entry: Entry) -> Remark | None:
    if entry.complete:
        return None
    return Remark("Incomplete", f"{entry.done} of {entry.expected} cells have scores, so it holds no rank")


def _alone(entry: Entry) -> Remark | None:
    if entry.done != 1 or not entry.complete:
        return None
    return Remark("One cell", "a single fold and seed: there is no spread to judge it by")


def _untested(entry: Entry) -> Remark | None:
    if not entry.complete or not entry.scores or any(score.low is not None for score in entry.scores.values()):
        return None
    return Remark("No interval", "too few subjects were tested to bootstrap over, so its rank follows the mean alone")
