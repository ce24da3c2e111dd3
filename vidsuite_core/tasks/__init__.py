"""Tasks: what is asked of a model, and the scores computed from stored predictions."""
