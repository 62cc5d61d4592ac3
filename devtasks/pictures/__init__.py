"""The pictures in the documentation, made from the real thing: `python3 dev.py pictures`."""
