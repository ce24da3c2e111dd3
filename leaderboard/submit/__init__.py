"""Packs of results: made, checked and accepted."""
