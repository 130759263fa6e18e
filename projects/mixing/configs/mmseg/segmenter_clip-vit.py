"""Segmenter of mmseg on a frozen CLIP ViT."""

default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(
        type='mmovseg.CLIPViTBackbone', model_name='tiny-vit', out_indices=[-1]
    ),
    decode_head=dict(
        type='SegmenterMaskTransformerHead',
        in_channels=96,
        channels=96,
        num_classes=5,
        num_layers=1,
        num_heads=3,
        embed_dims=96,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    test_cfg=dict(mode='whole'),
)
