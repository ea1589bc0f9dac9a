"""Bench targets: where the files of a bundle are measured. All of them give `tfkd.bundle.results.Result`.

A target is written `name` or `name:address`, as in `host` and `ssh://user@board`. Its function is called with the
address, what to measure, the options and where to tell progress; its module's FORMATS says which files it can run.
"""

TARGETS: dict[str, str] = {
    "host": "tfkd.benchmark.host:bench",
    "ssh": "tfkd.benchmark.ssh:bench",
    "android": "tfkd.benchmark.android.target:bench",
    "arm64": "tfkd.benchmark.arm64.target:bench",
    "ios": "tfkd.benchmark.ios:bench",
}
