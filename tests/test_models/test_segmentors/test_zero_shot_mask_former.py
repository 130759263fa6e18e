import pytest
import torch
from mmengine.model import BaseModule
from mmengine.structures import BaseDataElement, PixelData
from torch import nn

from mmovseg.models.structures import MaskProposals
from mmovseg.registry import MODELS

CLASSES = ['grass', 'dog; puppy', 'kite']


class Proposals(BaseModule):
    """Two stages of three masks, from means of the image."""

    def __init__(self, embed_channels=None):
        super().__init__()
        self.embed_channels = embed_channels
        self.kernels = nn.Parameter(torch.randn(2, 3, 3))
        if embed_channels:
            self.class_embed = nn.Linear(3, embed_channels)

    def forward(self, images):
        pixels = nn.functional.avg_pool2d(images, 4)
        stages = []
        for kernels in self.kernels:
            masks = torch.einsum('nc,bchw->bnhw', kernels, pixels)
            regions = None
            if self.embed_channels:
                regions = self.class_embed(kernels).expand(len(images), -1, -1)
            stages.append(MaskProposals(masks, regions))
        return stages if self.training else stages[-1:]


@pytest.fixture(autouse=True, scope='module')
def _register():
    MODELS.register_module(module=Proposals, name='TwoStageProposals')
    yield
    MODELS.module_dict.pop('TwoStageProposals')


def make(embed_channels=None, class_weight=0.0, *, text=True):
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='ZeroShotMaskFormer',
            proposals=dict(type='TwoStageProposals', embed_channels=embed_channels),
            text_classifier=text and dict(type='TextClassifier', model_name='tiny-vit'),
            criterion=dict(type='ProposalLoss', class_weight=class_weight),
            fusion=dict(type='MaskFusion'),
            train_vocabulary=CLASSES,
            data_preprocessor=dict(type='ImgDataPreprocessor', pad_size_divisor=32),
        )
    )


@pytest.fixture
def width(tiny_clip):
    text = dict(type='TextClassifier', model_name=tiny_clip['vit'])
    return MODELS.build(text).embed_dims


def sample(label):
    data = BaseDataElement(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64)))
    label_map = torch.full((1, 64, 64), 255)
    label_map[:, :32] = label
    data.gt_sem_seg = PixelData(data=label_map)
    return data


@torch.no_grad()
def test_queries_are_scored_by_a_hundred_cosines(width):
    model = make(width, 1.0).eval()
    inputs = torch.randn(2, 3, 64, 64)
    prediction = model(inputs)
    [(mask_logits, regions, _)] = model.proposals(inputs)
    text = model.text_classifier(model.vocabulary)
    cosine = nn.functional.cosine_similarity(
        regions[:, :, None], text.weight[None, None], dim=-1
    )
    best = cosine[..., 1:3].amax(-1)  # dog, puppy
    expected = torch.stack([cosine[..., 0], best, *cosine[..., 3:].unbind(-1)], -1)
    torch.testing.assert_close(prediction.class_logits, 100 * expected)
    assert torch.equal(prediction.mask_logits, mask_logits)


@torch.no_grad()
@pytest.mark.parametrize('text', [True, None])
def test_masks_alone_have_no_favorite_class(tiny_clip, text):
    model = make(text=text).eval()
    prediction = model(torch.randn(2, 3, 64, 64))
    assert torch.equal(prediction.class_logits, torch.zeros(2, 3, 4))
    model.set_vocabulary(['sky', 'sea'])
    assert model(torch.randn(2, 3, 64, 64)).class_logits.shape == (2, 3, 3)


def test_masks_alone_keep_no_weights_of_a_clip(seed):
    model = make(text=None).train()
    assert all(name.startswith('proposals.') for name in model.state_dict())
    losses = model(torch.randn(2, 3, 64, 64), [sample(0), sample(2)], mode='loss')
    assert set(losses) == {
        f's{i}_loss_{name}' for i in (0, 1) for name in ('mask', 'dice')
    }


@pytest.mark.parametrize('classify', [True, False])
def test_every_stage_trains_everything_that_is_not_frozen(width, classify):
    """Also nothing is left without gradient, which would stop distributed training."""
    model = make(width if classify else None, float(classify)).train()
    losses = model(torch.randn(2, 3, 64, 64), [sample(0), sample(2)], mode='loss')
    names = ('mask', 'dice', 'ce') if classify else ('mask', 'dice')
    assert set(losses) == {f's{i}_loss_{name}' for i in (0, 1) for name in names}
    sum(losses.values()).backward()
    trained = set()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.any(), name
            trained.add(name)
    expected = {'proposals.kernels'}
    if classify:
        expected |= {f'proposals.class_embed.{part}' for part in ('weight', 'bias')}
        expected.add('text_classifier.void_embedding.weight')
    assert trained == expected


@torch.no_grad()
def test_results_are_maps_of_the_vocabulary(width):
    model = make(width, 1.0).eval()
    model.set_vocabulary(['sky', 'tree', 'sea', 'road', 'car'])
    images = [torch.randint(0, 256, (3, 50, 60)).byte()]
    data = BaseDataElement(metainfo=dict(img_shape=(50, 60), ori_shape=(25, 30)))
    [result] = model.test_step(dict(inputs=images, data_samples=[data]))
    assert result.pred_sem_seg.sem_seg.shape[-2:] == (25, 30)


def test_class_branch_and_criterion_have_to_agree(width):
    for embed_channels, class_weight in ((None, 1.0), (width, 0.0)):
        with pytest.raises(ValueError, match=r'Set both .* or neither'):
            make(embed_channels, class_weight)
    with pytest.raises(ValueError, match=rf'regions in 7 channels.* in {width}'):
        make(7, 1.0)
    with pytest.raises(ValueError, match='has to be a text_classifier'):
        make(width, 1.0, text=None)
