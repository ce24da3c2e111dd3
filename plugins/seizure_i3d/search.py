"""The paper's random hyper-parameter search (section 3.5.1) as a command: `vidsuite seizure_search`."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

BENCHMARK = "seizure_i3d/seizure_i3d"
MODEL = "seizure_i3d/i3d_lstm_fc"
EPOCHS = ("train_cfg._delete_=True", "train_cfg.by_epoch=True", "param_scheduler=None")
"""The search counts epochs, as its range does, at a constant rate."""


def draw(rng: random.Random, max_epochs: int = 2000) -> dict[str, Any]:
    """One point of the paper's search space, as config fields.

    Ranges of section 3.5.1, each drawn uniformly: LSTM units [32, 256], FC units [16, 128], the loss, dropout and
    recurrent dropout [0, 0.5], epochs [50, 2000], batch size [50, 2000].

    Args:
        max_epochs: a lower upper end for the epochs, for a search that is to end sooner.
    """
    return {
        "model.lstm_units": [rng.randint(32, 256), rng.randint(32, 256)],
        "model.fc_units": [rng.randint(16, 128), rng.randint(16, 128)],
        "model.loss": rng.choice(["mse", "cross_entropy"]),
        "model.dropout": round(rng.uniform(0, 0.5), 3),
        "model.recurrent_dropout": round(rng.uniform(0, 0.5), 3),
        "train_cfg.max_epochs": rng.randint(min(50, max_epochs), max_epochs),
        "train_dataloader.batch_size": rng.randint(50, 2000),
    }


def as_options(point: Mapping[str, Any]) -> list[str]:
    """A point as `--cfg-options` takes it."""
    return [f"{name}={str(value).replace(' ', '')}" for name, value in point.items()]


@click.command()
@click.option("--trials", default=10, show_default=True, type=click.IntRange(1), help="Points to try.")
@click.option("--seed", default=0, show_default=True, help="Of the draws: the same seed tries the same points.")
@click.option("--dataset", metavar="NAME", help="Dataset to search on; by default the synthetic one.")
@click.option("--preset", default="quick", show_default=True, help="Whose data and folds to use.")
@click.option("--max-epochs", default=2000, show_default=True, type=click.IntRange(1), help="Upper end of the epochs.")
@click.option("--selection", default="inner", show_default=True, type=click.Choice(["inner", "last"]),
              help="Which moment of training is scored.")  # fmt: skip
@click.option("--out", default="runs", show_default=True, type=click.Path(path_type=Path), help="Run folder.")
@click.option("--weights", multiple=True, metavar="[NAME=]FILE", help="Initial weights from a file of yours.")
@click.option("--devices", default="auto", show_default=True, help="As for 'bench'.")
def search(trials: int, seed: int, max_epochs: int, selection: str, **options: Any) -> int:
    """Try random hyper-parameters of the LSTM-FC classifier, as the paper did, and rank them.

    Trials are cells as any: they are kept, reused, and a stopped search goes on. The ranking is by the scores on the
    benchmark's own folds, so the best trial's score is flattered; use a fold of your own for a final figure.
    """
    from rich.console import Console

    from vidsuite_core.cli.progress import watcher_for
    from vidsuite_core.results.summary import Row, first_mean, measured_rows
    from vidsuite_core.runner.bench import BenchOptions, bench
    from vidsuite_core.suite import load

    suite, rng, console = load(), random.Random(seed), Console()  # noqa: S311
    found: list[tuple[Row, dict[str, Any]]] = []
    complete = True
    with watcher_for(console) as watcher:
        for number in range(trials):
            point = draw(rng, max_epochs)
            watcher.say(f"trial {number + 1} of {trials}: {' '.join(as_options(point))}")
            results = bench(
                suite,
                BenchOptions(
                    benchmark=BENCHMARK,
                    model=MODEL,
                    cfg_options=[*EPOCHS, *as_options(point), f"selection={selection}"],
                    **options,
                ),
                watcher,
            )
            complete &= results.ok
            attempts = [outcome.attempt for outcome in results.outcomes.values() if outcome.attempt]
            found += [(row, point) for row in measured_rows(suite, attempts) if not row.variant]
    for row, point in sorted(found, key=lambda pair: -first_mean(pair[0], "macro_f1")):
        click.echo(f"macro F1 {first_mean(row, 'macro_f1'):.3f}  {' '.join(as_options(point))}")
    return 0 if complete else 1
