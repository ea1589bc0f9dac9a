"""Bench targets: where the latency of a bundle's files is measured. All of them give `manifest.BenchEntry`."""

TARGETS: dict[str, str] = {
    "host": "tfkd.bench.host:measure",
}
