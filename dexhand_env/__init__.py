"""Train, select, test and report reinforcement-learning policies for the DexHand021."""

__version__ = "0.1.0"
