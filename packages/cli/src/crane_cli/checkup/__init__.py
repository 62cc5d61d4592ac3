"""`crane doctor INDEX`: the way from this machine to an index, one step after the other."""
