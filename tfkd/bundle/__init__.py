"""A bundle: manifest, golden examples, seal, reading, verification and publishing."""
