"""Bench targets: where the files of a bundle are measured. All of them give `tfkd.bundle.results.Result`.

A target is written `name` or `name:address`, as in `host` and `ssh://user@board`. Its module says which formats it runs
(FORMATS) and which limits its results can be judged by (LIMITS). Its functions `check` and `bench` read the address:
the first finds the device, the second measures on it.
"""

from dataclasses import dataclass

from tfkd.benchmark import options


@dataclass(frozen=True)
class Target:
    """A place where files are measured.

    Attributes:
        module: name of its module.
        options: record of the options that it reads.
        written: how a user writes it, with the address behind its name.
    """

    module: str
    options: type[options.AnyOptions]
    written: str


TARGETS: dict[str, Target] = {
    "host": Target("tfkd.benchmark.host", options.HostOptions, "host"),
    "ssh": Target("tfkd.benchmark.ssh", options.SshOptions, "ssh://user@board[:port]"),
    "android": Target("tfkd.benchmark.android.target", options.AndroidOptions, "android[:SERIAL]"),
    "arm64": Target("tfkd.benchmark.arm64.target", options.Arm64Options, "arm64[:PROCESSOR]"),
    "ios": Target("tfkd.benchmark.ios", options.IosOptions, "ios[:DEVICE or RESULTS.json]"),
}
