"""Boxes of actions: what files hold them, what is wrong with them, and how footage is divided."""
