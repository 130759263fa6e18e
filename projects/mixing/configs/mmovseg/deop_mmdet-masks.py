"""DeOP on the masks of mmdet's Mask2Former head."""

default_scope = 'mmovseg'
clip = dict(model_name='tiny-vit')
model = dict(
    type='DeOP',
    data_preprocessor=dict(type='ImgDataPreprocessor', pad_size_divisor=32),
    proposals=dict(
        type='MMDetProposals',
        backbone=dict(
            type='mmseg.ResNetV1c',
            depth=18,
            base_channels=8,
            stem_channels=16,
            norm_cfg=dict(type='BN'),
        ),
        head=dict(
            type='mmdet.Mask2FormerHead',
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
        ),
    ),
    backbone=dict(type='DenseCLIPViT', **clip),
    head=dict(type='CALHead', num_queries=8),
    text_classifier=dict(type='TextClassifier', templates=['a {}'], **clip),
    criterion=dict(type='SemanticMapLoss'),
    fusion=dict(type='MaskFusion', panoptic=False, instance=False),
    train_vocabulary=['thing: dog', 'thing: cat', 'thing: cup', 'thing: car', 'grass'],
)
