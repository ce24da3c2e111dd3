"""Benchmark definitions (YAML) and the performance benchmarks of vidsuite itself."""

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where the definitions lie."""
