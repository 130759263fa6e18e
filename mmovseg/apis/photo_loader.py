"""Load the photos of a call, and bring them to a GPU while the model computes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any

import torch
from mmengine.logging import print_log

from ..progress import Progress
from .photo_pipeline import Photo
from .photo_stream import FailedImage, LoadedPhoto, load_photos


class PhotoLoader:
    """Load the photos of one call, and put them into batches for the model.

    Args:
        pipeline: The test pipeline; called from several threads at once.
        collate: Makes a batch of what the pipeline gives.
        copies: Stream of a GPU on which photos come while the model computes, or None.
        num_workers: Threads that load.
        show_progress: Show how far the call is.
    """

    def __init__(
        self,
        pipeline: Callable[[Photo], dict[str, Any]],
        collate: Callable[[list[dict[str, Any]]], dict[str, Any]],
        copies: torch.cuda.Stream | None,
        *,
        num_workers: int,
        show_progress: bool,
    ) -> None:
        self.pipeline, self.collate_fn, self.copies = pipeline, collate, copies
        self.num_workers, self.show_progress = num_workers, show_progress

    def load(
        self,
        sources: Sequence[Any],
        names: Sequence[str],
        batch_size: int,
        errors: list[dict[str, str]],
    ) -> Generator[LoadedPhoto]:
        """Load photos; report those that cannot be used.

        Args:
            sources: Paths, arrays or Pillow images.
            names: What each is called.
            batch_size: Photos loaded ahead.
            errors: Grows by the photos that cannot be used.
        """
        photos = load_photos(
            sources,
            names,
            self._prepare,
            ahead=batch_size,
            num_workers=self.num_workers,
        )
        quiet = not self.show_progress
        progress = Progress(len(sources), 'Inference', 'photo', disable=quiet)
        with closing(photos), progress:
            for item in photos:
                progress.update()
                if isinstance(item, LoadedPhoto):
                    yield item
                else:
                    report(item, errors)

    def _prepare(self, photo: Photo) -> dict[str, Any]:
        """Run the pipeline, in a thread; begin to copy the image to a GPU."""
        data = self.pipeline(photo)
        if self.copies is not None:
            with torch.cuda.stream(self.copies):
                image = data['inputs'].pin_memory()
                data['inputs'] = image.to(self.copies.device, non_blocking=True)
        return data

    def collate(self, batch: Sequence[LoadedPhoto]) -> dict[str, Any]:
        """Make a batch, of which a GPU has all images before it goes on."""
        data = self.collate_fn([x.data for x in batch])
        if self.copies is not None:
            stream = torch.cuda.current_stream(self.copies.device)
            stream.wait_stream(self.copies)
            for image in data['inputs']:
                image.record_stream(stream)  # or another could take its memory
        return data


def report(failed: FailedImage, errors: list[dict[str, str]]) -> None:
    """Add a photo to the errors of a call, and to the log."""
    errors.append(failed._asdict())
    message = f'Skipped: {failed.message}'
    print_log(message, logger='current', level=logging.ERROR)
