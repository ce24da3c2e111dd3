"""One of several ranks of a cell: `python one_rank.py ORDER.json OUTCOME.json`, under torch's own variables."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from vidsuite_core.engine.cell import run_cell
from vidsuite_core.engine.order import Order

if __name__ == "__main__":
    torch.set_num_threads(1)
    order = Order(**json.loads(Path(sys.argv[1]).read_text()))
    outcome = run_cell(order, lambda what, done, total: None)
    Path(sys.argv[2]).write_text(json.dumps(outcome))
