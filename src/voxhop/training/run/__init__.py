"""The loop: batches, processes, steps, and where a run starts."""
