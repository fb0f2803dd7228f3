"""What train.py and dexhand do once their options are parsed."""
