"""Steps: each takes a sample and returns a new one. Draft, check, reflect, score."""
