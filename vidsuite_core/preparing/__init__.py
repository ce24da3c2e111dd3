"""What datasets prepare themselves with.

- `files`: other people's files looked at, many at once, every bad one noted before anything is refused.
- `imported`: labelled frames of a user's copy, which stays where it is.
- `manifest`: a user's table of recordings, with every fault of every row at once.
- `processes`: rendering shared among processes.
"""
