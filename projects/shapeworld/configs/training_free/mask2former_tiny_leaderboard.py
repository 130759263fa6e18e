"""The tiny Mask2Former as the leaderboard trains it: 4 pictures at a time, as all rows.

Train: see mask2former_tiny_closed.py and mask2former_tiny-rn_free.py
"""

_base_ = './mask2former_tiny.py'
train_dataloader = dict(batch_size=4)
