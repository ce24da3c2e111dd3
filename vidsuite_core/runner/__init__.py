"""Plan (what to run), store (where attempts are kept), executors (where cells run) and their worker."""
