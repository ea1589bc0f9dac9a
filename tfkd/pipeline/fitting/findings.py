"""What a fit found so far, as rows of its table and as its result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfkd.benchmark.budget import TargetFigures
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.fitting.files import Untrained
from tfkd.pipeline.fitting.finals import Final
from tfkd.pipeline.fitting.halving import Standing
from tfkd.pipeline.fitting.measuring import FitTarget
from tfkd.pipeline.stages.teacher import TEACHER, ensemble_accuracy
from tfkd.recipe import Fit
from tfkd.recipe.names import kind_of
from tfkd.report.fits import FitResult, FitRow


@dataclass
class FitFindings:
    """What is known of the files of a fit.

    Attributes:
        context: of the run.
        settings: candidates and budget.
        target: where files are measured.
        files: the untrained files.
        measured: figures of the untrained files by name.
        standings: what candidates reached in the rounds, by name.
        finals: the trained files by name.
        cut: what was left out for lack of time.
    """

    context: RunContext
    settings: Fit
    target: FitTarget
    files: Sequence[Untrained]
    measured: Mapping[str, TargetFigures]
    standings: Mapping[str, Standing] = field(default_factory=dict)
    finals: dict[str, Final] = field(default_factory=dict)
    cut: Sequence[str] = ()

    @property
    def limits(self) -> Mapping[str, float]:
        """The budget."""
        return self.target.budget.limits

    @property
    def within(self) -> list[Untrained]:
        """The untrained files that meet the budget."""
        return [file for file in self.files if not self.target.budget.excesses(self.measured[file.name])]

    def named(self, name: str) -> Untrained:
        """Returns the untrained file of this name."""
        return next(file for file in self.files if file.name == name)

    @property
    def rows(self) -> list[FitRow]:
        """A row for each file."""
        return [self.row(file.name) for file in self.files]

    def row(self, name: str) -> FitRow:
        """Returns the row of a file: of the trained one if there is one."""
        role, final = "student" if self.named(name).candidate else "teacher", self.finals.get(name)
        if final is not None:
            return FitRow(
                name=name,
                role=role,
                measured=final.measured,
                excesses=self.target.budget.excesses(final.measured),
                epochs=final.epochs,
                validation_accuracy=final.validation_accuracy,
                final=True,
                accuracy=final.accuracy,
                relative=final.relative,
                control_accuracy=final.control_accuracy,
            )
        measured, standing = self.measured[name], self.standings.get(name)
        return FitRow(
            name=name,
            role=role,
            measured=measured,
            excesses=self.target.budget.excesses(measured),
            epochs=standing.epochs if standing else 0,
            validation_accuracy=standing.accuracy if standing else None,
        )

    def result(
        self, device: str, lines: Sequence[str], chosen: FitRow | None = None, bundle: Path | None = None
    ) -> FitResult:
        """Returns the result.

        Args:
            device: name of the device.
            lines: the verdict.
            chosen: the row that ships.
            bundle: the published bundle.
        """
        teachers = [stage for name, stage in self.context.stages.items() if kind_of(name) == TEACHER.name]
        trained = all(stage.result() is not None for stage in teachers)
        return FitResult(
            name=self.context.recipe.name,
            target=self.target.text,
            device=device,
            ships=self.settings.ships,
            limits=dict(self.limits),
            min_relative_accuracy=self.settings.min_relative_accuracy,
            teacher_accuracy=ensemble_accuracy(self.context) if trained else None,
            rows=tuple(self.rows),
            chosen=chosen.name if chosen else None,
            verdict=tuple(lines),
            cut=tuple(self.cut),
            images=len(self.context.data.validation),
            folder=self.context.folder.fit,
            bundle=bundle,
        )
