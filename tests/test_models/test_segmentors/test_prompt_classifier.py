import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.structures import BaseDataElement, PixelData

from mmovseg.registry import MODELS

CONFIG = 'configs/_base_/models/deop_prompt_tiny.py'
CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)


@pytest.fixture
def build(pytestconfig, seed):
    def build(**changes):
        whole = Config.fromfile(pytestconfig.rootpath / CONFIG)
        whole.merge_from_dict({f'model.{k}': v for k, v in changes.items()})
        config = whole.model
        config.train_vocabulary = ['red; crimson', 'green', 'blue']
        config.text_classifier.cache_dir = None
        return MODELS.build(config)

    return build


@pytest.fixture
def images(seed):
    return torch.randn(2, 3, 64, 64)


def sample(*labels):
    """Return a label map with the class(es) in boxes and 255 elsewhere."""
    label_map = torch.full((1, 64, 64), 255)
    for index, label in enumerate(labels):
        label_map[:, 10 * index : 10 * index + 8, 20:50] = label
    return BaseDataElement(gt_sem_seg=PixelData(data=label_map))


def test_loss_is_the_cross_entropy_of_painted_crops(build, images):
    model = build().train()
    text = model.text_classifier(model.train_vocabulary)
    painted = CLIP_MEAN.expand(2, 3, 64, 64).clone()
    painted[:, :, :8, 20:50] = images[:, :, :8, 20:50]
    regions = F.normalize(model.backbone.visual(painted), dim=-1)
    rows = 100 * regions @ text.weight.T  # red, crimson, green, blue, void
    logits = torch.stack([rows[:, :2].amax(1), rows[:, 2], rows[:, 3]], 1)
    labels = torch.tensor([2, 0])
    losses = model(images, [sample(2), sample(0)], mode='loss')
    torch.testing.assert_close(losses['loss_ce'], F.cross_entropy(logits, labels))
    assert losses['accuracy'] == (logits.argmax(1) == labels).float().mean()
    scores = model(images, [sample(2), sample(0)])
    torch.testing.assert_close(scores, logits)
    results = model(images, [sample(2), sample(0)], mode='predict')
    for result, row in zip(results, logits, strict=True):
        torch.testing.assert_close(result.pred_label.score, row.softmax(-1))
        assert result.pred_label.label.tolist() == [row.argmax()]


def test_only_the_prompt_learns(build, images):
    model = build().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=0.1)
    losses = []
    for _ in range(10):
        loss = model(images, [sample(2), sample(0)], mode='loss')['loss_ce']
        optimizer.zero_grad()
        loss.backward()
        assert all((p.grad != 0).any() for p in learned)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    changed = [
        k for k, v in model.state_dict().items() if not torch.equal(v, before[k])
    ]
    assert changed == ['text_classifier.prompt_learner.prefix']


@torch.no_grad()
def test_without_label_maps_nothing_is_painted_over(build, images):
    model = build().eval()
    text = model.text_classifier(model.vocabulary)
    regions = model.backbone.encode_image(images)
    expected = text.logits(regions, 100)[:, :-1]
    torch.testing.assert_close(model(images), expected)
    results = model(images, mode='predict')
    labels = [result.pred_label.label.item() for result in results]
    assert labels == expected.argmax(1).tolist()


def test_unsuitable_crops_are_refused(build, images):
    model = build()
    with pytest.raises(ValueError, match=r"Image 1 .* 2 classes \['red', 'green'\]"):
        model(images, [sample(2), sample(0, 1)], mode='loss')
    with pytest.raises(ValueError, match=r'Image 0 .* 0 classes'):
        model(images, [sample(), sample(0)], mode='loss')
    with pytest.raises(ValueError, match=r'Crops must be \(64, 64\).*CropClass'):
        model(images[..., :32])
    with pytest.raises(ValueError, match="got 'train'"):
        model(images, mode='train')


@pytest.mark.parametrize(
    'changes',
    [
        {'text_classifier.prompt_learner.frozen': True},
        {'text_classifier.prompt_learner': None},
        {'backbone.visual_prompt': dict(type='AddedPrompt', blocks=[1])},
    ],
)
def test_nothing_or_something_else_to_learn_is_refused(build, changes):
    with pytest.raises(ValueError, match='Only a text prompt learns here'):
        build(**changes)


def test_the_untrained_void_is_in_no_checkpoint(build):
    """Else it would take the place of one that a later stage has trained."""
    model = build()
    state = model.state_dict()
    assert 'text_classifier.void_embedding.weight' not in state
    assert 'text_classifier.prompt_learner.prefix' in state
    void = model.text_classifier.void_embedding.weight.clone()
    model.load_state_dict(state)
    assert torch.equal(model.text_classifier.void_embedding.weight, void)
