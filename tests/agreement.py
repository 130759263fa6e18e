"""How two predictions of one model are compared."""

import copy

import torch
from golden_utils import reference_state_dict

from mmovseg.analysis.profiling import build_model
from mmovseg.models.decoders.lite_decoder import DecoderStage
from mmovseg.models.structures import TextEmbeddings


def move(text, device):
    return TextEmbeddings(
        text.weight.to(device), text.class_ids.to(device), text.num_classes
    )


def share_masks(*models):
    """Let all models go on with the masks that the first of them found first.

    EOV-Seg sums over hard masks: one pixel that rounding puts on the other side of
    zero changes the kernel of a mask of few pixels as a whole, as random weights make.
    """
    stages = [[x for x in m.modules() if isinstance(x, DecoderStage)] for m in models]
    for same in zip(*stages, strict=True):
        seen = []
        for stage in same:

            def give_first(stage, args, seen=seen):
                kernels, masks, *rest = args
                seen.append(masks)
                return kernels, seen[0].to(masks), *rest

            stage.register_forward_pre_hook(give_first)


def duplicate(model, device, dtype=None):
    """Return a copy whose results can be compared with the model's."""
    twin = copy.deepcopy(model).to(device, dtype)
    share_masks(model, twin)
    return twin


def build_reference(size):
    """Build EOV-Seg S or L with the weights of the recorded reference values."""
    config = dict(s='eovseg_r50_zs-ade20k', l='eovseg_convnext-l_zs-ade20k')[size]
    model = build_model(config)
    missing = model.load_state_dict(
        reference_state_dict(
            size, prefixes=('backbone', 'spatial', 'neck', 'decoder', 'text_classifier')
        ),
        strict=False,
    )
    assert not missing.unexpected_keys
    model.text_classifier.drop_text_tower()
    return model


@torch.no_grad()
def predict(model, inputs, text):
    parameter = next(model.parameters())
    text = move(text, parameter.device)._replace(
        weight=text.weight.to(parameter.device, parameter.dtype)
    )
    return model.predict_masks(inputs.to(parameter), text, None)


def differences(got, expected):
    """Return how far predictions differ, on the host and in double precision.

    Returns:
        For each query the largest difference of a probability, and that of its mask
        logits over the mean of all.
    """
    got, expected = (
        [x.detach().cpu().double() for x in (p.class_logits, p.mask_logits)]
        for p in (got, expected)
    )
    probs = (got[0].softmax(-1) - expected[0].softmax(-1)).abs().amax(-1)
    masks = (got[1] - expected[1]).abs().mean((-2, -1)) / expected[1].abs().mean()
    return probs.flatten(), masks.flatten()
