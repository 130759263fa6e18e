"""What all transforms are."""

from __future__ import annotations

from abc import ABC, abstractmethod


class BaseTransform(ABC):
    """A step of a pipeline, called as mmcv's transforms are; it does not need mmcv."""

    def __call__(self, results: dict) -> dict | None:
        """Run the step."""
        return self.transform(results)

    @abstractmethod
    def transform(self, results: dict) -> dict | None:
        """Change the results of the steps before; None leaves the sample out."""
