"""Learning a text prompt from classified crops."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.structures import LabelData
from torch import Tensor, nn

from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

from ..structures import LOGIT_SCALE
from ..targets import collect_targets


@MODELS.register_module()
class PromptClassifier(BaseModel):
    """CLIP names crops that show one class each; only the text prompt learns.

    The first stage of DeOP and SimBaseline. Pixels of other classes are painted over.

    Args:
        text_classifier: Config of a text classifier with a prompt learner.
        backbone: Config of a ``DenseCLIPViT`` without visual prompt.
        train_vocabulary: Packaged name, path or list; the classes of the annotation.
        test_vocabulary: The same for inference; None means ``train_vocabulary``.
        data_preprocessor: Config of the preprocessor: CLIP's own normalization.
        init_cfg: MMEngine's initialization config.

    Raises:
        ValueError: If there is nothing to learn, or another part that would learn.

    Source: released code of DeOP, after CoOp (arXiv 2109.01134).
    """

    def __init__(
        self,
        text_classifier: dict,
        backbone: dict,
        *,
        train_vocabulary: str | Sequence[str],
        test_vocabulary: str | Sequence[str] | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.text_classifier = MODELS.build(text_classifier)
        self.backbone = MODELS.build(backbone)
        self.train_vocabulary = Vocabulary.load(train_vocabulary)
        self.vocabulary = Vocabulary.load(
            train_vocabulary if test_vocabulary is None else test_vocabulary
        )
        # The classes here are those of the crops: none of them is void.
        self.text_classifier.void_embedding.requires_grad_(False)
        learned = {name for name, p in self.named_parameters() if p.requires_grad}
        others = {x for x in learned if '.prompt_learner.' not in x}
        if others or not learned:
            raise ValueError(
                'Only a text prompt learns here: text_classifier needs a '
                'prompt_learner that is not frozen, backbone no visual_prompt; '
                f'trainable are {sorted(learned)}.'
            )
        # Not trained, so no part of checkpoints: a later stage may have trained it.
        self.register_state_dict_post_hook(_drop_void)
        self.register_load_state_dict_pre_hook(_keep_void)
        # The released code fills normalized images with the mean before normalization.
        fill = torch.tensor(self.backbone.visual.image_mean).view(-1, 1, 1)
        self.register_buffer('fill', fill, persistent=False)

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> dict[str, Tensor] | list | Tensor:
        """Run in one of MMEngine's modes.

        Args:
            inputs: Normalized square crops of CLIP's size, ``[B, 3, S, S]``.
            data_samples: mmseg's data samples whose label maps show one class each;
                without them nothing is painted over.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.

        Returns:
            Loss and accuracy by name, data samples with ``pred_label`` (``label`` and
            ``score``), or class logits ``[B, K]``.

        Raises:
            ValueError: If the mode is another one, the size is not CLIP's, or a label
                map shows not exactly one class.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples or [])
        if mode not in ('predict', 'tensor'):
            raise ValueError(
                f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}."
            )
        if data_samples:
            inputs, _ = self._paint_over(inputs, data_samples, self.vocabulary)
        logits = self._classify(inputs, self.vocabulary)
        if mode == 'tensor':
            return logits
        samples = data_samples or [LabelData() for _ in inputs]
        for sample, scores in zip(samples, logits.softmax(-1), strict=True):
            sample.pred_label = LabelData(label=scores.argmax(-1)[None], score=scores)
        return samples

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Compute the cross-entropy over the training classes, and the accuracy."""
        images, labels = self._paint_over(inputs, data_samples, self.train_vocabulary)
        logits = self._classify(images, self.train_vocabulary)
        accuracy = (logits.argmax(-1) == labels).float().mean()
        return dict(loss_ce=F.cross_entropy(logits, labels), accuracy=accuracy)

    def _classify(self, images: Tensor, vocabulary: Vocabulary) -> Tensor:
        size = (self.backbone.image_size,) * 2
        if tuple(images.shape[-2:]) != size:
            raise ValueError(
                f'Crops must be {size}, as CLIP was trained, got '
                f'{tuple(images.shape[-2:])}: set the size of CropClass.'
            )
        text = self.text_classifier(vocabulary)
        return text.logits(self.backbone.encode_image(images), LOGIT_SCALE)[:, :-1]

    def _paint_over(
        self, inputs: Tensor, data_samples: list, vocabulary: Vocabulary
    ) -> tuple[Tensor, Tensor]:
        """Fill the pixels of other classes; return the images and the labels."""
        targets = collect_targets(data_samples, vocabulary, inputs.shape[-2:])
        for index, target in enumerate(targets):
            if len(target.labels) != 1:
                names = [vocabulary.names[i] for i in target.labels.tolist()]
                raise ValueError(
                    f'Image {index} of the batch shows {len(names)} classes {names}, '
                    'but a prompt learns from crops of one class: use ClassCrops as '
                    'data set and CropClass in the pipeline.'
                )
        masks = torch.stack([target.masks for target in targets])  # [B, 1, S, S]
        labels = torch.cat([target.labels for target in targets])
        return torch.where(masks, inputs, self.fill), labels


VOID = 'text_classifier.void_embedding.weight'


def _drop_void(
    module: nn.Module, state: dict[str, Tensor], prefix: str, metadata: dict
) -> None:
    state.pop(prefix + VOID, None)


def _keep_void(
    module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    state.setdefault(prefix + VOID, module.get_parameter(VOID).detach())
