"""Bench targets: where the files of a bundle are measured. All of them give `tfkd.bench.results.Result`.

A target is written `name` or `name:address`, as in `host` and `ssh://user@board`. Its function is called with the
address, what to measure, the options and where to tell progress; its module's FORMATS says which files it can run.
"""

TARGETS: dict[str, str] = {
    "host": "tfkd.bench.host:bench",
    "ssh": "tfkd.bench.ssh:bench",
    "android": "tfkd.bench.android:bench",
    "arm64": "tfkd.bench.arm64:bench",
    "ios": "tfkd.bench.ios:bench",
}
