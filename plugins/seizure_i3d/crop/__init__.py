"""The crop of section 3.3.1: a detector on a recording's first frame, bed and person merged and expanded."""
