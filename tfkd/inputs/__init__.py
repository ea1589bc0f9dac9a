"""What an app hands over: one package per kind of input."""
