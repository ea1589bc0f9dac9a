"""A student after its release: drift in what phones count, and the comparison of its teachers with the locked ones."""
