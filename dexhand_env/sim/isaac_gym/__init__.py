"""Isaac Gym Preview 4 as a physics backend, in a Python of its own."""
