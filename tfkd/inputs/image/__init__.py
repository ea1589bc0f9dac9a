"""Photos: decoding, the deterministic form, seeded views, mixing and renderings."""
