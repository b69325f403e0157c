"""synth_kg: a typed medical knowledge graph, the tables that a doctor reviews, and its proofs.

A leaf library: it knows nothing of questions, prompts or models, and imports nothing of
`synth`. Reading order: `graph`, `tables`, `knowledge`.
"""
