"""Training-free, tiny: masks of a Mask2Former's checkpoint, names by tiny-rn alone.

Train the Mask2Former, and test:
python tools/leaderboard.py --benchmark shapeworld --rows Training-free
"""

_base_ = ['./mask2former_tiny-rn.py', '../_base_/mask2former_tiny_network.py']
model = dict(
    proposals=dict(
        pretrained=None,
        architecture=_base_.architecture,
        backbone_architecture=_base_.backbone_architecture,
    ),
    ensemble=None,
)
