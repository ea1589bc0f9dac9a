"""`tfkd fit`: the search for the best student within a budget."""
