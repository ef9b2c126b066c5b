"""Training: corpus, acoustic simulation, loss, loop and validation (extra ``[train]``)."""
