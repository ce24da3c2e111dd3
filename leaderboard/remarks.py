"""What a reader has to know before taking an entry's scores at their word."""

from __future__ import annotations

from dataclasses import dataclass

from vidsuite_core.results.ranks import FLOOR
from vidsuite_core.results.statistics import FEW, FEWEST
from vidsuite_core.support.text import printable
from vidsuite_leaderboard.entries import REPRODUCED, SUBMITTED, Entry

WHOLE = "paper"
"""The preset with the settings that the paper publishes."""
_RANDOM = ": random"
_BARE = "without "
EPOCHS = {
    "best_on_test": "chosen on the samples that are scored",
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


def remarks(entry: Entry) -> list[Remark]:
    """Every caveat of an entry."""
    found = [_whose(entry), _synthetic(entry), _random(entry), _preset(entry), _missing(entry), _unranked(entry)]
    found += [_withheld(entry), _few(entry), _floor(entry), _classes(entry), _alone(entry), _untested(entry)]
    return [remark for remark in found if remark]


def further_notes(entry: Entry) -> list[str]:
    """Notes of the entry that no remark tells."""
    told = ("is a synthetic dataset", "random weights were used in place of")
    return [clean(note) for note in entry.notes if not any(part in note for part in told)]


def random_weights(entry: Entry) -> list[str]:
    """Names of initial weights in whose place random ones stood; those of a detector that was left out are none."""
    names = (name.removesuffix(_RANDOM) for name in entry.weights if name.endswith(_RANDOM))
    return [name for name in names if not any(note.startswith(f"{_BARE}{name} ") for note in entry.notes)]


def _whose(entry: Entry) -> Remark | None:
    if entry.status == SUBMITTED and entry.kept_back:
        text = "nobody else has reproduced them yet; speed and size are what they tell, unverified"
        return Remark(f"Submitted by {clean(entry.by)}", text)
    if entry.status == SUBMITTED:
        text = (
            "their scores are recomputed here from their predictions, and nobody else has reproduced them yet; "
            "speed and size are what they tell, unverified"
        )
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


def _missing(entry: Entry) -> Remark | None:
    if entry.complete:
        return None
    return Remark("Incomplete", f"{entry.done} of {entry.expected} cells have scores, so it holds no rank")


def _withheld(entry: Entry) -> Remark | None:
    if not entry.withheld:
        return None
    text = f"{clean(entry.kept_back.removeprefix('labels kept back: '))}; so it holds no rank"
    return Remark("Labels kept back", text if entry.kept_back else "its scores are computed where the labels are: here")


def _unranked(entry: Entry) -> Remark | None:
    if entry.kept_back:
        return None
    return Remark("No rank", clean(entry.unranked.removeprefix("no ranks: "))) if entry.unranked else None


def few_subjects(entry: Entry) -> bool:
    """Whether it is ranked, but on so few subjects that it is marked."""
    return bool(entry.scores) and FEWEST <= entry.subjects < FEW


def _few(entry: Entry) -> Remark | None:
    if not few_subjects(entry):
        return None
    return Remark(f"{entry.subjects} {entry.units}", "so few that its interval is wide, and tells little apart")


def not_above_floor(entry: Entry) -> bool:
    """Whether the paired test does not find it better than the floor of its table."""
    return entry.above_floor is False


def _floor(entry: Entry) -> Remark | None:
    if not not_above_floor(entry):
        return None
    return Remark("Not above the floor", f"it cannot be told from {FLOOR}, which needs no video, or is worse")


def few_classes(entry: Entry) -> bool:
    """Whether its predictions make use of at most half of the classes that are true; the floor is not blamed for it."""
    return entry.used is not None and entry.model != FLOOR and 2 * entry.used[0] <= entry.used[1]


def _classes(entry: Entry) -> Remark | None:
    if not few_classes(entry) or entry.used is None:
        return None
    used, true = entry.used
    return Remark("Hardly any classes", f"it predicts {used} of {true} classes a tenth as often as they are, or more")


def _alone(entry: Entry) -> Remark | None:
    if not entry.complete or not entry.scores or entry.kept_back or entry.seeds != 1:
        return None
    return Remark("One seed", "its interval is over subjects alone: how much training by chance adds is not known")


def _untested(entry: Entry) -> Remark | None:
    if not entry.complete or not entry.scores or entry.kept_back:
        return None
    if any(score.low is not None for score in entry.scores.values()):
        return None
    return Remark("No interval", f"its {entry.units} are too few, or score alike, so that no interval can be told")
