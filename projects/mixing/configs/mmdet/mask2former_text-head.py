"""Mask2Former of mmdet whose classes are names, with our fusion of masks."""

default_scope = 'mmdet'
clip = dict(model_name='tiny-rn')
classes = dict(num_things_classes=4, num_stuff_classes=1)
vocabulary = ['thing: dog', 'thing: cat', 'thing: cup', 'thing: car', 'stuff: grass']
model = dict(
    type='Mask2Former',
    data_preprocessor=dict(
        type='DetDataPreprocessor', pad_size_divisor=32, pad_mask=True, pad_seg=True
    ),
    backbone=dict(type='mmovseg.CLIPConvBackbone', **clip),
    panoptic_head=dict(
        type='mmovseg.TextHead',
        text=dict(type='mmovseg.TextClassifier', templates=['a {}'], **clip),
        vocabulary=vocabulary,
        head=dict(
            type='mmdet.Mask2FormerHead',
            in_channels=[64, 128, 256, 512],
            strides=[4, 8, 16, 32],
            feat_channels=32,
            out_channels=32,
            num_queries=8,
            num_transformer_feat_level=3,
            pixel_decoder=dict(
                type='MSDeformAttnPixelDecoder',
                num_outs=3,
                norm_cfg=dict(type='GN', num_groups=4),
                act_cfg=dict(type='ReLU'),
                encoder=dict(
                    num_layers=1,
                    layer_cfg=dict(
                        self_attn_cfg=dict(
                            embed_dims=32,
                            num_heads=4,
                            num_levels=3,
                            num_points=2,
                            batch_first=True,
                        ),
                        ffn_cfg=dict(embed_dims=32, feedforward_channels=32),
                    ),
                ),
                positional_encoding=dict(num_feats=16, normalize=True),
            ),
            positional_encoding=dict(num_feats=16, normalize=True),
            transformer_decoder=dict(
                return_intermediate=True,
                num_layers=2,
                layer_cfg=dict(
                    self_attn_cfg=dict(embed_dims=32, num_heads=4, batch_first=True),
                    cross_attn_cfg=dict(embed_dims=32, num_heads=4, batch_first=True),
                    ffn_cfg=dict(embed_dims=32, feedforward_channels=32),
                ),
            ),
            loss_cls=dict(
                type='CrossEntropyLoss', class_weight=[1.0] * 5 + [0.1], loss_weight=2.0
            ),
            loss_mask=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=5.0),
            loss_dice=dict(
                type='DiceLoss', use_sigmoid=True, activate=True, naive_dice=True
            ),
            **classes,
        ),
    ),
    panoptic_fusion_head=dict(
        type='mmovseg.MaskFusionHead', vocabulary=vocabulary, **classes
    ),
    train_cfg=dict(
        num_points=64,
        oversample_ratio=3.0,
        importance_sample_ratio=0.75,
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='ClassificationCost', weight=2.0),
                dict(type='CrossEntropyLossCost', weight=5.0, use_sigmoid=True),
                dict(type='DiceCost', weight=5.0, pred_act=True, eps=1.0),
            ],
        ),
        sampler=dict(type='MaskPseudoSampler'),
    ),
    test_cfg=dict(panoptic_on=True, instance_on=True, max_per_image=10),
)
