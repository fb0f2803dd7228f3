"""Tasks: goals, reward terms, success."""
