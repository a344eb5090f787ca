"""The engine room: diagrams in, steps out. SpiffWorkflow is used here and nowhere else."""
