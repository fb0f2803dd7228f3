"""The vectorised environment: actions, observations, rewards, episodes."""
