"""How the installation is doing, line by line, each with what to do about it: for operators."""
