"""One module a kind of page; each has `pages(site) -> Iterator[Page]`."""
