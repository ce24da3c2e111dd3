"""Small helpers: ids, paths, files, caches, text, and what the machine is."""
