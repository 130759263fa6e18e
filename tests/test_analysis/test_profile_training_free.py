"""Tools that measure with random text embeddings take training-free models, too."""

import pytest
import torch
from small_networks import save_network

from mmovseg.analysis.profiling import random_text, run_model
from mmovseg.registry import MODELS

pytest.importorskip('transformers')
CLIP = dict(model_name='tiny-convnext')


@pytest.mark.parametrize('ensemble', [None, dict(alpha=0.4, beta=0.8)])
def test_random_text_has_rows_of_known_classes(seed, tmp_path, ensemble):
    save_network(tmp_path / 'net')
    model = MODELS.build(
        dict(
            type='TrainingFreeSegmentor',
            proposals=dict(
                type='TransformersProposals', pretrained=str(tmp_path / 'net')
            ),
            backbone=dict(type='CLIPConvBackbone', **CLIP),
            text_classifier=dict(type='TextClassifier', templates=['a {}'], **CLIP),
            ensemble=ensemble,
            fusion=dict(type='MaskFusion'),
            train_vocabulary=['cat', 'dog', 'sky'],
            test_vocabulary=['cat', 'kite; glider'],
        )
    ).eval()
    text = random_text(model)
    assert text.weight.shape == (4, 64) and text.known.shape == (3, 64)
    torch.testing.assert_close(text.known.norm(dim=-1), torch.ones(3))
    [found] = run_model(model, torch.randn(1, 3, 64, 64), text)
    assert found.pred_sem_seg.sem_seg.shape == (1, 64, 64)
