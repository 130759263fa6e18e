"""An FCN head of mmseg whose classes are names."""

default_scope = 'mmseg'
clip = dict(model_name='tiny-rn')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(type='mmovseg.CLIPConvBackbone', **clip),
    decode_head=dict(
        type='mmovseg.TextHead',
        text=dict(type='mmovseg.TextClassifier', templates=['a {}'], **clip),
        vocabulary=['dog; puppy', 'cat', 'cup', 'car', 'grass'],
        head=dict(
            type='mmseg.FCNHead',
            in_channels=512,
            channels=16,
            num_convs=1,
            num_classes=5,
            norm_cfg=dict(type='BN'),
            loss_decode=dict(type='CrossEntropyLoss'),
        ),
    ),
    test_cfg=dict(mode='whole'),
)
