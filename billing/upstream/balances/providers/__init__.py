"""One module for each provider or family of relays; its docstring names the page of the format."""
