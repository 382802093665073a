"""How many errors an act has, in chunks of how many, and in which of them its worker is killed."""

COUNT, CHUNK, KILLED_IN = 40, 7, 3
