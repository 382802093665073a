"""Rules that act on errors by themselves: what they look for, what they do, what they would have done."""
