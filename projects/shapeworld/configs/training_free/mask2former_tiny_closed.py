"""Mask2Former, tiny, with a closed vocabulary: its own most probable class is the name.

It knows the 47 seen classes alone, so its quality on others is 0 by construction.
Train the Mask2Former, and test:
python tools/leaderboard.py --benchmark shapeworld --rows "Mask2Former (closed)"
"""

_base_ = ['./mask2former_tiny-rn.py', '../_base_/mask2former_tiny_network.py']
model = dict(
    proposals=dict(
        pretrained=None,
        architecture=_base_.architecture,
        backbone_architecture=_base_.backbone_architecture,
    ),
    ensemble=dict(alpha=0.0, beta=0.0),  # nothing of CLIP's look at a mask
    num_known=1,
)
