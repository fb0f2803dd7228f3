"""The live viewer: a process of its own that draws what an environment does, in the browser."""
