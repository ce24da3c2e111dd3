"""Embryo time-lapse data, shared by name with the plugins of two papers: see README.md here."""
