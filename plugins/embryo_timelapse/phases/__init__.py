"""Which phase of its development an embryo is in, frame by frame: a task of its own, with data, models and scores."""
