"""Names of the files and folders in a bundle."""

CHECKSUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
RECIPE = "recipe.json"
EVIDENCE = "evidence.json"
MONITOR = "monitor"
TEACHER_LOCK = "teacher.lock"
MEASUREMENTS = "measurements"  # outside of the seal
GOLDEN = "golden"
GOLDEN_INDEX = "golden.json"
