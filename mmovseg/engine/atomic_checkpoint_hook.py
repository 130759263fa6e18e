"""Checkpoints that a kill can not truncate."""

from __future__ import annotations

import os.path as osp
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, Runner

from mmovseg.fileio import write_atomic
from mmovseg.registry import HOOKS

from .work_dir_lock import WorkDirError, lock_work_dir, unlock_work_dir


class AtomicLocalBackend(LocalBackend):
    """Local files that appear under their name only when they are complete."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to ``filepath``, replacing what was there in one step."""
        # One fixed name: what a killed run left is overwritten by the next one.
        part = f'{osp.basename(filepath)}.part'
        write_atomic(filepath, obj, sync=True, part=part)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text to ``filepath``, replacing what was there in one step."""
        self.put(obj.encode(encoding), filepath)


register_backend('AtomicLocalBackend', AtomicLocalBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """Save checkpoints so that ``last_checkpoint`` always names a complete file.

    MMEngine's hook writes in place and deletes the oldest checkpoint before it
    writes the new one, so a kill at the wrong moment leaves a truncated file, or
    with ``max_keep_ckpts=1`` none. Here a checkpoint is written under another name
    and renamed, ``last_checkpoint`` likewise, and only then is the oldest deleted.

    A work folder can be moved and copied: what is resumed, and what is deleted later,
    is the checkpoint in the folder itself, wherever the paths inside lead. Only one
    training at a time can use a folder.

    Arguments are those of :class:`mmengine.hooks.CheckpointHook`.
    """

    def before_run(self, runner: Runner) -> None:
        """Lock the work folder, and let ``last_checkpoint`` name a file in it.

        Raises:
            WorkDirError: If another process trains in the folder, or
                ``last_checkpoint`` names a file of another folder.
        """
        if not isinstance(runner._train_loop, BaseLoop):
            return  # a test
        problem: list[Exception | None] = [None]
        if is_main_process():
            try:
                lock_work_dir(runner.work_dir)
                self._find_last_checkpoint(runner.work_dir)
            except (OSError, RuntimeError) as error:
                problem[0] = error
        broadcast_object_list(problem)  # or the other processes would wait for ever
        if problem[0] is not None:
            raise problem[0]

    def after_run(self, runner: Runner) -> None:
        """Unlock the work folder."""
        unlock_work_dir(runner.work_dir)

    def before_train(self, runner: Runner) -> None:
        """Find the folder, and switch to atomic writing if it is a local one."""
        super().before_train(runner)
        if type(self.file_backend) is LocalBackend:
            self.backend_args = {'backend': 'AtomicLocalBackend'}
        # The best checkpoint so far is deleted for a better one: never that of a
        # folder which this one was copied from.
        if path := getattr(self, 'best_ckpt_path', None):
            self.best_ckpt_path = self._here(path)
        paths = getattr(self, 'best_ckpt_path_dict', {})
        for key, path in paths.items():
            paths[key] = path and self._here(path)

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Note how many processes trained."""
        checkpoint['meta']['num_processes'] = runner.world_size

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Say so where a run goes on with another number of processes."""
        before = checkpoint.get('meta', {}).get('num_processes', runner.world_size)
        if runner._resume and before != runner.world_size:
            runner.logger.warning(
                f'The run goes on with {runner.world_size} processes; {before} trained '
                'so far. A step now takes that many batches, so the learning rate may '
                'no longer fit (--auto-scale-lr), and the images come in another order '
                'than in an uninterrupted run.'
            )

    def _here(self, path: str) -> str:
        return self.file_backend.join_path(self.out_dir, osp.basename(path))

    def _find_last_checkpoint(self, work_dir: str) -> None:
        pointer = Path(work_dir, 'last_checkpoint')
        if not pointer.is_file():
            return
        named = pointer.read_text().strip()
        here = Path(work_dir, osp.basename(named))
        if here.is_file():
            if str(here) != named:
                AtomicLocalBackend().put_text(str(here), pointer)
        elif self.out_dir is None and named:
            raise WorkDirError(
                f'{pointer} names {osp.basename(named)!r}, which is not in {work_dir}: '
                f'copy it there, name the file to resume from (--resume {named}), or '
                f'delete {pointer} to start anew.'
            )

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict[str, int]
    ) -> None:
        stale = None
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                stale = self.keep_ckpt_ids.popleft()
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))

        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if not is_main_process():
            return
        AtomicLocalBackend().put_text(
            self.last_ckpt, osp.join(runner.work_dir, 'last_checkpoint')
        )
        if stale is not None:
            path = self.file_backend.join_path(
                self.out_dir, self.filename_tmpl.format(stale)
            )
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
