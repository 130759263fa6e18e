"""Training-free, tiny: masks of a Mask2Former folder, names by the severed tiny-vit."""

_base_ = './mask2former_tiny-rn.py'
clip = dict(model_name='tiny-vit', pretrained='shapeworld')
model = dict(
    backbone=dict(
        _delete_=True,
        type='DenseCLIPViT',
        severance=[dict(block=-1, mode='generalized', alpha=1.0)],
        **clip,
    ),
    text_classifier=clip,
)
