"""DeOP on the masks of a folder that transformers has saved."""

import pytest
import torch
from mmengine.structures import BaseDataElement
from small_networks import save_network

from mmovseg.registry import MODELS

pytest.importorskip('transformers')
CLIP = dict(model_name='tiny-vit')
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


def build(folder):
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='DeOP',
            data_preprocessor=dict(
                type='ImgDataPreprocessor', pad_size_divisor=32, **IMAGENET
            ),
            proposals=dict(type='TransformersProposals', pretrained=str(folder)),
            backbone=dict(
                type='DenseCLIPViT', severance=[dict(block=-1, alpha=1.0)], **CLIP
            ),
            head=dict(type='CALHead', num_queries=5),
            text_classifier=dict(type='TextClassifier', templates=['a {}'], **CLIP),
            criterion=dict(type='SemanticMapLoss'),
            fusion=dict(type='MaskFusion', panoptic=False, instance=False),
            train_vocabulary=['dog', 'kite', 'grass'],
        )
    )


def sample(size=(64, 96)):
    data = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size))
    data.gt_sem_seg = BaseDataElement(sem_seg=torch.randint(0, 3, (1, *size)))
    return data


@pytest.mark.parametrize('kind', ['eomt', 'mask2former'])
def test_masks_are_the_networks_and_names_are_free(seed, tmp_path, kind):
    network = save_network(tmp_path / 'net', kind)
    model = build(tmp_path / 'net').eval()
    pixels = torch.randint(0, 256, (1, 3, 64, 64)).float()
    mean, std = (torch.tensor(IMAGENET[x]).view(3, 1, 1) for x in ('mean', 'std'))
    images = (pixels - mean) / std
    with torch.no_grad():
        # The preprocessor's statistics are the network's, so nothing is changed.
        expected = network(pixel_values=images).masks_queries_logits
        found = model(images)
        torch.testing.assert_close(found.mask_logits, expected, rtol=1e-4, atol=1e-4)
        assert found.class_logits.shape == (1, 5, 4)
        model.set_vocabulary(['wood', 'snow'])  # the network knows neither
        assert model(images).class_logits.shape == (1, 5, 3)
        batch = torch.cat([images, images.flip(-1)])
        alone, [_, second] = model.predict(images), model.predict(batch)
        [flipped] = model.predict(images.flip(-1))
    assert torch.equal(second.pred_sem_seg.sem_seg, flipped.pred_sem_seg.sem_seg)
    assert alone[0].pred_sem_seg.sem_seg.max() < 2


def test_the_head_trains_and_the_network_does_not(seed, tmp_path):
    save_network(tmp_path / 'net', 'mask2former')
    model = build(tmp_path / 'net').train()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert any(name.startswith('head.') for name in trained)
    assert not any('proposals' in name for name in trained)
    images = torch.randn(2, 3, 64, 96)
    sum(model.loss(images, [sample(), sample()]).values()).backward()
    assert model.head.queries.weight.grad.any()


def test_more_masks_than_the_head_expects_are_named(seed, tmp_path):
    save_network(tmp_path / 'net', num_queries=7)
    model = build(tmp_path / 'net').eval()
    with pytest.raises(ValueError, match='5 anchor queries, but there are 7 proposals'):
        model(torch.randn(1, 3, 64, 64))
