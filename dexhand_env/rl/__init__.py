"""Learning with rl_games: agent, statistics, checkpoints, playing a policy."""
