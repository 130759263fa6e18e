import numpy as np
import pytest
import torch

from mmovseg.models.structures import TextEmbeddings
from mmovseg.shapeworld.drawing import CLASSES, ShapeSample
from projects.shapeworld import compare_repairs
from projects.shapeworld.compare_repairs import label_patches, main, measure


def test_patches_are_labeled_by_most_of_their_pixels():
    segments = np.zeros((4, 8), np.uint8)
    segments[:, 6:] = 1
    segments[:3, 5] = 1
    sample = ShapeSample(np.zeros((4, 8, 3), np.uint8), segments, [7, 30])
    assert label_patches(sample, (1, 2)).tolist() == [[7, 30]]
    assert label_patches(sample, (2, 4)).tolist() == [[7, 7, 7, 30]] * 2


def test_patches_and_masks_are_counted_by_kind():
    rows = torch.eye(len(CLASSES) + 1)
    text = TextEmbeddings(rows, torch.arange(len(CLASSES) + 1))
    segments = np.zeros((8, 8), np.uint8)
    segments[:, 4:] = 1
    solid = CLASSES.index('red star')
    sample = ShapeSample(np.zeros((8, 8, 3), np.uint8), segments, [3, solid])

    def tower(images, mask_logits):
        features = torch.zeros(1, rows.shape[1], 2, 2)
        features[0, 3] = 1.0  # says texture 3 everywhere but in the last patch
        features[0, :, 1, 1] = rows[solid]
        return features

    found = measure(tower, text, [sample])
    assert found['patches'] == 75 and found['patches, solid'] == 50
    assert found['patches, textures'] == 100 and 'patches, patterned' not in found
    assert found['masks, textures'] == 100


def test_a_table_of_the_packaged_clip(monkeypatch, capsys):
    kept = ('as it is', 'MPS in the last block (true masks)', 'NACLIP')
    rows = {title: compare_repairs.ROWS[title] for title in kept}
    monkeypatch.setattr(compare_repairs, 'ROWS', rows)
    results = main(['tiny-vit', '--num-pictures', '2', '--image-size', '64'])
    assert results['as it is']['masks, textures'] > 50
    assert len({tuple(x.values()) for x in results.values()}) == 3
    table = capsys.readouterr().out.splitlines()
    assert [line.split('|')[1].strip() for line in table] == ['', '---', *kept]


def test_wrong_sizes_and_towers(capsys):
    with pytest.raises(SystemExit, match='no multiple of the patches of tiny-vit'):
        main(['tiny-vit', '--image-size', '60'])
    with pytest.raises(SystemExit, match='no vision transformer'):
        main(['tiny-rn'])
