"""K-Net of mmseg (kernels that stages update, as YOSO's) behind a VASNeck."""

default_scope = 'mmseg'
norm_cfg = dict(type='BN')
width = 32
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(type='mmovseg.CLIPConvBackbone', model_name='tiny-rn'),
    neck=dict(
        type='mmovseg.VASNeck',
        in_channels=[64, 128, 256, 512],
        hidden_channels=16,
        out_channels=width,
        text=dict(type='TextClassifier', model_name='tiny-rn', templates=['a {}']),
        vocabulary=['dog', 'cat', 'kite', 'tree', 'grass'],
    ),
    decode_head=dict(
        type='IterativeDecodeHead',
        num_stages=2,
        kernel_update_head=[
            dict(
                type='KernelUpdateHead',
                num_classes=5,
                num_ffn_fcs=2,
                num_heads=4,
                num_mask_fcs=1,
                feedforward_channels=64,
                in_channels=width,
                out_channels=width,
                conv_kernel_size=1,
                ffn_act_cfg=dict(type='ReLU', inplace=True),
                with_ffn=True,
                feat_transform_cfg=dict(conv_cfg=dict(type='Conv2d'), act_cfg=None),
                kernel_updator_cfg=dict(
                    type='KernelUpdator',
                    in_channels=width,
                    feat_channels=width,
                    out_channels=width,
                    act_cfg=dict(type='ReLU', inplace=True),
                    norm_cfg=dict(type='LN'),
                ),
            )
        ]
        * 2,
        kernel_generate_head=dict(
            type='FCNHead',
            in_channels=width,
            in_index=0,
            channels=width,
            num_convs=1,
            concat_input=False,
            num_classes=5,
            norm_cfg=norm_cfg,
            loss_decode=dict(type='CrossEntropyLoss'),
        ),
    ),
    test_cfg=dict(mode='whole'),
)
