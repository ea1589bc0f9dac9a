"""`tfkd diff`: what changes for an app from one bundle to the next, and limits on it."""
