"""Bench targets: where the files of a bundle are measured. All of them give `tfkd.bundle.results.Result`.

A target is written `name` or `name:address`, as in `host` and `ssh://user@board`. Its module says which formats it runs
(FORMATS) and which limits its results can be judged by (LIMITS), and reads the address in its function `bench`.
"""

from dataclasses import dataclass

from tfkd.benchmark import options


@dataclass(frozen=True)
class Target:
    """A place where files are measured.

    Attributes:
        module: name of its module.
        options: record of the options that it reads.
    """

    module: str
    options: type[options.AnyOptions]


TARGETS: dict[str, Target] = {
    "host": Target("tfkd.benchmark.host", options.HostOptions),
    "ssh": Target("tfkd.benchmark.ssh", options.SshOptions),
    "android": Target("tfkd.benchmark.android.target", options.AndroidOptions),
    "arm64": Target("tfkd.benchmark.arm64.target", options.Arm64Options),
    "ios": Target("tfkd.benchmark.ios", options.IosOptions),
}
