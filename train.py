"""Train, resume or test a policy: ``python train.py --help``; docs/training.md."""

from dexhand_env.cli import train_main

if __name__ == "__main__":
    train_main()
