"""Selects the tests that can notice a fault of a module: those that mirror it, those that import it, then more."""

import ast
from collections import defaultdict
from pathlib import Path, PurePosixPath

END_TO_END = ("tests/pipeline/test_run.py", "tests/pipeline/test_own_model.py", "tests/test_cli.py")
DEVICES = (  # a minute each
    "tests/benchmark/arm64/test_target.py",
    *(f"tests/benchmark/android/test_{name}.py" for name in ("answers", "session", "target", "tool")),
)
FEW = 3
FAR = 2  # steps of imports from a test to a module


class Suite:
    """The test files of a project, by the distance of their imports from a module of its package."""

    def __init__(self, root: Path, package: str = "tfkd") -> None:
        self._package = package
        modules = {_module(path.relative_to(root)): path for path in (root / package).rglob("*.py")}
        self._modules = set(modules)
        self._imported = {name: self._imports(path) for name, path in modules.items()}
        found = sorted((root / "tests").rglob("test_*.py"))
        self._distances = {path.relative_to(root).as_posix(): self._reached(self._imports(path)) for path in found}

    def near(self, file: str) -> list[str]:
        """Returns the test file of a module and the few whose imports are nearest to it."""
        mirrored = self._mirrored(file)
        return mirrored + [test for test in self._reaching(file) if test not in mirrored][:FEW]

    def far(self, file: str) -> list[str]:
        """Returns further tests: those that reach the module, those beside its own, and whole commands."""
        near = self.near(file)
        folder = ("tests" / PurePosixPath(file).relative_to(self._package)).parent
        beside = [test for test in self._distances if PurePosixPath(test).parent == folder != PurePosixPath("tests")]
        whole = [test for test in END_TO_END if test in self._distances]
        return [test for test in dict.fromkeys([*self._reaching(file), *beside, *whole]) if test not in near]

    def _reaching(self, file: str) -> list[str]:
        """Returns the tests that reach a module by imports, the nearest first; none that run whole commands."""
        module = _module(Path(file))
        found = [test for test, reached in self._distances.items() if module in reached]
        found.sort(key=lambda test: (self._distances[test][module], len(self._distances[test]), test))
        return [test for test in found if test not in (*END_TO_END, *DEVICES)]

    def _mirrored(self, file: str) -> list[str]:
        path = PurePosixPath(file).relative_to(self._package)
        name = path.parent.name if path.stem in ("__init__", "__main__") else path.stem
        wanted = {f"tests/{path.parent / f'test_{name}.py'}", f"tests/{path.parent.parent / f'test_{name}.py'}"}
        return [test for test in self._distances if test in wanted]

    def _imports(self, path: Path) -> set[str]:
        """Returns the modules of the package that a file imports anywhere, also by name in a text such as a command."""
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        return names & self._modules

    def _reached(self, start: set[str]) -> dict[str, int]:
        """Returns the number of imports between some modules and each module that they reach."""
        distances: dict[str, int] = defaultdict(int, dict.fromkeys(start, 0))
        edge = start
        for distance in range(1, FAR + 1):
            edge = {further for module in edge for further in self._imported[module]} - distances.keys()
            distances |= dict.fromkeys(edge, distance)
        return dict(distances)


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
