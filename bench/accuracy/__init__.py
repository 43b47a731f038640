"""Is every unit of quota accounted for under any load? See ``bench/README.md``."""
