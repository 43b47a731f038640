"""Redeeming codes, and for operators making them and following what became of them."""
