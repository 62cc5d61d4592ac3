"""The longer ones of dev.py's tasks, about what is released and what it is made of."""
