"""The run folder and what is computed from it: records, verification, summaries, tables."""
